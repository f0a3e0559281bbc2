/** All sessions, with what can be done to each, and the way to a new one. */

import { type KeyboardEvent, useEffect, useRef, useState } from "react";
import type { SessionInfo } from "../protocol/wire";
import { Button } from "./Button";
import { BinIcon, MoonIcon, PencilIcon, PlusIcon } from "./icons";
import { KeepAwake } from "./KeepAwake";
import { NameField } from "./NameField";
import { useModel, usePage } from "./page";
import { SessionBusy } from "./SessionBusy";
import { SESSION_MARKS, StatusMark } from "./StatusMark";

export function SessionList({ naming, shownId }: { naming: boolean; shownId: string | null }) {
  const { commands, shortcuts, view } = usePage();
  const { sessions } = useModel();
  const [renaming, setRenaming] = useState<string | null>(null);
  return (
    <>
      {sessions.length === 0 && <p className="sessions-none">No sessions</p>}
      <ul className="sessions-list">
        {sessions.map((session) => (
          <Row
            key={session.id}
            session={session}
            shown={session.id === shownId}
            renaming={session.id === renaming}
            setRenaming={setRenaming}
          />
        ))}
      </ul>
      <div className="sessions-foot" data-row>
        {naming ? (
          <NameField
            label="Name of the new session"
            name={freeName(sessions)}
            onDone={(name) => {
              view.open(null);
              if (name.trim() !== "") commands.newSession(name);
            }}
            onCancel={() => view.open({ type: "sessions", naming: false })}
          />
        ) : (
          <button
            type="button"
            className="sessions-new"
            data-stop
            onClick={() => view.open({ type: "sessions", naming: true })}
          >
            <PlusIcon />
            <span>New session</span>
            <kbd>{shortcuts.keys("new_session")}</kbd>
          </button>
        )}
      </div>
    </>
  );
}

/** "main", or "session 2" and so on. */
function freeName(sessions: readonly SessionInfo[]): string {
  const taken = new Set(sessions.map((session) => session.name));
  if (!taken.has("main")) return "main";
  let number = 2;
  while (taken.has(`session ${number}`)) number += 1;
  return `session ${number}`;
}

interface RowProps {
  session: SessionInfo;
  shown: boolean;
  renaming: boolean;
  setRenaming: (id: string | null) => void;
}

function Row({ session, shown, renaming, setRenaming }: RowProps) {
  const { commands, view } = usePage();
  const { mark, word } = SESSION_MARKS[session.status];
  const canSleep = session.status === "awake";
  const main = useRef<HTMLButtonElement>(null);
  const renamed = useRef(false);
  // The field took the keyboard along when it went, unless something else has it.
  useEffect(() => {
    const nobodys = document.activeElement?.contains(main.current) ?? true;
    if (renamed.current && !renaming && nobodys) main.current?.focus();
    renamed.current = renaming;
  }, [renaming]);
  const rename = () => setRenaming(session.id);
  const sleep = () => commands.sleepSession(session.id);
  const destroy = () => view.open({ type: "destroy", sessionId: session.id });
  const press = (event: KeyboardEvent) => {
    if (event.key === "F2") rename();
    else if (event.key === "Delete") destroy();
    else if (event.key === "F8" && canSleep) sleep();
    else return;
    event.preventDefault();
  };
  return (
    <li className="session" data-row data-testid="session" data-shown={shown} data-status={session.status}>
      {renaming ? (
        <div className="session-main">
          <StatusMark mark={mark} />
          <NameField
            label="Name of the session"
            name={session.name}
            onDone={(name) => {
              setRenaming(null);
              commands.renameSession(session.id, name);
            }}
          />
        </div>
      ) : (
        <button
          ref={main}
          type="button"
          className="session-main"
          data-stop
          aria-current={shown}
          title="Switch (Enter)"
          onKeyDown={press}
          onClick={() => {
            view.open(null);
            commands.switchSession(session.id);
          }}
        >
          <StatusMark mark={mark} />
          <span className="session-name">{session.name}</span>
          <span className="session-state">
            {session.status === "awake" && session.busy === undefined && session.sleepsAt === undefined ? (
              word
            ) : (
              <SessionBusy session={session} className="session-busy" />
            )}
          </span>
        </button>
      )}
      <div className="session-actions">
        <Button look="icon" aria-label={`Rename ${session.name}`} title="Rename (F2)" onClick={rename}>
          <PencilIcon />
        </Button>
        <KeepAwake session={session} />
        <Button
          look="icon"
          aria-label={`Sleep ${session.name} now`}
          title="Sleep now (F8)"
          disabled={!canSleep}
          onClick={sleep}
        >
          <MoonIcon />
        </Button>
        <Button look="icon" aria-label={`Destroy ${session.name}`} title="Destroy (Delete)" onClick={destroy}>
          <BinIcon />
        </Button>
      </div>
    </li>
  );
}
