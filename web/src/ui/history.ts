/** Remembers since when each pane has been in its status, as far as this page saw it happen. */

import type { Core, PaneId } from "../core/api";
import type { PaneStatus } from "../protocol/wire";
import { panesOf } from "../terminal/registry";
import type { Clock } from "./page";

interface Entry {
  status: PaneStatus | null;
  /** Monotonic, of the present status. */
  since: number;
  unsubscribe: () => void;
}

export class PaneHistory {
  readonly #core: Core;
  readonly #clock: Clock;
  readonly #entries = new Map<PaneId, Entry>();
  readonly #unsubscribe: () => void;

  constructor(core: Core, clock: Clock) {
    this.#core = core;
    this.#clock = clock;
    this.#unsubscribe = core.subscribe(() => this.#follow());
    this.#follow();
  }

  /** Monotonic; now for a pane that is not known. */
  since(id: PaneId): number {
    return this.#entries.get(id)?.since ?? this.#clock.now();
  }

  dispose(): void {
    this.#unsubscribe();
    for (const entry of this.#entries.values()) entry.unsubscribe();
    this.#entries.clear();
  }

  #follow(): void {
    const living = new Set(this.#core.model().tabs.flatMap((tab) => panesOf(tab.layout)));
    for (const [id, entry] of this.#entries) {
      if (living.has(id)) continue;
      entry.unsubscribe();
      this.#entries.delete(id);
    }
    for (const id of living) {
      if (this.#entries.has(id)) continue;
      const entry: Entry = {
        status: this.#core.pane(id).info?.status ?? null,
        since: this.#clock.now(),
        unsubscribe: this.#core.subscribePane(id, () => this.#note(id)),
      };
      this.#entries.set(id, entry);
    }
  }

  #note(id: PaneId): void {
    const entry = this.#entries.get(id);
    const status = this.#core.pane(id).info?.status ?? null;
    if (entry === undefined || status === entry.status || status === null) return;
    entry.status = status;
    entry.since = this.#clock.now();
  }
}
