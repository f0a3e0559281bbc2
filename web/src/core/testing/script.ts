/** A server of whom a test says each word itself, and the core that talks with it. */

import { encodeBytes } from "../../protocol/codec";
import type {
  ClientMessage,
  LayoutUpdate,
  PaneInfo,
  Replay,
  ServerMessage,
  State,
  TabInfo,
} from "../../protocol/wire";
import { CONTROL_CHANNEL } from "../../protocol/wire";
import type { Core, PaneId } from "../api";
import { createCore } from "../core";
import { SimEnvironment, type SimSocket } from "./environment";

export function bytes(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

export function string(data: Uint8Array): string {
  let text = "";
  for (let at = 0; at < data.length; at += 8192) text += String.fromCharCode(...data.subarray(at, at + 8192));
  return text;
}

export function control(message: ServerMessage | Record<string, unknown>): Uint8Array {
  return encodeBytes(CONTROL_CHANNEL, bytes(JSON.stringify(message)));
}

export function readControl(frame: Uint8Array): ClientMessage {
  return JSON.parse(string(frame.subarray(1))) as ClientMessage;
}

export function paneInfo(part: Partial<PaneInfo> = {}): PaneInfo {
  return { status: "connected", cols: 80, rows: 24, title: "", queued: 0, ...part };
}

export function tabOf(paneId: PaneId): TabInfo {
  const layout = { type: "pane", paneId } as const;
  return { id: `tab-${paneId}`, sessionId: "s", name: "tab", layout, focus: paneId };
}

/** Panes a, b, c, … on channels 0, 1, 2, …, one tab each. */
export function stateOf(panes: readonly PaneId[], part: Partial<State> = {}): State {
  const each = <T>(value: (id: PaneId, index: number) => T) =>
    Object.fromEntries(panes.map((id, index) => [id, value(id, index)]));
  return {
    type: "state",
    now: 1_700_000_000_000,
    rev: 1,
    sessions: [{ id: "s", sandboxId: "x", name: "main", createdAt: 1, provider: "local", status: "awake" }],
    tabs: panes.map(tabOf),
    activeTab: panes[0] === undefined ? null : `tab-${panes[0]}`,
    channels: each((_, index) => index),
    connected: each(() => true),
    panes: each(() => paneInfo()),
    input: null,
    ...part,
  };
}

export function updateOf(state: State, part: Partial<LayoutUpdate> = {}): LayoutUpdate {
  const { rev, tabs, activeTab, channels, connected } = state;
  return { type: "layout_update", rev: rev + 1, tabs, activeTab, channels, connected, panes: {}, ...part };
}

export function replayOf(paneId: PaneId, channel: number, part: Partial<Replay> = {}): Replay {
  return {
    type: "replay",
    paneId,
    channel,
    position: 0,
    bytes: 0,
    reset: false,
    skipped: 0,
    cols: 80,
    rows: 24,
    ...part,
  };
}

export class Script {
  readonly environment: SimEnvironment;
  readonly core: Core;
  #read = 0;
  #readFrom: SimSocket | null = null;

  constructor(environment = new SimEnvironment()) {
    this.environment = environment;
    this.core = createCore(environment);
  }

  start(): void {
    this.core.start({ width: 1000, height: 700 }, null);
  }

  /** Opens the present socket and says `state`; what the core sent until then is read. */
  greet(state: State): void {
    this.environment.socket.open();
    this.say(state);
  }

  say(...messages: (ServerMessage | Record<string, unknown>)[]): void {
    for (const message of messages) this.environment.socket.receive(control(message));
  }

  output(channel: number, text: string): void {
    this.environment.socket.receive(encodeBytes(channel, bytes(text)));
  }

  /** Cuts the present connection, and lets time pass until the next attempt. */
  cut(code = 1006): void {
    const before = this.environment.sockets.length;
    this.environment.socket.end(code);
    for (let tries = 0; this.environment.sockets.length === before && tries < 100; tries++) {
      this.environment.advance(100);
    }
  }

  /** Frames on the present socket that were not read yet. */
  frames(): Uint8Array[] {
    const socket = this.environment.socket;
    if (socket !== this.#readFrom) this.#read = 0;
    this.#readFrom = socket;
    const frames = socket.sent.slice(this.#read);
    this.#read = socket.sent.length;
    return frames;
  }

  /** Control messages not read yet, without pings; input frames on the way are lost. */
  messages(): ClientMessage[] {
    const all = this.frames().filter((frame) => frame[0] === CONTROL_CHANNEL);
    return all.map(readControl).filter((message) => message.type !== "ping");
  }

  /** Input not read yet, as "channel:text" for each frame; control messages on the way are lost. */
  typed(): string[] {
    const input = this.frames().filter((frame) => frame[0] !== CONTROL_CHANNEL);
    return input.map((frame) => `${frame[0]}:${string(frame.subarray(1))}`);
  }

  message<T extends ClientMessage["type"]>(type: T): Extract<ClientMessage, { type: T }> | undefined {
    const found = this.messages().find((message) => message.type === type);
    return found as Extract<ClientMessage, { type: T }> | undefined;
  }
}
