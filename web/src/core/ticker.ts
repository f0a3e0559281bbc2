/** Ticks while the page can run, and knows of each tick whether it came so late that something held the page up. */

import type { Environment } from "./api";
import { elapsedMs, instantOf } from "./clock";

/** A tick later than this was held up by a sleeping machine, or by a page that was throttled or stalled. */
export const LATE_MS = 4_000;

export class Ticker {
  #cancel: (() => void) | null = null;

  constructor(
    private readonly environment: Environment,
    private readonly everyMs: number,
    private readonly tick: (late: boolean) => void,
  ) {}

  start(): void {
    if (this.#cancel === null) this.#schedule();
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = null;
  }

  #schedule(): void {
    const from = instantOf(this.environment);
    this.#cancel = this.environment.setTimer(() => {
      const late = elapsedMs(from, instantOf(this.environment)) > this.everyMs + LATE_MS;
      this.#schedule();
      this.tick(late);
    }, this.everyMs);
  }
}
