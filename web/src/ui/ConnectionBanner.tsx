/** Says under the bar that the page is cut off, when it tries again, and what waits to be sent. */

import { useEffect, useState } from "react";
import { Button } from "./Button";
import { keysNotSent } from "./overlay-text";
import { useModel, usePage, useTick } from "./page";

/** A blink of the link is not worth a line that moves in and out. */
const PATIENCE_MS = 400;

export function ConnectionBanner() {
  const { core, clock } = usePage();
  const { connection, unsentKeys, known } = useModel();
  const cutOff = connection.status === "waiting" || (connection.status === "connecting" && known);
  const patient = usePatience(cutOff);
  useTick(cutOff ? 250 : null);
  if (!cutOff || patient) return null;
  const seconds =
    connection.status === "waiting" ? Math.max(0, Math.ceil((connection.retryAt - clock.now()) / 1000)) : 0;
  const keys = keysNotSent(unsentKeys);
  return (
    <div className="banner" role="status" data-testid="connection-banner">
      <span className="banner-text">
        Cut off from the server.{" "}
        <span aria-hidden="true" className="banner-count">
          {seconds > 0 ? `Trying again in ${seconds} s.` : "Trying now…"}
        </span>
      </span>
      {keys !== null && (
        <span className="banner-keys" aria-hidden="true" data-testid="unsent-keys">
          {keys}
        </span>
      )}
      <Button className="banner-button" onClick={() => core.tryNow()}>
        Try now
      </Button>
    </div>
  );
}

function usePatience(cutOff: boolean): boolean {
  const [over, setOver] = useState(false);
  useEffect(() => {
    if (!cutOff) return;
    const timer = window.setTimeout(() => setOver(true), PATIENCE_MS);
    return () => {
      window.clearTimeout(timer);
      setOver(false);
    };
  }, [cutOff]);
  return !over;
}
