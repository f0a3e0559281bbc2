/**
 * Gets the deeper scrollback when somebody scrolls towards where a redraw began, or looks for something in it: a redraw
 * brings the screen and a few lines, which is enough for most and quick for all. What is looked at stays in view.
 */

import type { Terminal } from "@xterm/xterm";

/** The first step up. */
const NEAR_LINES = 1_000;
/** As much as a server gives and a terminal keeps. */
export const DEEP_LINES = 10_000;
/** Whoever waits for the deeper lines goes on without them after this. */
const WITHIN_MS = 10_000;

export class Scrollback {
  readonly #xterm: Terminal;
  readonly #ask: (lines: number) => Promise<unknown>;
  readonly #unlisten: () => void;
  /** Lines that the server has beyond those that were drawn. */
  #above = 0;
  /** What the last redraw was asked to bring; 0 for one that nobody here asked for. */
  #brought = 0;
  /** What is asked for and has not come. */
  #asked = 0;
  /** From the top of the view to the end, while a redraw is read; null where the view is at the end. */
  #viewed: number | null = null;
  #waiting: (() => void)[] = [];

  /** `scrollTo` makes a line the first of the view. */
  constructor(
    xterm: Terminal,
    element: HTMLElement,
    ask: (lines: number) => Promise<unknown>,
    private readonly scrollTo: (line: number) => void,
  ) {
    this.#xterm = xterm;
    this.#ask = ask;
    const look = () => requestAnimationFrame(() => this.#look());
    const events = ["wheel", "keydown", "pointerup"] as const;
    for (const event of events) element.addEventListener(event, look, { capture: true, passive: true });
    this.#unlisten = () => {
      for (const event of events) element.removeEventListener(event, look, { capture: true });
    };
  }

  /** A redraw begins: called in its place among the bytes, before anything is cleared. */
  begin(): void {
    const { baseY, viewportY } = this.#xterm.buffer.active;
    this.#viewed = viewportY < baseY ? baseY - viewportY : null;
  }

  /** The redraw is on the grid, and the server has `above` lines beyond it. */
  redrawn(above: number): void {
    this.#above = above;
    this.#brought = this.#asked;
    if (this.#viewed !== null) {
      this.scrollTo(Math.max(0, this.#xterm.buffer.active.baseY - this.#viewed));
      this.#viewed = null;
    }
    this.#settle();
  }

  /** Resolves when all lines are here that can be had; they may be what somebody looks for. */
  async whole(): Promise<void> {
    if (this.#xterm.buffer.active.type !== "normal") return;
    if (this.#asked > 0) await this.#come();
    if (this.#more()) await this.#deepen(DEEP_LINES);
  }

  dispose(): void {
    this.#unlisten();
    this.#settle();
  }

  #more(): boolean {
    return this.#above > 0 && this.#brought < DEEP_LINES;
  }

  #look(): void {
    const { type, viewportY, baseY } = this.#xterm.buffer.active;
    // A screen before the end of what is here, so that a steady scroll does not stop there.
    if (type !== "normal" || viewportY > this.#xterm.rows || viewportY === baseY) return;
    if (this.#asked > 0 || !this.#more()) return;
    void this.#deepen(baseY < NEAR_LINES / 2 ? NEAR_LINES : DEEP_LINES);
  }

  #deepen(lines: number): Promise<void> {
    this.#asked = lines;
    const come = this.#come();
    // Cut off or refused: the next look asks anew.
    this.#ask(lines).catch(() => this.#settle());
    return come;
  }

  #come(): Promise<void> {
    return new Promise((resolve) => {
      const timer = window.setTimeout(resolve, WITHIN_MS);
      this.#waiting.push(() => {
        window.clearTimeout(timer);
        resolve();
      });
    });
  }

  #settle(): void {
    this.#asked = 0;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}
