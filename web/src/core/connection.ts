/**
 * One WebSocket after the other: when to connect, when to give one up, when to try again. It knows close codes and
 * clocks, and nothing of what the frames say.
 */

import { CloseCode } from "../protocol/wire";
import type { ConnectionView, Environment, Socket } from "./api";
import { retryDelayMs } from "./backoff";
import { elapsedMs, type Instant, instantOf } from "./clock";
import { Heartbeat, TICK_MS } from "./heartbeat";
import { Ticker } from "./ticker";

/** From the start of an attempt until `state`; a connection that is never refused would wait for minutes. */
export const CONNECT_WITHIN_MS = 15_000;
/** An attempt that takes longer may be lost with the network that it began on: a new one is the better bet. */
export const STALE_ATTEMPT_MS = 2_000;
/** Between attempts that a reason to hurry makes, however often there is one. */
export const HURRY_EVERY_MS = 500;

export interface ConnectionPort {
  /** The socket is open; the first message is the caller's. */
  opened(): void;
  frame(frame: Uint8Array): void;
  ping(timeMs: number): void;
  /** Whatever was open is gone. Comes before the next attempt, after every attempt that had a socket. */
  cut(): void;
  /** Close code 4409: comes after `cut`, before the next attempt. */
  takenOver(): void;
  /** `view()` gives something else now. */
  changed(): void;
}

/** The server is well and does not like what this page does: trying again at once would not help. */
const REFUSALS: ReadonlySet<number> = new Set([
  CloseCode.TEXT_MESSAGE,
  CloseCode.TOO_BIG,
  CloseCode.BAD_START,
  CloseCode.NO_CONNECT,
  CloseCode.TOO_MUCH,
]);

export class Connection {
  #view: ConnectionView = { status: "connecting", attempt: 1 };
  #running = false;
  #socket: Socket | null = null;
  #open = false;
  /** Counts sockets, so that what an abandoned one still says counts for nothing. */
  #generation = 0;
  #attempt = 1;
  /** The attempt that a refused connection goes on with, although `state` had come. */
  #attemptIfRefused = 1;
  #attemptedAt: Instant;
  #hurriedAtMs = Number.NEGATIVE_INFINITY;
  #cancelTimer: () => void = () => {};
  readonly #heartbeat: Heartbeat;
  /** Runs as long as there is a connection or a wish for one. */
  readonly #ticker: Ticker;

  constructor(
    private readonly environment: Environment,
    private readonly port: ConnectionPort,
  ) {
    this.#heartbeat = new Heartbeat(environment, {
      ping: (timeMs) => port.ping(timeMs),
      dead: () => this.#end(() => this.#connect()),
    });
    this.#attemptedAt = instantOf(environment);
    this.#ticker = new Ticker(environment, TICK_MS, (late) => {
      this.#heartbeat.tick(late);
      if (late) this.hurry();
    });
  }

  view(): ConnectionView {
    return this.#view;
  }

  start(): void {
    if (this.#running) return;
    this.#running = true;
    this.#attempt = 1;
    this.#attemptIfRefused = 1;
    this.#ticker.start();
    this.#connect();
  }

  stop(): void {
    if (!this.#running) return;
    this.#running = false;
    this.#ticker.stop();
    this.#end(() => this.#show({ status: "connecting", attempt: 1 }));
  }

  /** A person, the network or the clock gives a reason to look now rather than later. */
  hurry(): void {
    if (!this.#running) return;
    const { status } = this.#view;
    if (status === "connected") this.#heartbeat.check();
    else if (status === "waiting") this.#hurryAttempt(() => this.#connect());
    else if (status === "connecting" && this.#isStale()) {
      this.#hurryAttempt(() => this.#end(() => this.#connect()));
    }
  }

  send(frame: Uint8Array): void {
    if (this.#open) this.#socket?.send(frame);
  }

  /** `state` has come: the connection is whole. */
  greeted(): void {
    this.#cancelTimer();
    this.#attemptIfRefused = this.#attempt;
    this.#attempt = 0;
    this.#show({ status: "connected", roundTripMs: null });
    this.#heartbeat.start();
  }

  measured(roundTripMs: number): void {
    if (this.#view.status === "connected") {
      this.#show({ status: "connected", roundTripMs: Math.max(0, Math.round(roundTripMs)) });
    }
  }

  /** What the server sent makes no sense: the connection is given up and tried again, ever more slowly. */
  distrust(): void {
    if (this.#socket === null) return;
    this.#end(() => this.#retry(Math.max(this.#attempt, this.#attemptIfRefused)));
  }

  /** At once, or as soon as the last hurry is long enough ago. */
  #hurryAttempt(connect: () => void): void {
    const now = this.environment.now();
    const waitMs = this.#hurriedAtMs + HURRY_EVERY_MS - now;
    if (waitMs <= 0) {
      this.#hurriedAtMs = now;
      this.#attempt = 1;
      connect();
    } else if (this.#view.status === "waiting" && this.#view.retryAt > now + waitMs) {
      this.#hurriedAtMs = now + waitMs;
      this.#wait(waitMs);
    }
  }

  #isStale(): boolean {
    return elapsedMs(this.#attemptedAt, instantOf(this.environment)) > STALE_ATTEMPT_MS;
  }

  #connect(): void {
    this.#cancelTimer();
    this.#attemptedAt = instantOf(this.environment);
    this.#attempt = Math.max(1, this.#attempt);
    this.#show({ status: "connecting", attempt: this.#attempt });
    this.#generation += 1;
    const generation = this.#generation;
    const current = () => generation === this.#generation;
    this.#cancelTimer = this.environment.setTimer(
      () => this.#end(() => this.#retry(this.#attempt)),
      CONNECT_WITHIN_MS,
    );
    const socket = this.environment.connect({
      opened: () => {
        if (!current()) return;
        this.#open = true;
        this.port.opened();
      },
      message: (frame) => {
        if (!current()) return;
        this.#heartbeat.heard();
        this.port.frame(frame);
      },
      closed: (code) => {
        if (current()) this.#closed(code);
      },
    });
    // It may have failed before there was anything to keep.
    if (current()) this.#socket = socket;
  }

  #closed(code: number): void {
    const greeted = this.#view.status === "connected";
    this.#end(() => {
      if (code === CloseCode.NOT_AUTHENTICATED) this.#giveUp();
      else if (code === CloseCode.TAKEN_OVER) this.#takenOver(greeted);
      else if (REFUSALS.has(code)) this.#retry(Math.max(this.#attempt, this.#attemptIfRefused));
      else this.#retry(this.#attempt);
    });
  }

  #giveUp(): void {
    this.#ticker.stop();
    this.#show({ status: "unauthorized" });
  }

  /** At once under a new id, which nobody else has; more slowly if even that is taken over before it was whole. */
  #takenOver(greeted: boolean): void {
    this.port.takenOver();
    if (greeted) this.#connect();
    else this.#retry(this.#attempt);
  }

  /** Leaves nothing of the present socket, then does `next`, unless the caller of `cut` stopped everything. */
  #end(next: () => void): void {
    this.#cancelTimer();
    this.#heartbeat.stop();
    this.#generation += 1;
    this.#open = false;
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
    const running = this.#running;
    this.port.cut();
    if (running === this.#running) next();
  }

  /** `failed` is the number of the attempt that failed, 0 for a connection that was whole. */
  #retry(failed: number): void {
    this.#attempt = failed + 1;
    this.#wait(retryDelayMs(this.#attempt, this.environment.random()));
  }

  #wait(ms: number): void {
    this.#cancelTimer();
    this.#cancelTimer = this.environment.setTimer(() => this.#connect(), ms);
    this.#show({ status: "waiting", retryAt: this.environment.now() + ms, attempt: this.#attempt });
  }

  #show(view: ConnectionView): void {
    this.#view = view;
    this.port.changed();
  }
}
