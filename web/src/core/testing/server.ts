/**
 * A small server that keeps the client's part of the protocol and loses, delays and forgets whatever the protocol lets
 * it. Both directions of the line are queues that the test empties one frame at a time. A pane's terminal writes down
 * what it was given; its output is one long text, of which a redraw shows the end.
 */

import { encodeBytes } from "../../protocol/codec";
import type { ClientMessage, Connect, DiscardReason, ServerMessage } from "../../protocol/wire";
import { CONTROL_CHANNEL } from "../../protocol/wire";
import type { PaneId } from "../api";
import type { SimEnvironment, SimSocket } from "./environment";
import type { Random } from "./random";
import { bytes, control, paneInfo, readControl, stateOf, string, tabOf } from "./script";

/** How much of a pane's output a redraw shows. */
export const SCREEN_CHARS = 12;

interface Piece {
  readonly clientId: string;
  /** The server may have forgotten it meanwhile, and have another one for the same client. */
  readonly stream: Stream;
  readonly from: number;
  readonly data: string;
}

interface Stream {
  received: number;
  taken: number;
  notices: { from: number; to: number; reason: DiscardReason }[];
}

export class SimPane {
  /** What the terminal got. */
  terminal = "";
  /** What it ever put out, from position 0. */
  output = "";
  /** Output before it is not held any more. */
  held = 0;
  connected = true;
  queue: Piece[] = [];
  /** Written, and not acknowledged by the agent. */
  inflight: Piece[] = [];
  readonly streams = new Map<string, Stream>();

  constructor(
    readonly id: PaneId,
    readonly channel: number,
    /** The revision that gave it the channel. */
    readonly rev: number,
  ) {}

  stream(clientId: string): Stream {
    const stream = this.streams.get(clientId) ?? { received: 0, taken: 0, notices: [] };
    this.streams.set(clientId, stream);
    return stream;
  }
}

interface Line {
  readonly socket: SimSocket;
  opened: boolean;
  clientId: string;
  greeted: boolean;
  toServer: Uint8Array[];
  toClient: Uint8Array[];
  acked: Map<PaneId, number>;
  ackedRev: number;
}

function newLine(socket: SimSocket): Line {
  return {
    socket,
    opened: false,
    clientId: "",
    greeted: false,
    toServer: [],
    toClient: [],
    acked: new Map(),
    ackedRev: 0,
  };
}

export class SimServer {
  readonly panes = new Map<PaneId, SimPane>();
  line: Line | null = null;
  readonly #known = new Set<string>();
  #rev = 1;
  #made = 0;

  constructor(
    private readonly environment: SimEnvironment,
    private readonly random: Random,
  ) {
    environment.onConnect = (socket) => {
      this.line = newLine(socket);
      const line = this.line;
      socket.onFrame = (frame) => line.toServer.push(frame);
    };
  }

  createPane(): SimPane {
    const taken = new Set([...this.panes.values()].map((pane) => pane.channel));
    let channel = 0;
    while (taken.has(channel)) channel += 1;
    this.#made += 1;
    const pane = new SimPane(`p${this.#made}`, channel, this.#rev + 1);
    this.panes.set(pane.id, pane);
    this.announce();
    if (this.line?.greeted) this.#replay(pane, undefined);
    return pane;
  }

  closePane(pane: SimPane): void {
    this.settle(pane);
    for (const piece of pane.queue) this.#discard(pane, piece, "closed");
    this.panes.delete(pane.id);
    this.announce();
  }

  setConnected(pane: SimPane, connected: boolean): void {
    if (pane.connected === connected) return;
    pane.connected = connected;
    if (connected) {
      const queue = pane.queue;
      pane.queue = [];
      for (const piece of queue) this.#write(pane, piece);
    }
    this.announce();
  }

  /** The agent says what it handed to the terminal. */
  settle(pane: SimPane): void {
    for (const piece of pane.inflight) this.#take(pane, piece);
    pane.inflight = [];
  }

  expire(pane: SimPane, reason: DiscardReason): void {
    for (const piece of pane.queue) this.#discard(pane, piece, reason);
    pane.queue = [];
    this.announce();
  }

  put(pane: SimPane, text: string): void {
    pane.output += text;
    if (this.line?.greeted) this.line.toClient.push(encodeBytes(pane.channel, bytes(text)));
  }

  /** As to a client that fell behind: what it was owed is gone, and it gets a redraw. */
  redraw(pane: SimPane): void {
    if (this.line?.greeted) this.#replay(pane, undefined);
  }

  /** Killed and started again: what the agents have is known, what waited in memory is not. */
  restart(): void {
    this.cut(1006);
    for (const pane of this.panes.values()) {
      this.settle(pane);
      pane.queue = [];
      for (const stream of pane.streams.values()) stream.received = stream.taken;
    }
  }

  /** The server loses everything that it knew of its clients. */
  forgetClients(): void {
    this.cut(1006);
    this.#known.clear();
    for (const pane of this.panes.values()) {
      pane.streams.clear();
      pane.inflight = [];
    }
  }

  cut(code: number): void {
    const line = this.line;
    this.line = null;
    line?.socket.end(code);
  }

  announce(): void {
    this.#rev += 1;
    if (!this.line?.greeted) return;
    const { type: _, now: __, input: ___, ...shared } = this.#state(null);
    this.#say({ type: "layout_update", ...shared });
  }

  /** One frame of the client arrives. */
  stepToServer(): boolean {
    const line = this.line;
    if (line === null || line.socket.closed) return false;
    if (!line.opened) {
      line.opened = true;
      line.socket.open();
      return true;
    }
    const frame = line.toServer.shift();
    if (frame === undefined) return false;
    if (frame[0] === CONTROL_CHANNEL) this.#control(line, readControl(frame));
    else this.#input(line, frame[0] ?? 0, string(frame.subarray(1)));
    return true;
  }

  /** One frame arrives at the client. */
  stepToClient(): boolean {
    const line = this.line;
    const frame = line?.toClient.shift();
    if (line === null || frame === undefined) return false;
    line.socket.receive(frame);
    return true;
  }

  #control(line: Line, message: ClientMessage): void {
    if (message.type === "connect") this.#connect(line, message);
    else if (message.type === "ping")
      this.#say({ type: "pong", time: message.time, now: this.environment.wallNow() });
    // Only now the client is sure to have heard whether it was known.
    else if (message.type === "layout_ack") {
      this.#known.add(line.clientId);
      line.ackedRev = message.rev;
    } else if (message.type === "output_ack") this.#outputAck(line, message.paneId, message.position);
    else if (message.type === "input_discard") {
      const pane = this.panes.get(message.paneId);
      if (pane !== undefined) this.expire(pane, "asked");
    } else if (message.type === "pane_redraw") {
      const pane = this.panes.get(message.paneId);
      const { ref } = message;
      if (pane !== undefined) this.#replay(pane, undefined);
      if (ref != null && pane !== undefined) this.#say({ type: "ok", ref });
      else if (ref != null)
        this.#say({ type: "error", code: "not_found", message: "", request: message.type, ref });
    }
  }

  #outputAck(line: Line, id: PaneId, position: number): void {
    const pane = this.panes.get(id);
    if (pane === undefined) return;
    const before = line.acked.get(id) ?? -1;
    if (position < before || position > pane.output.length)
      throw new Error(`ack of ${position} after ${before}`);
    line.acked.set(id, position);
  }

  #connect(line: Line, message: Connect): void {
    line.clientId = message.clientId ?? "";
    line.greeted = true;
    const known = this.#known.has(line.clientId);
    if (!known) for (const pane of this.panes.values()) pane.streams.delete(line.clientId);
    const asked = [...this.panes.values()].filter(() => known && this.random.chance(0.3));
    const positions = [...this.panes.values()].map((pane) => {
      const { received } = pane.stream(line.clientId);
      return [pane.id, asked.includes(pane) ? null : received] as const;
    });
    this.#say(this.#state(known ? Object.fromEntries(positions) : null));
    for (const pane of this.panes.values()) {
      const { notices, taken } = pane.stream(line.clientId);
      const acked = message.input?.[pane.id] ?? Number.POSITIVE_INFINITY;
      for (const { from, to, reason } of notices) {
        if (to > acked) this.#say({ type: "input_discarded", paneId: pane.id, from, to, reason });
      }
      // It may say once more how far it was, and need not.
      if (taken > acked && !asked.includes(pane) && this.random.chance(0.5)) {
        this.#say({ type: "input_ack", paneId: pane.id, position: taken });
      }
      this.#replay(pane, message.resume?.[pane.id]);
    }
    for (const pane of asked) {
      // The agent says how much it has: all that was received, as nothing waits any more.
      const stream = pane.stream(line.clientId);
      pane.queue = pane.queue.filter((piece) => piece.stream !== stream);
      const inflight = pane.inflight.filter((piece) => piece.stream === stream);
      pane.inflight = pane.inflight.filter((piece) => piece.stream !== stream);
      for (const piece of inflight) stream.taken = Math.max(stream.taken, piece.from + piece.data.length);
      stream.received = stream.taken;
      this.#say({ type: "input_ack", paneId: pane.id, position: stream.taken });
    }
  }

  #replay(pane: SimPane, resume: number | undefined): void {
    const end = pane.output.length;
    const size = { cols: 80, rows: 24 };
    const shared = { type: "replay", paneId: pane.id, channel: pane.channel, ...size } as const;
    if (resume !== undefined && resume >= pane.held && resume <= end) {
      this.#say({ ...shared, position: resume, bytes: 0, reset: false, skipped: 0 });
      if (resume < end) this.line?.toClient.push(encodeBytes(pane.channel, bytes(pane.output.slice(resume))));
      return;
    }
    const screen = pane.output.slice(-SCREEN_CHARS);
    const skipped = resume === undefined ? 0 : Math.max(0, end - resume);
    this.#say({ ...shared, position: end, bytes: screen.length, reset: true, skipped });
    const half = this.random.below(screen.length + 1);
    for (const part of [screen.slice(0, half), screen.slice(half)]) {
      if (part !== "") this.line?.toClient.push(encodeBytes(pane.channel, bytes(part)));
    }
  }

  #input(line: Line, channel: number, data: string): void {
    const pane = [...this.panes.values()].find((other) => other.channel === channel);
    // Meant for the pane that had the channel before.
    if (pane === undefined || line.ackedRev < pane.rev) return;
    const stream = pane.stream(line.clientId);
    const piece = { clientId: line.clientId, stream, from: stream.received, data };
    stream.received += data.length;
    if (pane.connected) this.#write(pane, piece);
    else pane.queue.push(piece);
  }

  #write(pane: SimPane, piece: Piece): void {
    pane.terminal += piece.data;
    pane.inflight.push(piece);
  }

  #take(pane: SimPane, piece: Piece): void {
    const { stream } = piece;
    if (pane.streams.get(piece.clientId) !== stream) return;
    stream.taken = Math.max(stream.taken, piece.from + piece.data.length);
    if (this.line?.clientId === piece.clientId && this.line.greeted) {
      this.#say({ type: "input_ack", paneId: pane.id, position: stream.taken });
    }
  }

  #discard(pane: SimPane, piece: Piece, reason: DiscardReason): void {
    const { stream } = piece;
    if (pane.streams.get(piece.clientId) !== stream) return;
    const notice = { from: piece.from, to: piece.from + piece.data.length, reason };
    stream.notices.push(notice);
    if (this.line?.clientId === piece.clientId && this.line.greeted) {
      this.#say({ type: "input_discarded", paneId: pane.id, ...notice });
    }
    this.#take(pane, piece);
  }

  #say(message: ServerMessage): void {
    this.line?.toClient.push(control(message));
  }

  #state(input: Record<PaneId, number | null> | null) {
    const panes = [...this.panes.values()];
    const each = <T>(value: (pane: SimPane) => T) =>
      Object.fromEntries(panes.map((pane) => [pane.id, value(pane)]));
    const info = (pane: SimPane) => {
      const queued = pane.queue.reduce((sum, piece) => sum + piece.data.length, 0);
      return paneInfo({ status: pane.connected ? "connected" : "asleep", queued });
    };
    return stateOf([], {
      rev: this.#rev,
      now: this.environment.wallNow(),
      tabs: panes.map((pane) => tabOf(pane.id)),
      channels: each((pane) => pane.channel),
      connected: each((pane) => pane.connected),
      panes: each(info),
      input,
    });
  }
}
