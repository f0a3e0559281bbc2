/** Requests that wait for their answer. One whose answer was lost is rejected and never sent again: it may have been done. */

import { type ClientMessage, type Made, UNANSWERED_REQUESTS } from "../protocol/wire";
import { type Request, RequestError } from "./api";

interface Waiting {
  readonly resolve: (made: Made) => void;
  readonly reject: (error: RequestError) => void;
}

export class Requests {
  #last = 0;
  readonly #waiting = new Map<string, Waiting>();

  constructor(private readonly send: (message: ClientMessage) => void) {}

  ask(request: Request): Promise<Made> {
    if (this.#waiting.size >= UNANSWERED_REQUESTS) {
      const sentence = "Too many requests are waiting for an answer. Try again in a moment.";
      return Promise.reject(new RequestError("limit", sentence));
    }
    this.#last += 1;
    const ref = String(this.#last);
    return new Promise((resolve, reject) => {
      this.#waiting.set(ref, { resolve, reject });
      this.send({ ...request, ref } as ClientMessage);
    });
  }

  ok(ref: string, made: Made): void {
    this.#take(ref)?.resolve(made);
  }

  refused(ref: string, code: string, message: string): void {
    this.#take(ref)?.reject(new RequestError(code, message));
  }

  /** The connection is gone: nobody will answer. */
  lost(): void {
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    const sentence =
      "The connection was lost before the answer came. Look whether it was done before trying again.";
    for (const { reject } of waiting) reject(new RequestError("lost", sentence));
  }

  #take(ref: string): Waiting | undefined {
    const waiting = this.#waiting.get(ref);
    this.#waiting.delete(ref);
    return waiting;
  }
}
