/** What stands where panes would: nothing yet, nothing any more, or not allowed in. */

import { type ReactNode, useCallback, useEffect } from "react";
import type { SessionInfo } from "../protocol/wire";
import { usePage } from "./page";

function Centre({ children, testId }: { children: ReactNode; testId: string }) {
  return (
    <main className="centre" data-testid={testId}>
      <div className="centre-content">{children}</div>
    </main>
  );
}

/** Enter does the one thing that there is to do, wherever the keyboard is. */
function useEnter(act: () => void): void {
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      if (event.key !== "Enter" || event.target !== document.body) return;
      event.preventDefault();
      act();
    };
    window.addEventListener("keydown", press);
    return () => window.removeEventListener("keydown", press);
  }, [act]);
}

export function NoTabs({ session }: { session: SessionInfo }) {
  const { commands, shortcuts } = usePage();
  const create = useCallback(() => commands.newTab(session.id), [commands, session.id]);
  useEnter(create);
  return (
    <Centre testId="no-tabs">
      <h1 className="centre-name">{session.name}</h1>
      <p className="centre-text">No tabs</p>
      <button
        // biome-ignore lint/a11y/noAutofocus: Enter is to make the tab, and nothing else is on the page.
        autoFocus
        type="button"
        className="button button-filled"
        title={shortcuts.hint("New tab", "new_tab")}
        onClick={create}
      >
        New tab <kbd>Enter</kbd>
      </button>
    </Centre>
  );
}

export function NoSessions() {
  const { commands, shortcuts } = usePage();
  const create = useCallback(() => commands.newSession("main"), [commands]);
  useEnter(create);
  return (
    <Centre testId="no-sessions">
      <p className="centre-text">No sessions</p>
      <button
        // biome-ignore lint/a11y/noAutofocus: Enter is to make the session, and nothing else is on the page.
        autoFocus
        type="button"
        className="button button-filled"
        title={shortcuts.hint("New session", "new_session")}
        onClick={create}
      >
        New session <kbd>Enter</kbd>
      </button>
    </Centre>
  );
}

/** Before the first word of the server: nothing for the blink that it usually takes. */
export function Connecting() {
  return (
    <Centre testId="connecting">
      <p className="centre-text late" role="status">
        Connecting…
      </p>
    </Centre>
  );
}

export function Unauthorized() {
  return (
    <Centre testId="unauthorized">
      <p className="centre-lead" role="alert">
        This page’s token is missing, wrong or no longer valid.
      </p>
      <p className="centre-text">
        Open the address that <code>wormux serve</code> prints when it starts, or start it with{" "}
        <code>--print-token</code>. The token is also in the file <code>token</code> in the server’s data
        directory.
      </p>
    </Centre>
  );
}
