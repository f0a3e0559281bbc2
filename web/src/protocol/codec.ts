/**
 * Frames and control messages as bytes, both ways (protocol §1). It never throws on what came from the network: a
 * frame that cannot be read is said to be unreadable, and what to do about it is the connection's affair.
 */

import { type ClientMessage, CONTROL_CHANNEL, FRAME_BYTES, type ServerMessage } from "./wire";

/** What every JavaScript host has, and no library but the DOM's declares. */
declare const TextEncoder: new () => { encode(text: string): Uint8Array };
declare const TextDecoder: new (
  label: string,
  options: { fatal: boolean },
) => { decode(data: Uint8Array): string };

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

export type Frame =
  /** Terminal bytes, as they came: a view into the frame, never decoded. */
  | { readonly kind: "bytes"; readonly channel: number; readonly data: Uint8Array }
  | { readonly kind: "message"; readonly message: ServerMessage }
  /** A message of a type that this page does not know: from a newer server, and to be passed over. */
  | { readonly kind: "unknown"; readonly type: string }
  | { readonly kind: "unreadable"; readonly reason: string };

export function encodeMessage(message: ClientMessage): Uint8Array {
  return encodeBytes(CONTROL_CHANNEL, encoder.encode(JSON.stringify(message)));
}

export function encodeBytes(channel: number, data: Uint8Array): Uint8Array {
  const frame = new Uint8Array(data.length + 1);
  frame[0] = channel;
  frame.set(data, 1);
  return frame;
}

export function decodeFrame(frame: Uint8Array): Frame {
  const channel = frame[0];
  if (channel === undefined) return unreadable("an empty message");
  if (frame.length > FRAME_BYTES) return unreadable("a frame that is too long");
  const payload = frame.subarray(1);
  return channel === CONTROL_CHANNEL ? decodeMessage(payload) : { kind: "bytes", channel, data: payload };
}

function decodeMessage(payload: Uint8Array): Frame {
  let value: unknown;
  try {
    value = JSON.parse(decoder.decode(payload));
  } catch {
    return unreadable("a control message that is not JSON");
  }
  if (!isRecord(value) || typeof value.type !== "string")
    return unreadable("a control message without a type");
  const fields = MESSAGES[value.type];
  if (fields === undefined) return { kind: "unknown", type: value.type };
  const wrong = wrongField(value, fields);
  if (wrong !== null) return unreadable(`${value.type} with a wrong ${wrong}`);
  // Checked above as far as the page relies on it.
  return { kind: "message", message: value as unknown as ServerMessage };
}

function unreadable(reason: string): Frame {
  return { kind: "unreadable", reason };
}

type Check = (value: unknown) => boolean;
type Fields = Readonly<Record<string, Check>>;

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The name of the first field that is missing or of the wrong kind. */
function wrongField(value: Record<string, unknown>, fields: Fields): string | null {
  for (const name of Object.keys(fields)) {
    if (!fields[name]?.(value[name])) return name;
  }
  return null;
}

const text: Check = (value) => typeof value === "string";
const flag: Check = (value) => typeof value === "boolean";
const time: Check = (value) => typeof value === "number" && Number.isFinite(value);
/** Positions, sizes, counts and times of the server are never negative and never lose a digit. */
const whole: Check = (value) => Number.isSafeInteger(value) && (value as number) >= 0;
const channel: Check = (value) => whole(value) && (value as number) < CONTROL_CHANNEL;

function nullable(check: Check): Check {
  return (value) => value === null || check(value);
}

function optional(check: Check): Check {
  return (value) => value === undefined || check(value);
}

function listOf(check: Check): Check {
  return (value) => Array.isArray(value) && value.every(check);
}

function mapOf(check: Check): Check {
  return (value) => isRecord(value) && Object.values(value).every(check);
}

function record(fields: Fields): Check {
  return (value) => isRecord(value) && wrongField(value, fields) === null;
}

/** Splits inside each other are fewer than panes, and these than channels; the page walks layouts by recursion. */
function isLayout(value: unknown, depth: number): boolean {
  if (!isRecord(value) || depth >= CONTROL_CHANNEL) return false;
  if (value.type === "pane") return text(value.paneId);
  if (value.type !== "split" || !Array.isArray(value.children) || !Array.isArray(value.ratios)) return false;
  if (value.orientation !== "horizontal" && value.orientation !== "vertical") return false;
  const count = value.children.length;
  const shares = value.ratios.length === count && value.ratios.every(time);
  return count >= 2 && shares && value.children.every((child) => isLayout(child, depth + 1));
}

const layout: Check = (value) => isLayout(value, 0);

const session = record({
  id: text,
  sandboxId: text,
  name: text,
  createdAt: time,
  provider: text,
  status: text,
  busy: optional(text),
  sleepsAt: optional(time),
});
const tab = record({ id: text, sessionId: text, name: text, layout, focus: text });
const exit = record({ code: optional(time), signal: optional(text) });
const pane = record({
  status: text,
  cols: whole,
  rows: whole,
  title: text,
  queued: whole,
  cwd: optional(text),
  command: optional(text),
  reason: optional(text),
  retryAt: optional(time),
  since: optional(time),
  exit: optional(exit),
});
const made = record({ sessionId: optional(text), tabId: optional(text), paneId: optional(text) });

const update: Fields = {
  rev: whole,
  tabs: listOf(tab),
  activeTab: nullable(text),
  channels: mapOf(channel),
  connected: mapOf(flag),
  panes: mapOf(pane),
};

/** By type. A prototype would make `constructor` and the like known types. */
const MESSAGES: Readonly<Record<string, Fields>> = Object.assign(Object.create(null), {
  state: { ...update, now: time, sessions: listOf(session), input: nullable(mapOf(nullable(whole))) },
  layout_update: { ...update, sessions: optional(listOf(session)) },
  replay: {
    paneId: text,
    channel,
    position: whole,
    bytes: whole,
    reset: flag,
    skipped: whole,
    cols: whole,
    rows: whole,
  },
  resized: { paneId: text, channel, position: whole, cols: whole, rows: whole },
  input_ack: { paneId: text, position: whole },
  input_discarded: { paneId: text, from: whole, to: whole, reason: text },
  ok: { ref: text, result: optional(made) },
  error: { code: text, message: text, request: nullable(text), ref: optional(text) },
  pong: { time, now: time },
} satisfies Record<ServerMessage["type"], Fields>);
