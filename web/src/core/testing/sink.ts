/** A `TerminalSink` that writes down what it was given, and draws when the test says so. */

import type { TerminalSink } from "../api";

export type Drawing =
  | { readonly type: "reset" }
  | { readonly type: "resize"; readonly size: string }
  | { readonly type: "write"; readonly text: string };

export class RecordingSink implements TerminalSink {
  /** Everything in order; writes of nothing are left out, neighbouring ones are one. */
  readonly drawings: Drawing[] = [];
  /** Of each whole redraw, the lines that the server has beyond it. */
  readonly above: number[] = [];
  #undrawn: (() => void)[] = [];

  /** `eager`: whatever is written is drawn at once. */
  constructor(public eager = false) {}

  write(data: Uint8Array, drawn: () => void): void {
    const text = String.fromCharCode(...data);
    const last = this.drawings.at(-1);
    if (text !== "" && last?.type === "write") {
      this.drawings[this.drawings.length - 1] = { type: "write", text: last.text + text };
    } else if (text !== "") {
      this.drawings.push({ type: "write", text });
    }
    if (this.eager) drawn();
    else this.#undrawn.push(drawn);
  }

  reset(): void {
    this.drawings.push({ type: "reset" });
  }

  resize(cols: number, rows: number): void {
    this.drawings.push({ type: "resize", size: `${cols}x${rows}` });
  }

  redrawn(above: number): void {
    this.above.push(above);
  }

  /** Draws what was written, the first `count` writes or all. */
  draw(count = this.#undrawn.length): void {
    const now = this.#undrawn.slice(0, count);
    this.#undrawn = this.#undrawn.slice(count);
    for (const drawn of now) drawn();
  }

  /** The last one that was said, as "80x24". */
  get size(): string | null {
    const sizes = this.drawings.flatMap((drawing) => (drawing.type === "resize" ? [drawing.size] : []));
    return sizes.at(-1) ?? null;
  }

  /** What a person sees: everything since the last reset. */
  get text(): string {
    let text = "";
    for (const drawing of this.drawings) {
      if (drawing.type === "reset") text = "";
      else if (drawing.type === "write") text += drawing.text;
    }
    return text;
  }
}
