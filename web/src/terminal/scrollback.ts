/**
 * Asks for the deeper scrollback when somebody scrolls to where a redraw began: a redraw brings the screen and a few
 * lines, which is enough for most and quick for all. What was looked at stays in view.
 */

import type { Terminal } from "@xterm/xterm";

/** What a redraw brings unasked; with less above the screen there is nothing deeper. */
const REDRAWN_LINES = 200;
/** The view is kept in its place while the deeper redraw is read. */
const SETTLE_MS = 500;

export class Scrollback {
  readonly #xterm: Terminal;
  readonly #ask: () => Promise<unknown>;
  readonly #dispose: () => void;
  /** `shallow`: drawn by a redraw that may have left lines out. `asked`: the deeper one is on its way. */
  #state: "whole" | "shallow" | "asked" = "whole";
  #linesBelow: number | null = null;
  #timer: number | undefined;

  constructor(xterm: Terminal, element: HTMLElement, ask: () => Promise<unknown>) {
    this.#xterm = xterm;
    this.#ask = ask;
    const look = () => requestAnimationFrame(() => this.#look());
    const events = ["wheel", "keydown", "pointerup"] as const;
    for (const event of events) element.addEventListener(event, look, { capture: true, passive: true });
    const parsed = xterm.onWriteParsed(() => this.#stay());
    this.#dispose = () => {
      for (const event of events) element.removeEventListener(event, look, { capture: true });
      parsed.dispose();
      window.clearTimeout(this.#timer);
    };
  }

  /** A redraw begins. */
  reset(): void {
    this.#state = this.#state === "asked" ? "whole" : "shallow";
    if (this.#linesBelow === null) return;
    window.clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => {
      this.#linesBelow = null;
    }, SETTLE_MS);
  }

  dispose(): void {
    this.#dispose();
  }

  #look(): void {
    const { type, viewportY, baseY } = this.#xterm.buffer.active;
    if (this.#state !== "shallow" || type !== "normal" || viewportY > 0 || baseY < REDRAWN_LINES) return;
    this.#state = "asked";
    this.#linesBelow = baseY;
    this.#ask().catch(() => {
      // Cut off: what comes next is a redraw again, and the next look asks anew.
      if (this.#state === "asked") this.#state = "shallow";
      this.#linesBelow = null;
    });
  }

  #stay(): void {
    if (this.#linesBelow === null || this.#state === "asked") return;
    this.#xterm.scrollToLine(Math.max(0, this.#xterm.buffer.active.baseY - this.#linesBelow));
  }
}
