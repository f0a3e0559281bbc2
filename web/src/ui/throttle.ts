/** Hands on the latest of many values at most once per interval; the last one always and at once. */

export class Throttle<T> {
  readonly #everyMs: number;
  readonly #work: (value: T) => Promise<unknown>;
  #waiting: { value: T } | null = null;
  #timer: number | null = null;

  constructor(everyMs: number, work: (value: T) => Promise<unknown>) {
    this.#everyMs = everyMs;
    this.#work = work;
  }

  call(value: T): void {
    if (this.#timer !== null) {
      this.#waiting = { value };
      return;
    }
    void this.#work(value);
    this.#timer = window.setTimeout(() => {
      this.#timer = null;
      const waiting = this.#waiting;
      this.#waiting = null;
      if (waiting !== null) this.call(waiting.value);
    }, this.#everyMs);
  }

  last(value: T): Promise<unknown> {
    this.stop();
    return this.#work(value);
  }

  stop(): void {
    if (this.#timer !== null) window.clearTimeout(this.#timer);
    this.#timer = null;
    this.#waiting = null;
  }
}
