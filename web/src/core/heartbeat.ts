/**
 * Finds out that a connection is dead although nobody closed it, and asks for the round trip. Silence is counted in
 * ticks, not in time: a page that stalled or slept could not hear, and condemns nobody for what it has not heard.
 */

import type { Environment } from "./api";

/** Between ticks. */
export const TICK_MS = 1_000;
/** Between pings. */
export const BEAT_MS = 10_000;
/** Silence after a ping that is death: a frame of 64 KiB takes ten seconds on a line of 50 kbit/s. */
export const SILENCE_MS = 10_000;
/** The same when there is a reason for doubt: the clock made a leap, or a person is looking. */
export const SILENCE_IN_DOUBT_MS = 5_000;
/** What a late tick behind a late tick counts: a page that is throttled for good is to find out as well. */
const LATE_TICK_MS = SILENCE_IN_DOUBT_MS / 2;

export interface HeartbeatPort {
  ping(timeMs: number): void;
  dead(): void;
}

export class Heartbeat {
  #running = false;
  #untilBeatMs = 0;
  /** Null while no ping waits for a sign of life. */
  #silenceLeftMs: number | null = null;
  #pingedAtMs = 0;
  #wasLate = false;

  constructor(
    private readonly environment: Environment,
    private readonly port: HeartbeatPort,
  ) {}

  start(): void {
    this.#running = true;
    this.#silenceLeftMs = null;
    this.#ping(SILENCE_MS);
  }

  stop(): void {
    this.#running = false;
  }

  /** Any frame is a sign of life. */
  heard(): void {
    this.#silenceLeftMs = null;
  }

  /** Asks now, and waits only briefly for the answer. */
  check(): void {
    if (!this.#running) return;
    const asked = this.#silenceLeftMs !== null && this.environment.now() - this.#pingedAtMs < TICK_MS;
    if (asked) this.#waitFor(SILENCE_IN_DOUBT_MS);
    else this.#ping(SILENCE_IN_DOUBT_MS);
  }

  /** Every `TICK_MS`. What came in while the page was held up is read only behind a late one. */
  tick(late: boolean): void {
    if (!this.#running) return;
    const again = late && this.#wasLate;
    this.#wasLate = late;
    if (this.#silenceLeftMs !== null) {
      if (late && !again) this.#silenceLeftMs = SILENCE_IN_DOUBT_MS;
      else this.#silenceLeftMs -= again ? LATE_TICK_MS : TICK_MS;
      if (this.#silenceLeftMs <= 0) {
        this.port.dead();
        return;
      }
    }
    this.#untilBeatMs -= TICK_MS;
    if (this.#untilBeatMs <= 0) this.#ping(SILENCE_MS);
  }

  #ping(silenceMs: number): void {
    this.#pingedAtMs = this.environment.now();
    this.#untilBeatMs = BEAT_MS;
    this.#waitFor(silenceMs);
    this.port.ping(this.#pingedAtMs);
  }

  #waitFor(silenceMs: number): void {
    this.#silenceLeftMs = Math.min(this.#silenceLeftMs ?? silenceMs, silenceMs);
  }
}
