/** Every shortcut there is, from the same table that hears them. */

import { Dialog } from "@base-ui/react/dialog";
import { useRef } from "react";
import type { Binding } from "../core/keymap";
import { CloseIcon } from "./icons";
import { usePage, useView } from "./page";

interface Group {
  readonly name: string;
  readonly types: readonly Binding["action"]["type"][];
}

const GROUPS: readonly Group[] = [
  { name: "Panes", types: ["split_right", "split_down", "close_pane", "zoom", "focus", "find", "copy"] },
  {
    name: "Tabs",
    types: ["new_tab", "close_tab", "rename_tab", "next_tab", "previous_tab", "select_tab"],
  },
  { name: "Sessions", types: ["session_menu", "new_session"] },
  { name: "Page", types: ["help"] },
];

/** Nine lines for nine tabs say no more than one. */
function shown(bindings: readonly Binding[]): readonly { title: string; keys: string }[] {
  const lines: { title: string; keys: string }[] = [];
  for (const { action, title, keys } of bindings) {
    if (action.type !== "select_tab") lines.push({ title, keys });
    else if (action.index === 0) lines.push({ title: "Tab 1 to 9", keys: keys.replace(/1$/, "1…9") });
  }
  return lines;
}

const IN_THE_LIST = [
  { title: "In the list: rename", keys: "F2" },
  { title: "In the list: sleep now", keys: "F8" },
  { title: "In the list: destroy", keys: "Delete" },
];

export function HelpDialog() {
  const { commands, shortcuts, view } = usePage();
  const { dialog } = useView();
  const popup = useRef<HTMLDivElement>(null);
  const all = shortcuts.all();
  const named = new Set(GROUPS.flatMap((group) => group.types));
  const groups = GROUPS.map((group) => ({
    name: group.name,
    // What the table gains later is listed even before it has a group.
    bindings: all.filter(
      ({ action }) => group.types.includes(action.type) || (group.name === "Page" && !named.has(action.type)),
    ),
  }));
  return (
    <Dialog.Root open={dialog?.type === "help"} onOpenChange={(open) => !open && view.open(null)}>
      <Dialog.Portal>
        <Dialog.Backdrop className="backdrop" />
        <Dialog.Popup
          className="popup dialog help"
          data-testid="help"
          ref={popup}
          initialFocus={popup}
          finalFocus={() => {
            commands.focusTerminal();
            return false;
          }}
        >
          <div className="dialog-head">
            <Dialog.Title className="dialog-title">Keyboard shortcuts</Dialog.Title>
            <Dialog.Close className="button button-icon" aria-label="Close" title="Close (Esc)">
              <CloseIcon />
            </Dialog.Close>
          </div>
          <div className="help-groups">
            {groups.map((group) => (
              <section key={group.name} className="help-group">
                <h3 className="help-name">{group.name}</h3>
                <dl className="help-lines">
                  {shown(group.bindings).map((line) => (
                    <Line key={line.title} {...line} />
                  ))}
                  {group.name === "Sessions" &&
                    IN_THE_LIST.map((line) => <Line key={line.title} {...line} />)}
                </dl>
              </section>
            ))}
          </div>
          <p className="help-note">
            In a pane that is not connected, any key wakes it. Drag the line between two panes to resize them;
            double-click it to even them out.
          </p>
        </Dialog.Popup>
      </Dialog.Portal>
    </Dialog.Root>
  );
}

function Line({ title, keys }: { title: string; keys: string }) {
  return (
    <div className="help-line">
      <dt>{title}</dt>
      <dd>
        <kbd>{keys}</kbd>
      </dd>
    </div>
  );
}
