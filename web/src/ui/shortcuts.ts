/** Hears shortcuts before a terminal does, and names them for tooltips and the help dialog. */

import { type Action, actionFor, type Binding, bindings, keysFor, type Platform } from "../core/keymap";

export function platformOf(name: string): Platform {
  return /mac|iphone|ipad/i.test(name) ? "mac" : "other";
}

export class Shortcuts {
  readonly platform: Platform;

  constructor(platform: Platform) {
    this.platform = platform;
  }

  all(): readonly Binding[] {
    return bindings(this.platform);
  }

  /** "Split right (Alt+Shift+R)" */
  hint(title: string, type: Action["type"]): string {
    const keys = keysFor(type, this.platform);
    return keys === "" ? title : `${title} (${keys})`;
  }

  keys(type: Action["type"]): string {
    return keysFor(type, this.platform);
  }

  /** The keys that select the tab at this place, "" past the ninth. */
  tabKeys(index: number): string {
    const select = this.all().find(({ action }) => action.type === "select_tab" && action.index === index);
    return select?.keys ?? "";
  }

  /** `run` says whether it did something; only then the event ends here. Returns how to stop listening. */
  listen(target: Window, run: (action: Action) => boolean): () => void {
    const hear = (event: KeyboardEvent) => {
      const action = actionFor(event, this.platform);
      if (action === null || event.isComposing || !run(action)) return;
      event.preventDefault();
      event.stopPropagation();
    };
    target.addEventListener("keydown", hear, { capture: true });
    return () => target.removeEventListener("keydown", hear, { capture: true });
  }
}
