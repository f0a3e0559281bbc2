/**
 * One pane's output on its way to the terminal that draws it: which byte comes next, what a redraw is made of, what
 * is drawn. While no terminal is there it keeps a bounded piece of the stream, or knows that it must ask for a redraw.
 */

import { FLOW_ACK_BYTES, OUTPUT_FRAME_BYTES, type Replay } from "../protocol/wire";
import type { TerminalSink } from "./api";

/** Kept for a terminal that is not there yet; past it a redraw is cheaper. */
export const BACKLOG_BYTES = 256 * 1024;
/** Lines of scrollback that a redraw brings, as on connecting. */
export const REDRAW_LINES = 200;
/** What a step costs besides its bytes. */
const STEP_BYTES = 64;
const NOTHING = new Uint8Array(0);

type Step =
  | { readonly type: "reset" }
  | { readonly type: "resize"; readonly cols: number; readonly rows: number }
  | { readonly type: "redrawn"; readonly above: number }
  /** `end` is the position after it, null within a redraw. */
  | { readonly type: "write"; readonly data: Uint8Array; readonly end: number | null };

export interface OutputPort {
  acknowledge(position: number): void;
  askRedraw(lines: number): void;
}

export class OutputStream {
  /** The number of the next byte; null before the first replay. */
  #received: number | null = null;
  /** Bytes of a redraw that are still to come. */
  #redrawLeft = 0;
  /** Lines of scrollback that the server has beyond the redraw. */
  #above = 0;
  /** The last position that was acknowledged since the last replay; -1 for none. */
  #acked = -1;
  /** From where the 128 KiB are counted: the last acknowledgement or replay. */
  #ackedFrom = 0;
  /** Whether a replay has come on the present connection. */
  #bound = false;
  #sink: TerminalSink | null = null;
  /** The terminal that has everything up to the backlog. */
  #fed: WeakRef<TerminalSink> | null = null;
  #backlog: Step[] = [];
  #backlogBytes = 0;
  /** The backlog starts with an empty terminal: any one can take it. */
  #backlogWhole = false;
  /** Bytes were let go: only a redraw helps. */
  #missed = false;
  /** What is drawn is wrong: a redraw with so many lines is wanted. Until it comes, the stream goes on. */
  #wanted: number | null = null;
  #asked = false;
  /** Counts resets, so that what a terminal draws of the past is not taken for the present. */
  #epoch = 0;

  constructor(private readonly port: OutputPort) {}

  /** Where to go on after a cut; null if what was received does not make a whole picture. */
  get resumeAt(): number | null {
    return this.#missed || this.#wanted !== null || this.#redrawLeft > 0 ? null : this.#received;
  }

  get attached(): boolean {
    return this.#sink !== null;
  }

  replay(message: Replay): void {
    const reset = message.reset || message.bytes > 0;
    if (reset) this.#clear();
    else if (this.#received === null) this.#startWhole();
    this.#bound = true;
    this.#acked = -1;
    this.#ackedFrom = message.position;
    this.#redrawLeft = message.bytes;
    this.#above = message.above ?? 0;
    this.#received = message.position;
    this.#pass({ type: "resize", cols: message.cols, rows: message.rows });
    // When nothing is drawn, everything before it is: that has to be said on this connection too.
    if (message.bytes === 0) this.#pass({ type: "write", data: NOTHING, end: message.position });
    if (reset && message.bytes === 0) this.#pass({ type: "redrawn", above: this.#above });
    this.#askIfNeeded();
  }

  resized(cols: number, rows: number): void {
    this.#pass({ type: "resize", cols, rows });
  }

  /** Returns how many of the bytes were new output, not part of a redraw. */
  bytes(data: Uint8Array): number {
    const redraw = data.subarray(0, this.#redrawLeft);
    const output = data.subarray(redraw.length);
    if (redraw.length > 0) {
      this.#redrawLeft -= redraw.length;
      this.#pass({ type: "write", data: redraw, end: this.#redrawLeft === 0 ? this.#received : null });
      if (this.#redrawLeft === 0) this.#pass({ type: "redrawn", above: this.#above });
    }
    if (output.length > 0) {
      this.#received = (this.#received ?? 0) + output.length;
      this.#pass({ type: "write", data: output, end: this.#received });
    }
    return output.length;
  }

  /** From now on `sink` draws; the same one as before goes on, another one needs a whole picture. */
  attach(sink: TerminalSink): void {
    const goesOn = this.#fed?.deref() === sink || this.#backlogWhole || this.#received === null;
    const steps = this.#backlog;
    this.#sink = sink;
    this.#fed = new WeakRef(sink);
    this.#dropBacklog();
    if (!goesOn) this.#missed = true;
    if (!this.#missed) for (const step of steps) this.#draw(step);
    this.#askIfNeeded();
  }

  detach(sink: TerminalSink): void {
    if (this.#sink === sink) this.#sink = null;
  }

  /** The connection is gone. Half a redraw is none, and the terminal may show it until the next one. */
  cut(): void {
    this.#bound = false;
    this.#asked = false;
    if (this.#redrawLeft > 0) this.#missed = true;
    this.#redrawLeft = 0;
  }

  /** Asks the server for a redraw, now or as soon as it listens. */
  redraw(lines: number): void {
    this.#wanted = Math.max(this.#wanted ?? 0, lines);
    this.#askIfNeeded();
  }

  /** The answer to `askRedraw` was an error: it may be asked for again. */
  redrawRefused(): void {
    this.#asked = false;
    this.#askIfNeeded();
  }

  #clear(): void {
    this.#epoch += 1;
    this.#missed = false;
    this.#wanted = null;
    this.#asked = false;
    this.#startWhole();
    this.#pass({ type: "reset" });
  }

  #startWhole(): void {
    this.#dropBacklog();
    if (this.#sink === null) {
      this.#fed = null;
      this.#backlogWhole = true;
    }
  }

  #pass(step: Step): void {
    if (this.#missed) return;
    if (this.#sink !== null) this.#draw(step);
    else this.#keep(step);
  }

  #keep(step: Step): void {
    this.#backlog.push(step);
    this.#backlogBytes += STEP_BYTES + (step.type === "write" ? step.data.length : 0);
    if (this.#backlogBytes <= BACKLOG_BYTES) return;
    this.#dropBacklog();
    this.#missed = true;
  }

  #dropBacklog(): void {
    this.#backlog = [];
    this.#backlogBytes = 0;
    this.#backlogWhole = false;
  }

  #draw(step: Step): void {
    const sink = this.#sink;
    if (sink === null) return;
    if (step.type === "reset") sink.reset();
    else if (step.type === "resize") sink.resize(step.cols, step.rows);
    else if (step.type === "redrawn") sink.redrawn(step.above);
    else {
      const epoch = this.#epoch;
      sink.write(step.data, () => {
        if (step.end !== null && epoch === this.#epoch && this.#fed?.deref() === sink) this.#drew(step.end);
      });
    }
  }

  #drew(position: number): void {
    if (!this.#bound || position <= this.#acked) return;
    const all = position === this.#received && this.#redrawLeft === 0;
    // One more frame may be drawn before the next chance.
    if (!all && position + OUTPUT_FRAME_BYTES - this.#ackedFrom <= FLOW_ACK_BYTES) return;
    this.#acked = position;
    this.#ackedFrom = position;
    this.port.acknowledge(position);
  }

  #askIfNeeded(): void {
    const lines = this.#wanted ?? (this.#missed && this.#sink !== null ? REDRAW_LINES : null);
    if (lines === null || !this.#bound || this.#asked) return;
    this.#asked = true;
    this.port.askRedraw(lines);
  }
}
