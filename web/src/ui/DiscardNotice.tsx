/** Names what was typed and will never arrive, with why, until it is dismissed. */

import { useState } from "react";
import type { Discarded, PaneId } from "../core/api";
import { Button } from "./Button";
import { copyText } from "./clipboard";
import { CheckIcon, CloseIcon, CopyIcon } from "./icons";
import { readable, wasTyped, whyDiscarded } from "./overlay-text";
import { usePage } from "./page";

const SHOWN = 2;

export function DiscardNotice({ id, discarded }: { id: PaneId; discarded: readonly Discarded[] }) {
  const { core } = usePage();
  const typed = discarded.filter(wasTyped);
  if (typed.length === 0) return null;
  const rest = typed.length - SHOWN;
  return (
    <div className="discards" role="status" data-testid="discard-notice">
      <div className="discards-list">
        {typed.slice(0, SHOWN).map((entry, index) => (
          <Entry key={index} entry={entry} />
        ))}
        {rest > 0 && <div className="discard-why">and {rest} more</div>}
      </div>
      <Button look="icon" aria-label="Dismiss" title="Dismiss" onClick={() => core.dismissDiscarded(id)}>
        <CloseIcon />
      </Button>
    </div>
  );
}

function Entry({ entry }: { entry: Discarded }) {
  const [copied, setCopied] = useState(false);
  const { data } = entry;
  const copy = async (bytes: Uint8Array) => setCopied(await copyText(new TextDecoder().decode(bytes)));
  return (
    <div className="discard">
      <div className="discard-why">{whyDiscarded(entry.reason)}</div>
      {data === null ? (
        <div className="discard-text">{entry.bytes === 1 ? "1 byte" : `${entry.bytes} bytes`}</div>
      ) : (
        <div className="discard-row">
          <code className="discard-text">{readable(data)}</code>
          <Button
            look="icon"
            aria-label="Copy what was typed"
            title={copied ? "Copied" : "Copy"}
            onClick={() => void copy(data)}
          >
            {copied ? <CheckIcon /> : <CopyIcon />}
          </Button>
        </div>
      )}
    </div>
  );
}
