/** Asks once before something is lost for good, and names it. */

import { AlertDialog } from "@base-ui/react/alert-dialog";
import { useRef } from "react";
import type { Model } from "../core/api";
import type { SessionInfo } from "../protocol/wire";
import { panesOf } from "../terminal/registry";
import type { Commands } from "./commands";
import { useModel, usePage, useView } from "./page";
import { tabsOf } from "./selection";
import type { Dialog } from "./view";

interface Question {
  readonly title: string;
  readonly text: string;
  readonly act: { readonly label: string; readonly run: () => void };
}

export function Confirm() {
  const { commands, view } = usePage();
  const model = useModel();
  const { dialog } = useView();
  const keep = useRef<HTMLButtonElement>(null);
  const question = questionFor(dialog, model, commands);
  return (
    <AlertDialog.Root open={question !== null} onOpenChange={(open) => !open && view.open(null)}>
      <AlertDialog.Portal>
        <AlertDialog.Backdrop className="backdrop" />
        <AlertDialog.Popup
          className="popup dialog confirm"
          data-testid="confirm"
          initialFocus={keep}
          finalFocus={() => {
            commands.focusTerminal();
            return false;
          }}
        >
          <AlertDialog.Title className="dialog-title">{question?.title}</AlertDialog.Title>
          <AlertDialog.Description className="dialog-text">{question?.text}</AlertDialog.Description>
          <div className="dialog-buttons">
            <AlertDialog.Close ref={keep} className="button button-plain" title="Keep (Esc)">
              Keep
            </AlertDialog.Close>
            <button
              type="button"
              className="button button-danger"
              onClick={() => {
                view.open(null);
                question?.act.run();
              }}
            >
              {question?.act.label}
            </button>
          </div>
        </AlertDialog.Popup>
      </AlertDialog.Portal>
    </AlertDialog.Root>
  );
}

function questionFor(dialog: Dialog | null, model: Model, commands: Commands): Question | null {
  if (dialog?.type === "close") {
    return {
      title: `Close the ${dialog.what}?`,
      text: `Still running there: ${dialog.running}. It ends, and what is not saved is lost.`,
      act: { label: "Close", run: dialog.act },
    };
  }
  if (dialog?.type !== "destroy") return null;
  const session = model.sessions.find((other) => other.id === dialog.sessionId);
  if (session === undefined) return null;
  return {
    title: `Destroy “${session.name}”?`,
    text: losses(session, model),
    act: { label: "Destroy", run: () => commands.destroySession(session.id) },
  };
}

const count = (number: number, noun: string) => `${number} ${noun}${number === 1 ? "" : "s"}`;

function losses(session: SessionInfo, model: Model): string {
  const tabs = tabsOf(model, session.id);
  const panes = tabs.flatMap((tab) => panesOf(tab.layout)).length;
  const shown =
    tabs.length === 0
      ? ""
      : `${count(tabs.length, "tab")} with ${count(panes, "pane")} and what was printed there, `;
  const lost = `${shown}its sandbox and every file in it are lost for good.`;
  const running = session.busy === undefined ? "" : ` Still running: ${session.busy}.`;
  return `${lost[0]?.toUpperCase()}${lost.slice(1)}${running}`;
}
