/** How many whole cells a space holds, and when to say so. */

import { MAX_COLS, MAX_ROWS, MIN_COLS, MIN_ROWS } from "../protocol/wire";

export const PADDING_PX = 8;
/** Between two wishes of one pane, so that a drag is not a hundred resizes a second. */
const WISH_INTERVAL_MS = 100;

export interface Cell {
  readonly width: number;
  readonly height: number;
}

export interface Grid {
  readonly cols: number;
  readonly rows: number;
}

/** Null where no whole cell fits or the cell is unknown. */
export function gridFor(widthPx: number, heightPx: number, cell: Cell): Grid | null {
  const cols = Math.floor((widthPx - 2 * PADDING_PX) / cell.width);
  const rows = Math.floor((heightPx - 2 * PADDING_PX) / cell.height);
  if (!(cols >= 1 && rows >= 1)) return null;
  return {
    cols: Math.min(MAX_COLS, Math.max(MIN_COLS, cols)),
    rows: Math.min(MAX_ROWS, Math.max(MIN_ROWS, rows)),
  };
}

/** Runs `work` in the next frame, then at most once per interval, and always once after the last call. */
export class Pace {
  #frame: number | null = null;
  #timer: number | null = null;
  #again = false;

  readonly #work: () => void;

  constructor(work: () => void) {
    this.#work = work;
  }

  call(): void {
    if (this.#timer !== null) {
      this.#again = true;
      return;
    }
    if (this.#frame !== null) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = null;
      this.#timer = window.setTimeout(() => this.#rested(), WISH_INTERVAL_MS);
      this.#work();
    });
  }

  #rested(): void {
    this.#timer = null;
    if (!this.#again) return;
    this.#again = false;
    this.call();
  }

  stop(): void {
    if (this.#frame !== null) cancelAnimationFrame(this.#frame);
    if (this.#timer !== null) window.clearTimeout(this.#timer);
    this.#frame = null;
    this.#timer = null;
    this.#again = false;
  }
}
