/**
 * Control messages on their way out, within the server's limit of messages per time. What goes over the budget waits,
 * in order; an acknowledgement or a wish that is outdated by a later one is replaced by it where it stands.
 */

import { type ClientMessage, CONTROL_MESSAGES, CONTROL_MESSAGES_WITHIN_S } from "../protocol/wire";
import type { Environment } from "./api";

/** Full buckets and what flows in during one window stay a tenth below the limit together. */
export const BURST = Math.floor(CONTROL_MESSAGES * 0.4);
export const PER_SECOND = Math.floor((CONTROL_MESSAGES * 0.5) / CONTROL_MESSAGES_WITHIN_S);

export class Outbox {
  #tokens = BURST;
  #filledAtMs: number;
  #waiting: ClientMessage[] = [];
  #cancelTimer: (() => void) | null = null;

  constructor(
    private readonly environment: Environment,
    private readonly deliver: (message: ClientMessage) => void,
  ) {
    this.#filledAtMs = environment.now();
  }

  send(message: ClientMessage): void {
    this.#fill();
    if (this.#waiting.length === 0 && this.#tokens >= 1) this.#pass(message);
    else this.#wait(message);
  }

  /** For what must not wait: the server bounds how often it is asked for. */
  sendNow(message: ClientMessage): void {
    this.#fill();
    this.#pass(message);
  }

  /** The connection is gone, and what was meant for it with it. The budget is the server's per connection. */
  clear(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    this.#waiting = [];
    this.#tokens = BURST;
    this.#filledAtMs = this.environment.now();
  }

  #pass(message: ClientMessage): void {
    this.#tokens -= 1;
    this.deliver(message);
  }

  #wait(message: ClientMessage): void {
    const subject = subjectOf(message);
    const index = subject === null ? -1 : this.#waiting.findIndex((other) => subjectOf(other) === subject);
    if (index >= 0) this.#waiting[index] = message;
    else this.#waiting.push(message);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#cancelTimer !== null) return;
    const ms = Math.max(1, Math.ceil(((1 - this.#tokens) * 1000) / PER_SECOND));
    this.#cancelTimer = this.environment.setTimer(() => {
      this.#cancelTimer = null;
      this.#fill();
      while (this.#tokens >= 1) {
        const message = this.#waiting.shift();
        if (message === undefined) return;
        this.#pass(message);
      }
      if (this.#waiting.length > 0) this.#schedule();
    }, ms);
  }

  #fill(): void {
    const now = this.environment.now();
    this.#tokens = Math.min(BURST, this.#tokens + ((now - this.#filledAtMs) * PER_SECOND) / 1000);
    this.#filledAtMs = now;
  }
}

/** Of two messages about the same thing the later one says all; null for what must be said each time. */
function subjectOf(message: ClientMessage): string | null {
  if (message.ref != null) return null;
  if (message.type === "output_ack" || message.type === "pane_resize")
    return `${message.type} ${message.paneId}`;
  return null;
}
