/**
 * What the page may show: the server's last word, joined with what this client knows of itself. Every value is
 * immutable and stays the same object until something in it changes; listeners are told once per change and only of
 * their own.
 */

import type { LayoutUpdate, PaneInfo, State } from "../protocol/wire";
import type { ConnectionView, Model, PaneId, PaneView } from "./api";
import type { InputView } from "./input";
import { share } from "./share";

/** The server's clock is taken to have moved only past this: network delays differ by less. */
export const CLOCK_TOLERANCE_MS = 250;

/** What the model does not own and asks for whenever it looks again. */
export interface ModelSources {
  connection(): ConnectionView;
  unsentKeys(): number;
  noticed(): ReadonlySet<PaneId>;
  inputOf(id: PaneId): InputView;
}

type Said = Pick<Model, "known" | "sessions" | "tabs" | "activeTab" | "clockOffset">;

export class ModelStore {
  #said: Said = { known: false, sessions: [], tabs: [], activeTab: null, clockOffset: 0 };
  /** Of what the server last announced. */
  #rev = 0;
  #channels: Readonly<Record<PaneId, number>> = {};
  #connected: Readonly<Record<PaneId, boolean>> = {};
  #panes: Readonly<Record<PaneId, PaneInfo>> = {};
  #model: Model;
  /** Of every pane that somebody looked at. */
  readonly #views = new Map<PaneId, PaneView>();
  readonly #listeners = new Set<() => void>();
  readonly #paneListeners = new Map<PaneId, Set<() => void>>();
  /** How many `change`s are under way, and what is to be looked at again when they end. */
  #depth = 0;
  #modelStale = false;
  readonly #stalePanes = new Set<PaneId>();

  constructor(private readonly sources: ModelSources) {
    this.#model = this.#lookAround();
  }

  get model(): Model {
    return this.#model;
  }

  /** Of every pane that there is, as the server last said. */
  get channels(): Readonly<Record<PaneId, number>> {
    return this.#channels;
  }

  infoOf(id: PaneId): PaneInfo | null {
    return this.#panes[id] ?? null;
  }

  pane(id: PaneId): PaneView {
    const view = this.#views.get(id) ?? this.#lookAt(id);
    this.#views.set(id, view);
    return view;
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  subscribePane(id: PaneId, listener: () => void): () => void {
    this.pane(id);
    const listeners = this.#paneListeners.get(id) ?? new Set();
    this.#paneListeners.set(id, listeners);
    listeners.add(listener);
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0 && this.#paneListeners.get(id) === listeners) this.#paneListeners.delete(id);
    };
  }

  /** Runs `step`; afterwards whoever watches something that changed is told, once. */
  change(step: () => void): void {
    this.#depth += 1;
    try {
      step();
    } finally {
      this.#depth -= 1;
      if (this.#depth === 0) this.#tell();
    }
  }

  staleModel(): void {
    this.#modelStale = true;
  }

  stalePane(id: PaneId): void {
    this.#stalePanes.add(id);
  }

  staleEverything(): void {
    this.staleModel();
    for (const id of this.#views.keys()) this.#stalePanes.add(id);
  }

  /** Revisions only rise: what comes with an older one would bring back what is over. */
  isOutdated(message: LayoutUpdate): boolean {
    return message.rev <= this.#rev;
  }

  /** `panes` of an update has the changed entries only, that of a `state` all of them. */
  apply(message: State | LayoutUpdate): void {
    this.#rev = message.rev;
    const before = message.type === "state" ? {} : this.#panes;
    const panes: Record<PaneId, PaneInfo> = {};
    for (const id of Object.keys(message.channels)) {
      const info = message.panes[id] ?? before[id];
      if (info !== undefined) panes[id] = share(this.#panes[id], info) ?? info;
    }
    this.#panes = panes;
    this.#channels = message.channels;
    this.#connected = message.connected;
    this.#said = {
      ...this.#said,
      known: true,
      sessions: share(this.#said.sessions, message.sessions ?? this.#said.sessions),
      tabs: share(this.#said.tabs, message.tabs),
      activeTab: message.activeTab,
    };
    this.staleEverything();
  }

  setClockOffset(offsetMs: number): void {
    if (Math.abs(offsetMs - this.#said.clockOffset) <= CLOCK_TOLERANCE_MS) return;
    this.#said = { ...this.#said, clockOffset: Math.round(offsetMs) };
    this.staleModel();
  }

  #tell(): void {
    const before = this.#model;
    if (this.#modelStale) this.#model = keep(before, this.#lookAround());
    this.#modelStale = false;
    const changed = [...this.#stalePanes].filter((id) => this.#renew(id));
    this.#stalePanes.clear();
    if (this.#model !== before) call(this.#listeners);
    for (const id of changed) call(this.#paneListeners.get(id) ?? []);
  }

  /** Whether the pane's view is another one now. A view that nobody can ask for any more is forgotten. */
  #renew(id: PaneId): boolean {
    const before = this.#views.get(id);
    if (before === undefined) return false;
    const view = keep(before, this.#lookAt(id));
    const watched = this.#paneListeners.has(id);
    if (watched || this.#channels[id] !== undefined || view.discarded.length > 0) this.#views.set(id, view);
    else this.#views.delete(id);
    return view !== before;
  }

  #lookAround(): Model {
    return {
      ...this.#said,
      connection: this.sources.connection(),
      unsentKeys: this.sources.unsentKeys(),
      noticed: this.sources.noticed(),
    };
  }

  #lookAt(id: PaneId): PaneView {
    const present = this.sources.connection().status === "connected";
    return {
      id,
      connected: present ? (this.#connected[id] ?? null) : null,
      channel: present ? (this.#channels[id] ?? null) : null,
      info: this.infoOf(id),
      ...this.sources.inputOf(id),
    };
  }
}

/** `before`, unless a field of `after` is another value; the values themselves are shared already. */
function keep<T extends object>(before: T, after: T): T {
  const names = Object.keys(after) as (keyof T)[];
  return names.every((name) => Object.is(before[name], after[name])) ? before : after;
}

function call(listeners: Iterable<() => void>): void {
  for (const listener of [...listeners]) listener();
}
