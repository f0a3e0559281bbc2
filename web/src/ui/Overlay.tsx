/** Lies over the last output of a pane that is not connected and says what it waits for. Takes no keys and no clicks. */

import { useState } from "react";
import type { PaneId } from "../core/api";
import { panesOf } from "../terminal/registry";
import { Button } from "./Button";
import { detailOf, type Facts, type Kind, keysWaiting, titleOf } from "./overlay-text";
import { usePage, usePane, useTick } from "./page";
import { type Mark, StatusMark } from "./StatusMark";

const MARKS: Record<Kind, Mark> = {
  unknown: "waking",
  starting: "waking",
  asleep: "asleep",
  waking: "waking",
  disconnected: "waking",
  failed: "failed",
  exited: "failed",
};

const TICK_MS = 250;

/** The live region stays while cards come and go, so that a change is read out once: its title, never the counting. */
export function Overlay({ id, kind }: { id: PaneId; kind: Kind | null }) {
  return (
    <div className="overlay" data-testid="overlay" role="status" aria-live="polite" aria-atomic="true">
      {kind !== null && <Card key={kind} kind={kind} id={id} />}
    </div>
  );
}

function Card({ id, kind }: { id: PaneId; kind: Kind }) {
  const { clock, core, history } = usePage();
  const view = usePane(id);
  const [shownAt] = useState(() => clock.now());
  useTick(TICK_MS);
  const model = core.model();
  const tab = model.tabs.find((other) => panesOf(other.layout).includes(id));
  const session = model.sessions.find((other) => other.id === tab?.sessionId);
  const facts: Facts = {
    elapsedMs: clock.now() - (kind === "unknown" ? shownAt : Math.min(shownAt, history.since(id))),
    serverNow: clock.wallNow() + model.clockOffset,
    session: session?.status ?? null,
    cutOff: model.connection.status !== "connected",
  };
  const detail = detailOf(kind, view.info, facts);
  const keys = keysWaiting(view.unackedKeys);
  return (
    <div className="card" data-kind={kind}>
      <div className="card-title">
        <StatusMark mark={MARKS[kind]} />
        <span data-testid="overlay-title">{titleOf(kind, view.info)}</span>
      </div>
      <div className="card-detail" aria-hidden="true">
        {detail !== null && <span data-testid="overlay-detail">{detail}</span>}
      </div>
      {keys !== null && (
        <div className="card-keys">
          <span data-testid="overlay-keys" aria-hidden="true">
            {keys}
          </span>
          <Button className="card-drop" title="Forget what was typed" onClick={() => core.discard(id)}>
            Drop
          </Button>
        </div>
      )}
    </div>
  );
}
