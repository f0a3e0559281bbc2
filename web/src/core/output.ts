/** The output of all panes: which channel is whose on the present connection, and who draws it (protocol §5). */

import type { Replay, Resized } from "../protocol/wire";
import type { PaneId, TerminalSink } from "./api";
import { OutputStream } from "./output-stream";

export interface OutputsPort {
  acknowledge(id: PaneId, position: number): void;
  askRedraw(id: PaneId, lines: number): void;
  /** New bytes came, not the redraw of old ones. */
  arrived(id: PaneId): void;
}

export class Output {
  readonly #streams = new Map<PaneId, OutputStream>();
  /** Set by the replay that comes before a channel's first byte. */
  readonly #paneOf = new Map<number, PaneId>();

  constructor(private readonly port: OutputsPort) {}

  /** For `connect`. A pane without a whole picture is left out, and gets a redraw. */
  positions(): Record<PaneId, number> {
    const positions: Record<PaneId, number> = {};
    for (const [id, stream] of this.#streams) {
      const position = stream.resumeAt;
      if (position !== null) positions[id] = position;
    }
    return positions;
  }

  /** The panes that there are, and their channels, all of them. */
  updated(channels: Readonly<Record<PaneId, number>>): void {
    for (const [channel, id] of this.#paneOf) {
      if (channels[id] !== channel) this.#paneOf.delete(channel);
    }
    for (const [id, stream] of this.#streams) {
      // A terminal may be there before its pane is, and a little longer.
      if (channels[id] === undefined && !stream.attached) this.#streams.delete(id);
    }
  }

  replay(message: Replay): void {
    this.#paneOf.set(message.channel, message.paneId);
    this.#ensure(message.paneId).replay(message);
  }

  resized(message: Resized): void {
    if (this.#paneOf.get(message.channel) === message.paneId) {
      this.#streams.get(message.paneId)?.resized(message.cols, message.rows);
    }
  }

  /** Bytes on a channel without a replay belong to no pane and are dropped. */
  bytes(channel: number, data: Uint8Array): void {
    const id = this.#paneOf.get(channel);
    if (id === undefined) return;
    const count = this.#streams.get(id)?.bytes(data) ?? 0;
    if (count > 0) this.port.arrived(id);
  }

  attach(id: PaneId, sink: TerminalSink): () => void {
    const stream = this.#ensure(id);
    stream.attach(sink);
    return () => stream.detach(sink);
  }

  redraw(id: PaneId, lines: number): void {
    this.#streams.get(id)?.redraw(lines);
  }

  redrawRefused(id: PaneId): void {
    this.#streams.get(id)?.redrawRefused();
  }

  cut(): void {
    this.#paneOf.clear();
    for (const stream of this.#streams.values()) stream.cut();
  }

  #ensure(id: PaneId): OutputStream {
    const known = this.#streams.get(id);
    if (known !== undefined) return known;
    const stream = new OutputStream({
      acknowledge: (position) => this.port.acknowledge(id, position),
      askRedraw: (lines) => this.port.askRedraw(id, lines),
    });
    this.#streams.set(id, stream);
    return stream;
  }
}
