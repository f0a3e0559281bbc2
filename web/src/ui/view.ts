/** What only this page knows: which dialog is open, which pane is zoomed, what went wrong last. Nothing of it is sent. */

import type { PaneId } from "../core/api";
import { Store } from "./store";

export interface Notice {
  readonly id: number;
  readonly text: string;
  /** Something that can be done about it. */
  readonly offer?: { readonly label: string; readonly act: () => void };
}

export type Dialog =
  | { readonly type: "sessions"; readonly naming: boolean }
  | { readonly type: "help" }
  | { readonly type: "destroy"; readonly sessionId: string }
  /** What runs there ends with it. */
  | { readonly type: "close"; readonly what: string; readonly running: string; readonly act: () => void };

export interface View {
  readonly dialog: Dialog | null;
  /** A session without tabs that is looked at; with tabs, the active tab says which session it is. */
  readonly sessionId: string | null;
  /** The zoomed pane of each tab. */
  readonly zoomed: ReadonlyMap<string, PaneId>;
  readonly renamingTab: string | null;
  /** Focus that was asked for and is not in the server's layout yet. */
  readonly wantedFocus: { readonly tabId: string; readonly paneId: PaneId } | null;
  /** The pane in which something is looked for. */
  readonly finding: PaneId | null;
  readonly notices: readonly Notice[];
}

const EMPTY: View = {
  dialog: null,
  sessionId: null,
  zoomed: new Map(),
  renamingTab: null,
  wantedFocus: null,
  finding: null,
  notices: [],
};

/** Older ones make way: a list of errors helps nobody. */
const NOTICES = 3;

export class ViewStore extends Store<View> {
  #lastNotice = 0;

  constructor() {
    super(EMPTY);
  }

  change(part: Partial<View>): void {
    this.update((view) => ({ ...view, ...part }));
  }

  open(dialog: Dialog | null): void {
    this.change({ dialog });
  }

  zoom(tabId: string, paneId: PaneId | null): void {
    const zoomed = new Map(this.get().zoomed);
    if (paneId === null) zoomed.delete(tabId);
    else zoomed.set(tabId, paneId);
    this.change({ zoomed });
  }

  /** The same sentence is shown once. */
  notify(text: string, offer?: Notice["offer"]): void {
    this.#lastNotice += 1;
    const notice: Notice = { id: this.#lastNotice, text, ...(offer && { offer }) };
    const others = this.get().notices.filter((other) => other.text !== text);
    this.change({ notices: [...others, notice].slice(-NOTICES) });
  }

  dismiss(id: number): void {
    this.change({ notices: this.get().notices.filter((notice) => notice.id !== id) });
  }
}
