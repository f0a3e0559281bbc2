/** The one bar: where the other sessions are, the tabs of this one, and whether the page is connected. */

import { Button } from "./Button";
import { ConnectionMark } from "./ConnectionMark";
import { HelpIcon } from "./icons";
import { useModel, usePage } from "./page";
import { SessionMenu } from "./SessionMenu";
import { Tabs } from "./Tabs";

export function Bar() {
  const { shortcuts, view } = usePage();
  const { connection } = useModel();
  return (
    <header className="bar" data-testid="bar" data-stale={connection.status !== "connected"}>
      <SessionMenu />
      <Tabs />
      <ConnectionMark />
      <Button
        look="icon"
        className="bar-help"
        aria-label="Keyboard shortcuts"
        title={shortcuts.hint("Keyboard shortcuts", "help")}
        onClick={() => view.open({ type: "help" })}
      >
        <HelpIcon />
      </Button>
    </header>
  );
}
