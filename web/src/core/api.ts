/**
 * What the core offers to the terminals and the chrome. It owns the connection, the model of what the server said,
 * both numbered streams and the wish to reconnect; it never touches the DOM. Whoever draws is handed in as a
 * `TerminalSink`; whoever connects, waits or listens is handed in as an `Environment`.
 */

import type { ClientMessage, Colors, PaneInfo, SessionInfo, TabInfo } from "../protocol/wire";

export type PaneId = string;

/** A request without its `ref`, which the core adds. */
export type Request = ClientMessage extends infer M
  ? M extends { type: string }
    ? Omit<M, "ref">
    : never
  : never;

/** One socket, as the core needs it. Binary messages only. */
export interface Socket {
  send(frame: Uint8Array): void;
  close(): void;
}

export interface SocketEvents {
  opened(): void;
  message(frame: Uint8Array): void;
  /** Once, whatever the cause; `code` is 1006 where nothing is known. */
  closed(code: number): void;
}

/** The outside world: the browser's in the page, a simulated one in tests. */
export interface Environment {
  connect(events: SocketEvents): Socket;
  /** Milliseconds, monotonic. */
  now(): number;
  /** Milliseconds since 1970. */
  wallNow(): number;
  setTimer(callback: () => void, ms: number): () => void;
  /** 0 <= x < 1 */
  random(): number;
  newClientId(): string;
  /** Kept for this browser tab only, so that a reload is the same client and another tab is another one. */
  loadClientId(): string | null;
  storeClientId(id: string): void;
}

/** A terminal that draws one pane; lives in the registry of `terminal/`. */
export interface TerminalSink {
  /** Bytes as the program wrote them; `drawn` is called when they are on the grid. */
  write(data: Uint8Array, drawn: () => void): void;
  /** Empties screen, scrollback and modes. */
  reset(): void;
  /** In force for what is written after it. */
  resize(cols: number, rows: number): void;
  /** What was written since `reset` is the whole picture, and the server has `above` lines of scrollback beyond it. */
  redrawn(above: number): void;
}

/**
 * A pane as the page may show it. `connected` is null until the server has spoken of this pane on the present
 * connection: then the page shows "Connecting…", never a live-looking terminal.
 */
export interface PaneView {
  readonly id: PaneId;
  readonly connected: boolean | null;
  readonly info: PaneInfo | null;
  /** The pane's number on the wire; null before the server has spoken of it on the present connection. */
  readonly channel: number | null;
  /** Input bytes that the server has not acknowledged (waiting here or there). */
  readonly unacked: number;
  /** Key presses and pastes among them, for "3 keys waiting". */
  readonly unackedKeys: number;
  /** Input that will never arrive, most recent first, until dismissed: text for the person, and why. */
  readonly discarded: readonly Discarded[];
}

export interface Discarded {
  readonly bytes: number;
  readonly reason: "expired" | "closed" | "asked" | "program_gone" | "uncertain" | "unsent";
  /** What was typed, where this page still has it; shown so that it can be copied. */
  readonly data: Uint8Array | null;
}

export type ConnectionView =
  | { readonly status: "connecting"; readonly attempt: number }
  | { readonly status: "connected"; readonly roundTripMs: number | null }
  /** `retryAt` on the monotonic clock; `unsentKeys` over all panes. */
  | { readonly status: "waiting"; readonly retryAt: number; readonly attempt: number }
  /** Close code 4401: the token is wrong or old. Nothing is tried any more. */
  | { readonly status: "unauthorized" };

/** Everything but the panes' own state. Immutable; a new object only when something in it changed. */
export interface Model {
  readonly connection: ConnectionView;
  /** Keys typed while cut off, all panes. */
  readonly unsentKeys: number;
  /** False until the first `state` ever. */
  readonly known: boolean;
  readonly sessions: readonly SessionInfo[];
  readonly tabs: readonly TabInfo[];
  readonly activeTab: string | null;
  /** Hidden panes that had output or a bell since their tab was last seen. */
  readonly noticed: ReadonlySet<PaneId>;
  /** Server time minus local wall time, ms. */
  readonly clockOffset: number;
}

export class RequestError extends Error {
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

export interface Core {
  /** For `useSyncExternalStore`. */
  subscribe(listener: () => void): () => void;
  model(): Model;
  /** Called only when this pane's view changed. */
  subscribePane(id: PaneId, listener: () => void): () => void;
  pane(id: PaneId): PaneView;

  start(size: { width: number; height: number }, colors: Colors | null): void;
  stop(): void;
  /** "Try now", also when the network or the person is back: looks whether the connection lives, or connects. */
  tryNow(): void;

  /** Output of the pane goes to `sink` from now on; asks the server for a redraw if bytes were missed. */
  attach(id: PaneId, sink: TerminalSink): () => void;
  /** What is drawn of the pane is wrong: brings a redraw with so many lines of scrollback, behind a cut as well. */
  redraw(id: PaneId, lines: number): void;
  /** Bytes typed or pasted. While the pane is not connected, callers must not pass mouse or focus reports. */
  type(id: PaneId, data: Uint8Array): void;
  /** Drops what was typed and is not written yet. */
  discard(id: PaneId): void;
  dismissDiscarded(id: PaneId): void;
  /** This page's own space for the pane changed. Sent only when it differs from the last wish. */
  wishSize(id: PaneId, cols: number, rows: number): void;
  /**
   * Rejects with `RequestError`; a request whose answer was lost rejects with code "lost" and is never repeated, one
   * without a connection with "offline". A `client_update` is remembered for later connections.
   */
  request(request: Request): Promise<{ sessionId?: string; tabId?: string; paneId?: string }>;
  setVisiblePanes(ids: ReadonlySet<PaneId>): void;
  noteBell(id: PaneId): void;
}
