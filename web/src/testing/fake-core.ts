/** A core without a server, for tests and for the gallery: it says what it is told to and keeps what it was asked. */

import type { Core, Model, PaneId, PaneView, Request, TerminalSink } from "../core/api";
import type { Layout, PaneInfo, PaneStatus, SessionInfo, TabInfo } from "../protocol/wire";

const utf8 = new TextEncoder();

export function paneInfo(status: PaneStatus = "connected", more: Partial<PaneInfo> = {}): PaneInfo {
  return { status, cols: 80, rows: 24, title: "", queued: 0, ...more };
}

export function session(id: string, more: Partial<SessionInfo> = {}): SessionInfo {
  return { id, sandboxId: `box-${id}`, name: id, createdAt: 0, provider: "local", status: "awake", ...more };
}

export const leaf = (paneId: PaneId): Layout => ({ type: "pane", paneId });

export function split(orientation: "horizontal" | "vertical", children: Layout[], ratios?: number[]): Layout {
  return { type: "split", orientation, children, ratios: ratios ?? children.map(() => 1 / children.length) };
}

export function tab(id: string, sessionId: string, layout: Layout, more: Partial<TabInfo> = {}): TabInfo {
  let first = layout;
  while (first.type === "split" && first.children[0] !== undefined) first = first.children[0];
  return { id, sessionId, name: id, layout, focus: first.type === "pane" ? first.paneId : "", ...more };
}

const NOTHING: Model = {
  connection: { status: "connected", roundTripMs: 12 },
  unsentKeys: 0,
  known: true,
  sessions: [],
  tabs: [],
  activeTab: null,
  noticed: new Set(),
  clockOffset: 0,
};

export class FakeCore implements Core {
  readonly requests: Request[] = [];
  readonly typed: { id: PaneId; data: Uint8Array }[] = [];
  readonly wishes: { id: PaneId; cols: number; rows: number }[] = [];
  readonly sinks = new Map<PaneId, TerminalSink>();
  readonly bells: PaneId[] = [];
  visible: ReadonlySet<PaneId> = new Set();
  tries = 0;
  /** What the next requests are answered with. */
  answer: (request: Request) => Promise<{ sessionId?: string; tabId?: string; paneId?: string }> =
    async () => ({});
  #model: Model;
  readonly #panes = new Map<PaneId, PaneView>();
  readonly #listeners = new Set<() => void>();
  readonly #paneListeners = new Map<PaneId, Set<() => void>>();

  constructor(model: Partial<Model> = {}) {
    this.#model = { ...NOTHING, ...model };
  }

  change(part: Partial<Model>): void {
    this.#model = { ...this.#model, ...part };
    for (const listener of [...this.#listeners]) listener();
  }

  /** A pane with this status; `more` for what a status does not say. */
  setPane(id: PaneId, status: PaneStatus, info: Partial<PaneInfo> = {}, more: Partial<PaneView> = {}): void {
    const connected = status === "connected";
    this.#panes.set(id, { ...this.pane(id), connected, info: paneInfo(status, info), channel: 1, ...more });
    for (const listener of [...(this.#paneListeners.get(id) ?? [])]) listener();
  }

  print(id: PaneId, text: string): void {
    this.sinks.get(id)?.write(utf8.encode(text), () => {});
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  model(): Model {
    return this.#model;
  }

  subscribePane(id: PaneId, listener: () => void): () => void {
    const listeners = this.#paneListeners.get(id) ?? new Set();
    this.#paneListeners.set(id, listeners.add(listener));
    return () => listeners.delete(listener);
  }

  pane(id: PaneId): PaneView {
    const known = this.#panes.get(id);
    if (known !== undefined) return known;
    const unknown: PaneView = {
      id,
      connected: null,
      info: null,
      channel: null,
      unacked: 0,
      unackedKeys: 0,
      discarded: [],
    };
    this.#panes.set(id, unknown);
    return unknown;
  }

  start(): void {}
  stop(): void {}

  tryNow(): void {
    this.tries += 1;
  }

  attach(id: PaneId, sink: TerminalSink): () => void {
    this.sinks.set(id, sink);
    return () => this.sinks.delete(id);
  }

  redraw(id: PaneId, lines: number): void {
    this.requests.push({ type: "pane_redraw", paneId: id, lines });
  }

  type(id: PaneId, data: Uint8Array): void {
    this.typed.push({ id, data });
  }

  discard(id: PaneId): void {
    this.requests.push({ type: "input_discard", paneId: id });
  }

  dismissDiscarded(id: PaneId): void {
    const view = this.pane(id);
    this.setPane(id, view.info?.status ?? "connected", view.info ?? {}, { discarded: [] });
  }

  wishSize(id: PaneId, cols: number, rows: number): void {
    this.wishes.push({ id, cols, rows });
  }

  request(request: Request) {
    this.requests.push(request);
    return this.answer(request);
  }

  setVisiblePanes(ids: ReadonlySet<PaneId>): void {
    this.visible = ids;
  }

  noteBell(id: PaneId): void {
    this.bells.push(id);
  }
}
