/**
 * What was typed into one pane and is not known to be in its terminal, numbered as the server counts it. Pure
 * bookkeeping: when to send, and on what, is `input.ts`'s.
 */

import { elapsedMs, type Instant } from "./clock";

/** One press or one paste; its bytes may travel in several pieces. */
interface Typed {
  readonly at: Instant;
  /** Its bytes that are not settled; at 0 it no longer counts. */
  left: number;
  /** The person asked to drop it when it was on its way; it is not sent a second time. */
  unwanted: boolean;
}

interface Piece {
  readonly data: Uint8Array;
  readonly typed: Typed;
}

/** A piece that was sent and is not acknowledged. */
interface Flying extends Piece {
  readonly position: number;
}

/** Several times what the server remembers to say again. */
const NAMED_RANGES = 64;

interface Range {
  readonly from: number;
  readonly to: number;
}

export class InputStream {
  /** Position of the next byte to be sent. */
  #sent = 0;
  /** The server has spoken of everything before it, and this page has heard it; null until it has said anything. */
  #acked: number | null = null;
  /** The highest acknowledgement; 0 for none. */
  #proven = 0;
  /** Whether one has come since the last `resume`. */
  #ackedSince = false;
  /** The last that were named, in any order: a notice that is said again after a cut is not shown again. */
  #named: readonly Range[] = [];
  /** The position of the last `resume`. */
  #taken = 0;
  /** In order, with gaps where bytes were named as discarded. */
  #flying: Flying[] = [];
  #waiting: Piece[] = [];
  #flyingBytes = 0;
  #waitingBytes = 0;
  #keys = 0;
  /** Whether `sent` is the server's number too. */
  #ready = false;

  get ready(): boolean {
    return this.#ready;
  }

  get acked(): number | null {
    return this.#acked;
  }

  /** A server that wants to go on before this has forgotten what it acknowledged. */
  get proven(): number {
    return this.#proven;
  }

  get unackedBytes(): number {
    return this.#flyingBytes + this.#waitingBytes;
  }

  get unackedKeys(): number {
    return this.#keys;
  }

  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  get waitingPieces(): number {
    return this.#waiting.length;
  }

  /** Presses and pastes of which something has not been sent. */
  get waitingKeys(): number {
    return new Set(this.#waiting.map((piece) => piece.typed)).size;
  }

  /** What counts against the windows: from the first byte that is not settled. */
  get windowBytes(): number {
    return this.#sent - (this.#flying[0]?.position ?? this.#sent);
  }

  type(data: Uint8Array, at: Instant): void {
    if (data.length === 0) return;
    this.#waiting.push({ data, typed: { at, left: data.length, unwanted: false } });
    this.#waitingBytes += data.length;
    this.#keys += 1;
  }

  /** The next `maxBytes` or less as they go out; counted as sent from now on. */
  send(maxBytes: number): Uint8Array {
    const sending: Piece[] = [];
    let room = Math.min(maxBytes, this.#waitingBytes);
    let whole = 0;
    for (; room > 0; whole++) {
      const piece = this.#waiting[whole];
      if (piece === undefined) break;
      const [head, tail] = split(piece, room);
      sending.push(head);
      room -= head.data.length;
      if (tail !== null) {
        this.#waiting[whole] = tail;
        break;
      }
    }
    this.#waiting.splice(0, whole);
    for (const piece of sending) {
      this.#flying.push({ ...piece, position: this.#sent });
      this.#sent += piece.data.length;
      this.#flyingBytes += piece.data.length;
      this.#waitingBytes -= piece.data.length;
    }
    return join(sending);
  }

  /** False if the server acknowledges what was never sent to it. While `ready` is false it says where to go on. */
  ack(position: number): boolean {
    if (this.#ready && position > this.#sent) return false;
    this.#settle(0, position);
    this.#acked = Math.max(this.#acked ?? 0, position);
    this.#proven = Math.max(this.#proven, position);
    this.#ackedSince = true;
    return true;
  }

  /**
   * Takes out what the server will not write: the bytes, as far as they are still here, and how many were meant.
   * Null for a notice that was taken before.
   */
  named(from: number, to: number): { data: Uint8Array | null; bytes: number } | null {
    const news = this.#named.reduce(without, [{ from, to }]);
    const bytes = news.reduce((sum, range) => sum + range.to - range.from, 0);
    if (bytes <= 0) return null;
    this.#named = [...this.#named, ...news].slice(-NAMED_RANGES);
    const taken = news.flatMap((range) => this.#take(range.from, range.to));
    if (this.#acked !== null && from <= this.#acked) this.#acked = Math.max(this.#acked, to);
    return { bytes, data: total(taken) === bytes ? join(taken) : null };
  }

  /** The connection is gone; nothing is sent until the server has said where to go on. */
  cut(): void {
    this.#ready = false;
  }

  /**
   * The server took everything before `position`: what it did not take waits again, ahead of what was typed since,
   * and is numbered from there. What was taken stays until it is acknowledged, named, or settled by `settleTaken`.
   */
  resume(position: number): void {
    const [taken, again] = splitFlying(this.#flying, position);
    this.#flying = taken;
    this.#waiting.unshift(...again.map(({ data, typed }) => ({ data, typed })));
    const moved = total(again);
    this.#flyingBytes -= moved;
    this.#waitingBytes += moved;
    this.#sent = position;
    this.#taken = position;
    this.#acked ??= position;
    this.#ackedSince = false;
    this.#named = this.#named.filter((range) => range.from < position);
    this.#ready = true;
  }

  /**
   * What the server had taken at the last `resume`, and neither queues nor names, is in the terminal: its
   * acknowledgement was lost with the connection before. Not if the server has acknowledged anything since: then it
   * says the rest too.
   */
  settleTaken(): boolean {
    return !this.#ackedSince && this.#settle(0, this.#taken) !== null;
  }

  /** The server does not know this client: numbers start anew. Gives what was sent, whose fate nobody knows. */
  restart(): Uint8Array | null {
    const uncertain = this.dropSent();
    this.#sent = 0;
    this.#taken = 0;
    this.#acked = 0;
    this.#proven = 0;
    this.#named = [];
    this.#ready = true;
    return uncertain;
  }

  dropSent(): Uint8Array | null {
    return this.#settle(0, Number.POSITIVE_INFINITY);
  }

  /** Drops what waits and is older than this. */
  dropOld(now: Instant, olderThanMs: number): Uint8Array | null {
    return this.#dropWaiting((piece) => elapsedMs(piece.typed.at, now) >= olderThanMs);
  }

  dropWaiting(): Uint8Array | null {
    return this.#dropWaiting(() => true);
  }

  /** What was sent is not to be sent again, should it turn out after a cut that the server did not take it. */
  unwantSent(): void {
    for (const { typed } of this.#flying) typed.unwanted = true;
  }

  dropUnwanted(): Uint8Array | null {
    return this.#dropWaiting((piece) => piece.typed.unwanted);
  }

  /** The server took something that is not wanted any more, and may not have written it yet. */
  get sentUnwanted(): boolean {
    return this.#flying.some((piece) => piece.typed.unwanted);
  }

  /** Takes what was sent from `from` to `to` out and gives it, or null if there is nothing. */
  #settle(from: number, to: number): Uint8Array | null {
    const settled = this.#take(from, to);
    return settled.length === 0 ? null : join(settled);
  }

  #take(from: number, to: number): readonly Flying[] {
    const [before, rest] = splitFlying(this.#flying, from);
    const [taken, after] = splitFlying(rest, to);
    this.#flying = [...before, ...after];
    this.#flyingBytes -= total(taken);
    this.#forget(taken);
    return taken;
  }

  #dropWaiting(unwanted: (piece: Piece) => boolean): Uint8Array | null {
    const dropped = this.#waiting.filter(unwanted);
    if (dropped.length === 0) return null;
    this.#waiting = this.#waiting.filter((piece) => !unwanted(piece));
    this.#waitingBytes -= total(dropped);
    this.#forget(dropped);
    return join(dropped);
  }

  #forget(pieces: readonly Piece[]): void {
    for (const { data, typed } of pieces) {
      typed.left -= data.length;
      if (typed.left === 0) this.#keys -= 1;
    }
  }
}

/** What of `ranges` is not in `known`. */
function without(ranges: readonly Range[], known: Range): Range[] {
  const parts = ranges.flatMap(({ from, to }) => [
    { from, to: Math.min(to, known.from) },
    { from: Math.max(from, known.to), to },
  ]);
  return parts.filter(({ from, to }) => from < to);
}

/** The first `count` bytes, and the rest if there is one. */
function split<P extends Piece>(piece: P, count: number): [P, P | null] {
  if (count >= piece.data.length) return [piece, null];
  return [
    { ...piece, data: piece.data.subarray(0, count) },
    { ...piece, data: piece.data.subarray(count) },
  ];
}

function splitFlying(pieces: readonly Flying[], position: number): [Flying[], Flying[]] {
  const before: Flying[] = [];
  const after: Flying[] = [];
  for (const piece of pieces) {
    const count = position - piece.position;
    if (count <= 0) {
      after.push(piece);
      continue;
    }
    const [head, tail] = split(piece, count);
    before.push(head);
    if (tail !== null) after.push({ ...tail, position });
  }
  return [before, after];
}

function total(pieces: readonly Piece[]): number {
  return pieces.reduce((sum, piece) => sum + piece.data.length, 0);
}

function join(pieces: readonly Piece[]): Uint8Array {
  const [only] = pieces;
  if (only !== undefined && pieces.length === 1) return only.data;
  const data = new Uint8Array(total(pieces));
  let at = 0;
  for (const piece of pieces) {
    data.set(piece.data, at);
    at += piece.data.length;
  }
  return data;
}
