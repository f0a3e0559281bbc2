/** Which panes did something while nobody could see them. */

import type { PaneId } from "./api";

export class Notices {
  /** Null until the page has said what it shows: then nothing is hidden yet. */
  #visible: ReadonlySet<PaneId> | null = null;
  #noticed: ReadonlySet<PaneId> = new Set();

  /** The same object until something changes. */
  get noticed(): ReadonlySet<PaneId> {
    return this.#noticed;
  }

  /** The panes of the tab that is looked at. */
  show(ids: ReadonlySet<PaneId>): void {
    this.#visible = new Set(ids);
    this.#keep((id) => !ids.has(id));
  }

  note(id: PaneId): void {
    if (this.#visible === null || this.#visible.has(id) || this.#noticed.has(id)) return;
    this.#noticed = new Set([...this.#noticed, id]);
  }

  keepOnly(living: Readonly<Record<PaneId, unknown>>): void {
    this.#keep((id) => living[id] !== undefined);
  }

  #keep(wanted: (id: PaneId) => boolean): void {
    const kept = [...this.#noticed].filter(wanted);
    if (kept.length < this.#noticed.size) this.#noticed = new Set(kept);
  }
}
