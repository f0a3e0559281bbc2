/**
 * Everything typed, pane by pane: what may be sent now goes out at once, the rest waits here, and every byte ends in
 * its terminal or among the discarded. After a cut it goes on where the server says (protocol §6).
 */

import { INPUT_CLIENT_BYTES, INPUT_PANE_BYTES, QUEUE_WAITS_S } from "../protocol/wire";
import type { Discarded, PaneId } from "./api";
import type { Instant } from "./clock";
import { addDiscarded } from "./discards";
import { InputStream } from "./input-stream";

/** One frame of input: small enough that a control message never waits long behind one. */
export const INPUT_FRAME_BYTES = 64 * 1024;
/** Waiting in this page, all panes together; past it what is typed is discarded and named. */
export const WAITING_BYTES = 32 * 1024 * 1024;
/** What a waiting piece costs besides its bytes. */
const PIECE_BYTES = 100;
/** Closed panes that still wait for the server's word on their last input, or have something to show. */
const CLOSED_PANES = 32;

export interface InputPort {
  now(): Instant;
  /** Null while the pane has no channel or nothing can be sent. */
  channelOf(id: PaneId): number | null;
  /** Input bytes of all clients that wait in the server for this pane. */
  queuedOf(id: PaneId): number;
  sendBytes(channel: number, data: Uint8Array): void;
  askDiscard(id: PaneId): void;
  /** What `inputOf(id)` says changed. */
  changed(id: PaneId): void;
}

export interface InputView {
  readonly unacked: number;
  readonly unackedKeys: number;
  readonly discarded: readonly Discarded[];
}

const NOTHING: InputView = { unacked: 0, unackedKeys: 0, discarded: [] };

interface PaneInput {
  readonly stream: InputStream;
  discarded: readonly Discarded[];
  closedAt: Instant | null;
}

export class Input {
  readonly #panes = new Map<PaneId, PaneInput>();
  readonly #closed = new Map<PaneId, PaneInput>();
  /** Whether `state` has come on the present connection. */
  #open = false;

  constructor(private readonly port: InputPort) {}

  viewOf(id: PaneId): InputView {
    const pane = this.#find(id);
    if (pane === undefined) return NOTHING;
    const { unackedBytes, unackedKeys } = pane.stream;
    return { unacked: unackedBytes, unackedKeys, discarded: pane.discarded };
  }

  /** Keys of all panes that have not been sent. */
  waitingKeys(): number {
    let keys = 0;
    for (const { stream } of this.#panes.values()) keys += stream.waitingKeys;
    return keys;
  }

  /** For `connect`: up to where this page has heard what became of its input, for each pane. */
  positions(): Record<PaneId, number> {
    const positions: Record<PaneId, number> = {};
    for (const [id, { stream }] of this.#panes) {
      if (stream.acked !== null) positions[id] = stream.acked;
    }
    return positions;
  }

  type(id: PaneId, data: Uint8Array): void {
    if (data.length === 0) return;
    const pane = this.#panes.get(id);
    if (pane === undefined) {
      this.#discarded(id, this.#forClosed(id), data, data.length, "closed");
    } else if (this.#waitingCost() + data.length + PIECE_BYTES > WAITING_BYTES) {
      this.#discarded(id, pane, data, data.length, "unsent");
    } else {
      pane.stream.type(data, this.port.now());
      this.port.changed(id);
      this.#send(id, pane);
    }
  }

  discard(id: PaneId): void {
    const pane = this.#panes.get(id);
    if (pane === undefined) return;
    this.#dropped(id, pane, pane.stream.dropWaiting(), "asked");
    pane.stream.unwantSent();
    if (this.#open && pane.stream.sentUnwanted) this.port.askDiscard(id);
  }

  dismiss(id: PaneId): void {
    const pane = this.#find(id);
    if (pane === undefined || pane.discarded.length === 0) return;
    pane.discarded = [];
    this.port.changed(id);
  }

  /**
   * `state` was applied; `positions` is its `input`. Streams of panes that are gone end, those of new ones begin,
   * and what waited goes out.
   */
  opened(ids: readonly PaneId[], positions: Readonly<Record<PaneId, number | null>> | null): void {
    this.#open = true;
    this.#keepOnly(ids);
    for (const id of ids) {
      const pane = this.#ensure(id);
      const position = positions?.[id];
      if (position === undefined) this.#restart(id, pane);
      else if (position !== null) {
        this.#resume(id, pane, position);
        this.#insist(id, pane);
      }
    }
    this.#sendAll();
  }

  /** A `layout_update` was applied: new panes are numbered from 0. */
  updated(ids: readonly PaneId[]): void {
    this.#keepOnly(ids);
    for (const id of ids) {
      if (!this.#panes.has(id)) this.#ensure(id).stream.restart();
    }
    this.#sendAll();
  }

  /** False if the server acknowledged what it cannot have. */
  acked(id: PaneId, position: number): boolean {
    const pane = this.#find(id);
    if (pane === undefined) return true;
    const wasAsked = !pane.stream.ready && this.#open && this.#panes.has(id);
    if (wasAsked) this.#resume(id, pane, position);
    const possible = pane.stream.ack(position);
    if (wasAsked) this.#insist(id, pane);
    this.port.changed(id);
    if (possible) this.#sendAll();
    return possible;
  }

  named(id: PaneId, from: number, to: number, reason: Discarded["reason"]): void {
    const pane = this.#find(id);
    const named = pane?.stream.named(from, to) ?? null;
    if (pane === undefined || named === null) return;
    this.#discarded(id, pane, named.data, named.bytes, reason);
    this.#sendAll();
  }

  /**
   * The server answered what was asked after `state`, at `askedMs` on the monotonic clock: every word on what it had
   * by then has come.
   */
  caughtUp(askedMs: number): void {
    if (!this.#open) return;
    for (const [id, { stream }] of this.#panes) {
      if (stream.ready && this.port.queuedOf(id) === 0 && stream.settleTaken()) this.port.changed(id);
    }
    for (const [id, pane] of this.#closed) {
      const closedMs = pane.closedAt?.monotonicMs ?? askedMs;
      if (closedMs < askedMs) this.#dropped(id, pane, pane.stream.dropSent(), "uncertain");
    }
    this.#sendAll();
  }

  cut(): void {
    this.#open = false;
    for (const { stream } of this.#panes.values()) stream.cut();
  }

  /** This client has a new id: what was sent under the old one is out of its hands. */
  forget(): void {
    for (const [id, pane] of [...this.#panes, ...this.#closed]) {
      this.#dropped(id, pane, pane.stream.restart(), "uncertain");
      pane.stream.cut();
    }
  }

  #resume(id: PaneId, pane: PaneInput, position: number): void {
    // A server that goes back behind what it acknowledged has forgotten this client, and what it had of the rest.
    if (position < pane.stream.proven) this.#restart(id, pane);
    pane.stream.resume(position);
    this.#dropped(id, pane, pane.stream.dropUnwanted(), "asked");
    this.#dropOld(id, pane);
  }

  /** What the person dropped before the cut is still to be dropped, if the server has it. */
  #insist(id: PaneId, pane: PaneInput): void {
    if (pane.stream.sentUnwanted) this.port.askDiscard(id);
  }

  /** A number for a stream that the server does not know; what it may have had of an earlier one is not sent twice. */
  #restart(id: PaneId, pane: PaneInput): void {
    this.#dropped(id, pane, pane.stream.restart(), "uncertain");
    this.#dropOld(id, pane);
  }

  #dropOld(id: PaneId, pane: PaneInput): void {
    this.#dropped(id, pane, pane.stream.dropOld(this.port.now(), QUEUE_WAITS_S * 1000), "unsent");
  }

  #sendAll(): void {
    for (const [id, pane] of this.#panes) {
      if (pane.stream.waitingBytes > 0) this.#send(id, pane);
    }
  }

  #send(id: PaneId, { stream }: PaneInput): void {
    const channel = this.#open && stream.ready ? this.port.channelOf(id) : null;
    if (channel === null) return;
    let inAll = this.#windowBytes();
    while (stream.waitingBytes > 0) {
      const room = Math.min(
        INPUT_PANE_BYTES - stream.windowBytes,
        INPUT_CLIENT_BYTES - inAll,
        INPUT_FRAME_BYTES,
      );
      if (room <= 0) return;
      const data = stream.send(room);
      inAll += data.length;
      this.port.sendBytes(channel, data);
    }
  }

  #windowBytes(): number {
    let bytes = 0;
    for (const { stream } of this.#panes.values()) bytes += stream.windowBytes;
    return bytes;
  }

  #waitingCost(): number {
    let bytes = 0;
    for (const { stream } of this.#panes.values()) {
      bytes += stream.waitingBytes + stream.waitingPieces * PIECE_BYTES;
    }
    return bytes;
  }

  #find(id: PaneId): PaneInput | undefined {
    return this.#panes.get(id) ?? this.#closed.get(id);
  }

  #ensure(id: PaneId): PaneInput {
    const pane = this.#panes.get(id) ?? newPane();
    this.#panes.set(id, pane);
    return pane;
  }

  #forClosed(id: PaneId): PaneInput {
    const pane = this.#closed.get(id) ?? newPane();
    pane.closedAt ??= this.port.now();
    this.#closed.delete(id);
    this.#closed.set(id, pane);
    for (const oldest of this.#closed.keys()) {
      if (this.#closed.size <= CLOSED_PANES) break;
      this.#closed.delete(oldest);
    }
    return pane;
  }

  /** What was never sent to a pane that is gone is named here; the server names the rest. */
  #keepOnly(ids: readonly PaneId[]): void {
    const living = new Set(ids);
    for (const [id, pane] of this.#panes) {
      if (living.has(id)) continue;
      this.#panes.delete(id);
      this.#closed.set(id, pane);
      this.#forClosed(id);
      this.#dropped(id, pane, pane.stream.dropWaiting(), "closed");
    }
  }

  #dropped(id: PaneId, pane: PaneInput, data: Uint8Array | null, reason: Discarded["reason"]): void {
    if (data !== null) this.#discarded(id, pane, data, data.length, reason);
  }

  #discarded(
    id: PaneId,
    pane: PaneInput,
    data: Uint8Array | null,
    bytes: number,
    reason: Discarded["reason"],
  ): void {
    pane.discarded = addDiscarded(pane.discarded, { bytes, reason, data });
    this.port.changed(id);
  }
}

function newPane(): PaneInput {
  return { stream: new InputStream(), discarded: [], closedAt: null };
}
