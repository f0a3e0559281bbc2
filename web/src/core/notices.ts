/** Which panes did something while nobody could see them. */

import type { PaneId } from "./api";

/** What a shell says in falling asleep is no news, and comes this shortly before. */
const FAREWELL_MS = 2_000;

export class Notices {
  /** Null until the page has said what it shows: then nothing is hidden yet. */
  #visible: ReadonlySet<PaneId> | null = null;
  #noticed: ReadonlySet<PaneId> = new Set();
  /** When each was noticed, monotonic. */
  readonly #at = new Map<PaneId, number>();

  /** The same object until something changes. */
  get noticed(): ReadonlySet<PaneId> {
    return this.#noticed;
  }

  /** The panes of the tab that is looked at. */
  show(ids: ReadonlySet<PaneId>): void {
    this.#visible = new Set(ids);
    this.#keep((id) => !ids.has(id));
  }

  note(id: PaneId, now: number): void {
    if (this.#visible === null || this.#visible.has(id) || this.#noticed.has(id)) return;
    this.#noticed = new Set([...this.#noticed, id]);
    this.#at.set(id, now);
  }

  /** The pane is asleep now: its farewell was not worth looking at. */
  fellAsleep(id: PaneId, now: number): void {
    const at = this.#at.get(id);
    if (at !== undefined && now - at < FAREWELL_MS) this.#keep((other) => other !== id);
  }

  keepOnly(living: Readonly<Record<PaneId, unknown>>): void {
    this.#keep((id) => living[id] !== undefined);
  }

  #keep(wanted: (id: PaneId) => boolean): void {
    const kept = [...this.#noticed].filter(wanted);
    if (kept.length === this.#noticed.size) return;
    this.#noticed = new Set(kept);
    for (const id of this.#at.keys()) if (!this.#noticed.has(id)) this.#at.delete(id);
  }
}
