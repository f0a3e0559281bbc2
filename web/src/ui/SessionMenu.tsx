/** The session switcher: the name of this one in the bar, and the list of all behind it. */

import { Popover } from "@base-ui/react/popover";
import { type KeyboardEvent, useRef } from "react";
import { ChevronIcon } from "./icons";
import { useModel, usePage, useView } from "./page";
import { SessionBusy } from "./SessionBusy";
import { SessionList } from "./SessionList";
import { SESSION_MARKS, StatusMark } from "./StatusMark";
import { shownSession } from "./selection";

export function SessionMenu() {
  const { commands, shortcuts, view: store } = usePage();
  const model = useModel();
  const view = useView();
  const list = useRef<HTMLDivElement>(null);
  const session = shownSession(model, view);
  const dialog = view.dialog?.type === "sessions" ? view.dialog : null;
  const status = session === null ? null : SESSION_MARKS[session.status];

  /** Up and down go through the rows, whichever part of one has the keyboard. */
  const step = (event: KeyboardEvent<HTMLDivElement>) => {
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    const stops = [...event.currentTarget.querySelectorAll<HTMLElement>("[data-stop]")];
    const at = stops.findIndex((stop) => stop.closest("[data-row]")?.contains(document.activeElement));
    const next = (at + (event.key === "ArrowDown" ? 1 : -1) + stops.length) % stops.length;
    event.preventDefault();
    stops[next]?.focus();
  };

  return (
    <Popover.Root
      open={dialog !== null}
      onOpenChange={(open) => store.open(open ? { type: "sessions", naming: false } : null)}
    >
      <Popover.Trigger
        className="switcher"
        data-testid="session-switcher"
        title={shortcuts.hint("Sessions", "session_menu")}
        onMouseDown={(event) => event.preventDefault()}
      >
        {status !== null && <StatusMark mark={status.mark} label={status.word} />}
        <span className="switcher-name">{session?.name ?? "Sessions"}</span>
        {session !== null && <SessionBusy session={session} className="switcher-busy" />}
        <ChevronIcon />
      </Popover.Trigger>
      <Popover.Portal>
        <Popover.Positioner className="positioner" align="start" sideOffset={4} collisionPadding={8}>
          <Popover.Popup
            ref={list}
            className="popup sessions"
            data-testid="session-menu"
            aria-label="Sessions"
            initialFocus={() => firstOf(list.current, "input", "[aria-current=true]", "[data-stop]") ?? true}
            finalFocus={() => {
              commands.focusTerminal();
              return false;
            }}
            onKeyDown={step}
          >
            <SessionList naming={dialog?.naming ?? false} shownId={session?.id ?? null} />
          </Popover.Popup>
        </Popover.Positioner>
      </Popover.Portal>
    </Popover.Root>
  );
}

/** What the first of these selectors that finds anything finds. */
function firstOf(element: HTMLElement | null, ...selectors: string[]): HTMLElement | null {
  for (const selector of selectors) {
    const found = element?.querySelector<HTMLElement>(selector) ?? null;
    if (found !== null) return found;
  }
  return null;
}
