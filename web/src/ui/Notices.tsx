/** What a request was refused for, in the server's words, in a corner where it covers little. */

import { useEffect } from "react";
import { Button } from "./Button";
import { CloseIcon } from "./icons";
import { usePage, useView } from "./page";
import type { Notice } from "./view";

const SHOWN_MS = 8_000;
/** Something to decide stays longer. */
const OFFERED_MS = 20_000;

export function Notices() {
  const { notices } = useView();
  return (
    <div className="notices" role="status" aria-live="polite" data-testid="notices">
      {notices.map((notice) => (
        <Line key={notice.id} notice={notice} />
      ))}
    </div>
  );
}

function Line({ notice }: { notice: Notice }) {
  const { view } = usePage();
  const { id, offer } = notice;
  useEffect(() => {
    const timer = window.setTimeout(() => view.dismiss(id), offer === undefined ? SHOWN_MS : OFFERED_MS);
    return () => window.clearTimeout(timer);
  }, [view, id, offer]);
  return (
    <div className="notice">
      <span className="notice-text">{notice.text}</span>
      {offer !== undefined && (
        <Button
          onClick={() => {
            view.dismiss(id);
            offer.act();
          }}
        >
          {offer.label}
        </Button>
      )}
      <Button look="icon" aria-label="Dismiss" title="Dismiss" onClick={() => view.dismiss(id)}>
        <CloseIcon />
      </Button>
    </div>
  );
}
