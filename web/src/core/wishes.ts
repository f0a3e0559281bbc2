/** The sizes that this page wants for its panes. The server forgets them with the connection, so they are said again. */

import { MAX_COLS, MAX_ROWS, MIN_COLS, MIN_ROWS } from "../protocol/wire";
import type { PaneId } from "./api";

interface Wish {
  readonly cols: number;
  readonly rows: number;
  /** Whether it was said on the present connection. */
  sent: boolean;
}

export class Wishes {
  readonly #wishes = new Map<PaneId, Wish>();

  constructor(private readonly send: (id: PaneId, cols: number, rows: number) => void) {}

  /** `open`: the pane is there and the server listens; otherwise the wish waits. */
  wish(id: PaneId, cols: number, rows: number, open: boolean): void {
    const bounded = { cols: bound(cols, MIN_COLS, MAX_COLS), rows: bound(rows, MIN_ROWS, MAX_ROWS) };
    const last = this.#wishes.get(id);
    if (last?.cols === bounded.cols && last.rows === bounded.rows) return;
    const wish = { ...bounded, sent: false };
    this.#wishes.set(id, wish);
    if (open) this.#say(id, wish);
  }

  /** The panes that there are: says what they have not been told, and forgets those that are gone. */
  updated(living: Readonly<Record<PaneId, unknown>>): void {
    for (const [id, wish] of this.#wishes) {
      if (living[id] === undefined) {
        // One for a pane that is only just being made waits for it.
        if (wish.sent) this.#wishes.delete(id);
      } else if (!wish.sent) {
        this.#say(id, wish);
      }
    }
  }

  cut(): void {
    for (const wish of this.#wishes.values()) wish.sent = false;
  }

  #say(id: PaneId, wish: Wish): void {
    wish.sent = true;
    this.send(id, wish.cols, wish.rows);
  }
}

function bound(value: number, least: number, most: number): number {
  return Math.min(most, Math.max(least, Math.floor(value) || least));
}
