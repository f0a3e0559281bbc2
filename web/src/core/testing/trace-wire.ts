/**
 * The server's end of a client's connections, as far as its rules can be checked from there (protocol §3, §5, §6). It
 * knows what was said to the client and what the client says, and nothing of the client's insides.
 */

import { CONTROL_CHANNEL, INPUT_CLIENT_BYTES, INPUT_PANE_BYTES } from "../../protocol/wire";
import { readControl, string } from "./script";

export type Fields = Readonly<Record<string, unknown>>;

/** One pane's output on one connection. */
interface Output {
  position: number;
  redrawLeft: number;
  acked: number | null;
  /** Something came that can be drawn. */
  began: boolean;
}

export interface Run {
  readonly from: number;
  readonly data: string;
}

/** Checked here, or of no interest: not among `said`. */
const UNTOLD = new Set(["ping", "connect", "layout_ack", "output_ack"]);

export class Wire {
  /** What the client did wrong. */
  wrongs: string[] = [];
  /** The first message of the present connection. */
  connect: Fields | null = null;
  /** Since somebody looked. */
  said: Fields[] = [];
  /** Input by pane since somebody looked; what adjoins is one. */
  typed: Record<string, Run[]> = {};
  readonly outputs = new Map<string, Output>();
  greeted = false;
  #channels: Readonly<Record<string, number>> = {};
  /** Position of the next byte of input; null while that is being asked. */
  #next: Record<string, number | null> = {};
  #acked: Record<string, number> = {};
  /** The `rev` that is to be acknowledged next. */
  #owed: number | null = null;

  opened(): void {
    this.connect = null;
    this.over();
    this.#owed = null;
    this.outputs.clear();
    this.#channels = {};
  }

  over(): void {
    this.greeted = false;
  }

  /** The client has had its turn. */
  settled(): void {
    if (this.greeted && this.#owed !== null)
      this.wrongs.push(`revision ${this.#owed} was applied and not acknowledged`);
  }

  /** Everything is drawn: that is acknowledged too. */
  get undrawn(): readonly string[] {
    const late = [...this.outputs].filter(
      ([, output]) => output.began && output.redrawLeft === 0 && output.acked !== output.position,
    );
    return late.map(
      ([id, output]) => `${id} is drawn to ${output.position}, acknowledged to ${output.acked}`,
    );
  }

  /** Before the client hears it. */
  serverSays(message: Fields): void {
    const id = String(message.paneId);
    if (message.type === "state" || message.type === "layout_update") {
      this.#announced(message);
    } else if (message.type === "replay" && this.#channels[id] !== undefined) {
      const { position, bytes } = message as { position: number; bytes: number };
      this.outputs.set(id, { position, redrawLeft: bytes, acked: null, began: bytes > 0 });
    } else if (message.type === "input_ack" && this.#next[id] !== undefined) {
      this.#next[id] ??= message.position as number;
      this.#acked[id] = message.position as number;
    }
  }

  /** Output, before the client gets it. */
  serverSends(channel: number, count: number): void {
    for (const [id, output] of this.outputs) {
      if (this.#channels[id] !== channel) continue;
      const redraw = Math.min(output.redrawLeft, count);
      output.redrawLeft -= redraw;
      output.position += count - redraw;
      output.began = true;
    }
  }

  clientSends(frame: Uint8Array): void {
    const channel = frame[0] ?? CONTROL_CHANNEL;
    if (channel === CONTROL_CHANNEL) this.#clientSays(readControl(frame) as unknown as Fields);
    else if (!this.greeted) this.wrongs.push("input is sent before `state`");
    else this.#clientTypes(channel, string(frame.subarray(1)));
  }

  #announced(message: Fields): void {
    const isState = message.type === "state";
    this.#channels = message.channels as Record<string, number>;
    this.#owed = message.rev as number;
    const given = (isState ? message.input : this.#next) as Record<string, number | null> | null;
    const acked = isState && given === null ? {} : this.#acked;
    if (isState) this.greeted = true;
    const ids = Object.keys(this.#channels);
    this.#next = Object.fromEntries(ids.map((id) => [id, given === null ? 0 : at(given, id)]));
    this.#acked = Object.fromEntries(ids.map((id) => [id, acked[id] ?? 0]));
    for (const id of this.outputs.keys()) if (this.#channels[id] === undefined) this.outputs.delete(id);
  }

  #clientSays(message: Fields): void {
    const kind = String(message.type);
    if ((kind === "connect") !== (this.connect === null))
      this.wrongs.push(`${kind}: \`connect\` comes first, and once`);
    else if (kind === "connect") this.connect = message;
    else if (!this.greeted) this.wrongs.push(`${kind}: nothing is said before \`state\``);
    else if (kind === "layout_ack") this.#clientApplied(message.rev as number);
    else if (kind === "output_ack") this.#clientDrew(message.paneId as string, message.position as number);
    if (!UNTOLD.has(kind)) this.said.push(message);
  }

  #clientApplied(rev: number): void {
    if (rev !== this.#owed) this.wrongs.push(`revision ${rev} is acknowledged, ${this.#owed} is due`);
    this.#owed = null;
  }

  #clientDrew(id: string, position: number): void {
    const output = this.outputs.get(id);
    if (output === undefined) this.wrongs.push(`${id} has no output that can be acknowledged`);
    else if (output.redrawLeft > 0 || position < (output.acked ?? 0) || position > output.position)
      this.wrongs.push(`${id} is acknowledged to ${position}; it had ${output.acked} to ${output.position}`);
    else output.acked = position;
  }

  #clientTypes(channel: number, data: string): void {
    const id = Object.keys(this.#channels).find((other) => this.#channels[other] === channel);
    const position = id === undefined ? null : (this.#next[id] ?? null);
    if (id === undefined || position === null) {
      this.wrongs.push(`input on channel ${channel}, of which the server has not said where it goes on`);
      return;
    }
    if (this.#owed !== null) this.wrongs.push(`input before revision ${this.#owed} is acknowledged`);
    this.#next[id] = position + data.length;
    const runs = this.typed[id] ?? [];
    this.typed[id] = runs;
    const last = runs.at(-1);
    if (last !== undefined && last.from + last.data.length === position)
      runs[runs.length - 1] = { from: last.from, data: last.data + data };
    else runs.push({ from: position, data });
    this.#checkWindows(id);
  }

  #checkWindows(id: string): void {
    const open = (other: string) => Math.max(0, (this.#next[other] ?? 0) - (this.#acked[other] ?? 0));
    const inAll = Object.keys(this.#next).reduce((sum, other) => sum + open(other), 0);
    if (open(id) > INPUT_PANE_BYTES || inAll > INPUT_CLIENT_BYTES)
      this.wrongs.push(`${open(id)} bytes are sent past the last acknowledgement`);
  }
}

/** 0 for a pane that is new. */
function at(positions: Readonly<Record<string, number | null>>, id: string): number | null {
  const position = positions[id];
  return position === undefined ? 0 : position;
}
