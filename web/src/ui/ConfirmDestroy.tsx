/** Asks once before a session is destroyed, and names what goes with it. */

import { AlertDialog } from "@base-ui/react/alert-dialog";
import { useRef } from "react";
import type { SessionInfo } from "../protocol/wire";
import { panesOf } from "../terminal/registry";
import { useModel, usePage, useView } from "./page";
import { tabsOf } from "./selection";

export function ConfirmDestroy() {
  const { commands, view } = usePage();
  const model = useModel();
  const { dialog } = useView();
  const keep = useRef<HTMLButtonElement>(null);
  const session =
    dialog?.type === "destroy" ? model.sessions.find((other) => other.id === dialog.sessionId) : undefined;
  const tabs = session === undefined ? [] : tabsOf(model, session.id);
  const panes = tabs.flatMap((tab) => panesOf(tab.layout)).length;
  return (
    <AlertDialog.Root open={session !== undefined} onOpenChange={(open) => !open && view.open(null)}>
      <AlertDialog.Portal>
        <AlertDialog.Backdrop className="backdrop" />
        <AlertDialog.Popup
          className="popup dialog confirm"
          data-testid="confirm-destroy"
          initialFocus={keep}
          finalFocus={() => {
            commands.focusTerminal();
            return false;
          }}
        >
          <AlertDialog.Title className="dialog-title">Destroy “{session?.name}”?</AlertDialog.Title>
          <AlertDialog.Description className="dialog-text">
            {session !== undefined && losses(session, tabs.length, panes)}
          </AlertDialog.Description>
          <div className="dialog-buttons">
            <AlertDialog.Close ref={keep} className="button button-plain" title="Keep (Esc)">
              Keep
            </AlertDialog.Close>
            <button
              type="button"
              className="button button-danger"
              title="Destroy (Enter)"
              onClick={() => {
                view.open(null);
                if (session !== undefined) commands.destroySession(session.id);
              }}
            >
              Destroy
            </button>
          </div>
        </AlertDialog.Popup>
      </AlertDialog.Portal>
    </AlertDialog.Root>
  );
}

const count = (number: number, noun: string) => `${number} ${noun}${number === 1 ? "" : "s"}`;

export function losses(session: SessionInfo, tabs: number, panes: number): string {
  const shown =
    tabs === 0 ? "" : `${count(tabs, "tab")} with ${count(panes, "pane")} and what was printed there, `;
  const running = session.busy === undefined ? "" : ` Still running: ${session.busy}.`;
  const lost = `${shown}its sandbox and every file in it are lost for good.`;
  return `${lost[0]?.toUpperCase()}${lost.slice(1)}${running}`;
}
