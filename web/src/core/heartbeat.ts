/**
 * Finds out that a connection is dead although nobody closed it, and measures the round trip. A timer that fires late
 * means that the machine or the page slept: then the other side is asked at once, and not condemned for the silence.
 */

import type { Environment } from "./api";
import { elapsedMs, type Instant, instantOf } from "./clock";

/** Between pings. */
export const BEAT_MS = 10_000;
/** Silence after a ping that is death: a frame of 64 KiB takes ten seconds on a line of 50 kbit/s. */
export const SILENCE_MS = 10_000;
/** The same when there is a reason for doubt: the clock made a leap, or a person is looking. */
export const SILENCE_IN_DOUBT_MS = 5_000;
/** A timer later than this was held up by a sleeping machine or a throttled page. */
export const LATE_MS = 4_000;

export interface HeartbeatPort {
  ping(timeMs: number): void;
  dead(): void;
}

export class Heartbeat {
  #running = false;
  #cancelBeat: () => void = () => {};
  #cancelSilence: (() => void) | null = null;
  /** When the running silence ends, if nothing is heard. */
  #silenceEndsMs = 0;
  /** A late timer is excused once, then it counts. */
  #excused = false;

  constructor(
    private readonly environment: Environment,
    private readonly port: HeartbeatPort,
  ) {}

  start(): void {
    this.stop();
    this.#running = true;
    this.#ping(SILENCE_MS);
    this.#scheduleBeat();
  }

  stop(): void {
    this.#running = false;
    this.#cancelBeat();
    this.#endSilence();
  }

  /** Any frame is a sign of life. */
  heard(): void {
    this.#excused = false;
    this.#endSilence();
  }

  /** Asks now, and waits only briefly for the answer. */
  check(): void {
    if (this.#running) this.#ping(SILENCE_IN_DOUBT_MS);
  }

  #scheduleBeat(): void {
    const from = instantOf(this.environment);
    this.#cancelBeat = this.environment.setTimer(() => {
      this.#scheduleBeat();
      this.#ping(this.#late(from, BEAT_MS) ? SILENCE_IN_DOUBT_MS : SILENCE_MS);
    }, BEAT_MS);
  }

  #ping(silenceMs: number): void {
    const now = this.environment.now();
    this.port.ping(now);
    if (!this.#running) return;
    if (this.#cancelSilence !== null && this.#silenceEndsMs <= now + silenceMs) return;
    this.#endSilence();
    const from = instantOf(this.environment);
    this.#silenceEndsMs = now + silenceMs;
    this.#cancelSilence = this.environment.setTimer(() => {
      this.#cancelSilence = null;
      if (this.#late(from, silenceMs) && !this.#excused) {
        this.#excused = true;
        this.check();
      } else {
        this.port.dead();
      }
    }, silenceMs);
  }

  #endSilence(): void {
    this.#cancelSilence?.();
    this.#cancelSilence = null;
  }

  #late(from: Instant, expectedMs: number): boolean {
    return elapsedMs(from, instantOf(this.environment)) > expectedMs + LATE_MS;
  }
}
