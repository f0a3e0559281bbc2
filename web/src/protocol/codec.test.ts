import { describe, expect, test } from "vitest";
import { decodeFrame, encodeBytes, encodeMessage } from "./codec";
import { CONTROL_CHANNEL, FRAME_BYTES } from "./wire";

function control(value: unknown): Uint8Array {
  return Uint8Array.from([CONTROL_CHANNEL, ...new TextEncoder().encode(JSON.stringify(value))]);
}

const LEAF = { type: "pane", paneId: "p" };
const UPDATE = {
  rev: 1,
  tabs: [{ id: "t", sessionId: "s", name: "x", layout: LEAF, focus: "p" }],
  activeTab: "t",
  channels: { p: 0 },
  connected: { p: true },
  panes: { p: { status: "connected", cols: 80, rows: 24, title: "", queued: 0 } },
};
const SESSION = { id: "s", sandboxId: "x", name: "main", createdAt: 1, provider: "local", status: "awake" };
const STATE = { type: "state", ...UPDATE, now: 1, sessions: [SESSION], input: null };
const REPLAY = {
  type: "replay",
  paneId: "p",
  channel: 0,
  position: 2 ** 40,
  bytes: 0,
  reset: false,
  skipped: 0,
  cols: 80,
  rows: 24,
};

describe("frames", () => {
  test("carry terminal bytes as they are", () => {
    const data = Uint8Array.from({ length: 256 }, (_, index) => index);
    const frame = encodeBytes(254, data);
    expect(frame.length).toBe(257);
    expect(decodeFrame(frame)).toEqual({ kind: "bytes", channel: 254, data });
    expect(decodeFrame(encodeBytes(0, new Uint8Array(0)))).toEqual({
      kind: "bytes",
      channel: 0,
      data: new Uint8Array(0),
    });
  });

  test("carry one JSON object in UTF-8", () => {
    const frame = encodeMessage({ type: "tab_rename", tabId: "t", name: "Küche ☕" });
    expect(frame[0]).toBe(CONTROL_CHANNEL);
    expect(JSON.parse(new TextDecoder().decode(frame.subarray(1)))).toEqual({
      type: "tab_rename",
      tabId: "t",
      name: "Küche ☕",
    });
  });

  test("that are empty or too long are unreadable", () => {
    expect(decodeFrame(new Uint8Array(0)).kind).toBe("unreadable");
    expect(decodeFrame(new Uint8Array(FRAME_BYTES)).kind).toBe("bytes");
    expect(decodeFrame(new Uint8Array(FRAME_BYTES + 1)).kind).toBe("unreadable");
  });
});

describe("messages", () => {
  test.each([
    STATE,
    { ...STATE, activeTab: null, input: { p: null, q: 5 } },
    { type: "layout_update", ...UPDATE },
    { type: "layout_update", ...UPDATE, sessions: [{ ...SESSION, busy: "vim", sleepsAt: 5 }] },
    REPLAY,
    { type: "resized", paneId: "p", channel: 0, position: 0, cols: 80, rows: 24 },
    { type: "input_ack", paneId: "p", position: 0 },
    { type: "input_discarded", paneId: "p", from: 0, to: 1, reason: "expired" },
    { type: "ok", ref: "1" },
    { type: "ok", ref: "1", result: { paneId: "p" } },
    { type: "error", code: "busy", message: "No.", request: null },
    { type: "pong", time: 1.5, now: 5 },
    { type: "pong", time: 1.5, now: 5, somethingNew: {} },
  ])("$type is read", (message) => {
    expect(decodeFrame(control(message))).toEqual({ kind: "message", message });
  });

  test("a layout is read to its leaves", () => {
    const split = (children: unknown[], part = {}) => {
      const ratios = children.map(() => 1 / children.length);
      const layout = { type: "split", orientation: "vertical", children, ratios, ...part };
      return decodeFrame(control({ ...STATE, tabs: [{ ...UPDATE.tabs[0], layout }] })).kind;
    };
    const inner = { type: "split", orientation: "horizontal", children: [LEAF, LEAF], ratios: [0.5, 0.5] };
    expect(split([LEAF, inner])).toBe("message");
    expect(split([LEAF])).toBe("unreadable");
    expect(split([LEAF, { type: "pane" }])).toBe("unreadable");
    expect(split([LEAF, { ...inner, children: [LEAF, 1] }])).toBe("unreadable");
    expect(split([LEAF, LEAF], { ratios: [1] })).toBe("unreadable");
    expect(split([LEAF, LEAF], { orientation: "diagonal" })).toBe("unreadable");
  });

  test.each([
    ["no object", [1]],
    ["null", null],
    ["no type", { rev: 1 }],
    ["a number for a type", { type: 1 }],
    ["a position that is no number", { ...REPLAY, position: "1" }],
    ["a position that is negative", { ...REPLAY, position: -1 }],
    ["a position that is no whole number", { ...REPLAY, position: 1.5 }],
    ["a position past what a number holds", { ...REPLAY, position: 2 ** 60 }],
    ["the control channel for a pane", { ...REPLAY, channel: 255 }],
    ["a missing field", { type: "replay", paneId: "p" }],
    ["a list for a map", { ...STATE, channels: [] }],
    ["a map for a list", { ...STATE, tabs: {} }],
    ["a pane without a status", { ...STATE, panes: { p: { cols: 1 } } }],
    ["a state without now", { ...STATE, now: undefined }],
    ["no tab where null is meant", { ...STATE, activeTab: undefined }],
  ])("%s is unreadable", (_, value) => {
    expect(decodeFrame(control(value)).kind).toBe("unreadable");
  });

  test.each([
    ["no JSON", [123]],
    ["no UTF-8", [34, 255, 34]],
    ["nothing", []],
  ])("%s is unreadable", (_, payload) => {
    expect(decodeFrame(Uint8Array.from([CONTROL_CHANNEL, ...payload])).kind).toBe("unreadable");
  });

  test.each(["sandbox_weather", "constructor", "__proto__", "toString"])(
    "the type %s is not known",
    (type) => {
      expect(decodeFrame(control({ type }))).toEqual({ kind: "unknown", type });
    },
  );
});
