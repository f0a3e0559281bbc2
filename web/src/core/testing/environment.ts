/** An `Environment` whose clock moves only when a test says so, and whose sockets end in the test's hands. */

import type { Environment, Socket, SocketEvents } from "../api";
import { Random } from "./random";

/** The client's end is given to the core; this is the other one. */
export class SimSocket implements Socket {
  readonly sent: Uint8Array[] = [];
  /** Given up by the core. */
  closed = false;
  /** Closed by the server or the network; nothing goes through any more. */
  ended = false;
  onFrame: (frame: Uint8Array) => void = () => {};

  constructor(private readonly events: SocketEvents) {}

  send(frame: Uint8Array): void {
    if (this.closed || this.ended) return;
    this.sent.push(frame);
    this.onFrame(frame);
  }

  close(): void {
    this.closed = true;
  }

  open(): void {
    this.events.opened();
  }

  receive(frame: Uint8Array): void {
    if (!this.ended) this.events.message(frame);
  }

  end(code: number): void {
    if (this.ended) return;
    this.ended = true;
    this.events.closed(code);
  }
}

interface Timer {
  readonly atMs: number;
  readonly order: number;
  readonly callback: () => void;
}

export class SimEnvironment implements Environment {
  readonly random: () => number;
  readonly sockets: SimSocket[] = [];
  /** Called with every new socket, before the core has it. */
  onConnect: (socket: SimSocket) => void = () => {};
  storedId: string | null = null;
  /** Timers fire only at whole multiples of it, as in a page that is throttled. */
  timerGrainMs = 1;
  #nowMs = 1_000;
  #wallMs = 1_700_000_000_000;
  #timers: Timer[] = [];
  #made = 0;

  constructor(seed = 1) {
    const random = new Random(seed);
    this.random = () => random.next();
  }

  connect(events: SocketEvents): Socket {
    const socket = new SimSocket(events);
    this.sockets.push(socket);
    this.onConnect(socket);
    return socket;
  }

  now(): number {
    return this.#nowMs;
  }

  wallNow(): number {
    return this.#wallMs;
  }

  setTimer(callback: () => void, ms: number): () => void {
    this.#made += 1;
    const atMs = Math.ceil((this.#nowMs + ms) / this.timerGrainMs) * this.timerGrainMs;
    const timer = { atMs, order: this.#made, callback };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  newClientId(): string {
    this.#made += 1;
    return `client-${this.#made}`;
  }

  loadClientId(): string | null {
    return this.storedId;
  }

  storeClientId(id: string): void {
    this.storedId = id;
  }

  /** The newest socket. */
  get socket(): SimSocket {
    const socket = this.sockets.at(-1);
    if (socket === undefined) throw new Error("nothing has connected");
    return socket;
  }

  get timers(): number {
    return this.#timers.length;
  }

  /** Lets time pass, and every timer fire at its moment. */
  advance(ms: number): void {
    const untilMs = this.#nowMs + ms;
    for (let timer = this.#due(untilMs); timer !== null; timer = this.#due(untilMs)) {
      this.#moveTo(Math.max(this.#nowMs, timer.atMs));
      this.#fire(timer);
    }
    this.#moveTo(untilMs);
  }

  /** The machine sleeps, or the page stalls: time is over at once, and what was due meanwhile fires late. */
  sleep(ms: number, monotonicToo: boolean): void {
    this.#wallMs += ms;
    if (monotonicToo) this.#nowMs += ms;
  }

  #due(untilMs: number): Timer | null {
    const due = this.#timers.filter((timer) => timer.atMs <= untilMs);
    due.sort((a, b) => a.atMs - b.atMs || a.order - b.order);
    return due[0] ?? null;
  }

  #fire(timer: Timer): void {
    this.#timers = this.#timers.filter((other) => other !== timer);
    timer.callback();
  }

  #moveTo(ms: number): void {
    this.#wallMs += ms - this.#nowMs;
    this.#nowMs = ms;
  }
}
