/**
 * A server that says anything: damaged messages and bytes, in hundreds of seeded histories. The core never throws,
 * what it believes keeps its form, and a server that keeps the rules again is understood.
 */

import { expect, test } from "vitest";
import { decodeFrame, encodeBytes } from "../protocol/codec";
import { CONTROL_CHANNEL, FRAME_BYTES } from "../protocol/wire";
import { SimEnvironment } from "./testing/environment";
import { Random } from "./testing/random";
import { bytes, control, paneInfo, replayOf, Script, stateOf, tabOf, updateOf } from "./testing/script";
import { RecordingSink } from "./testing/sink";

const HISTORIES = 200;
const STATE = stateOf(["a", "b"], { input: { a: 0, b: null } });
const LEAVES = [
  { type: "pane", paneId: "a" },
  { type: "pane", paneId: "b" },
];
const SPLIT = {
  ...tabOf("a"),
  layout: { type: "split", orientation: "horizontal", children: LEAVES, ratios: [0.5, 0.5] },
};
const SAID: readonly Record<string, unknown>[] = [
  { ...STATE },
  { ...STATE, rev: 5, tabs: [SPLIT] },
  { ...updateOf(STATE, { rev: 9, panes: { a: paneInfo({ status: "asleep", title: "x" }) } }) },
  { ...updateOf(STATE, { rev: 10, tabs: [tabOf("a")], channels: { a: 0 }, connected: { a: false } }) },
  { ...replayOf("a", 0, { bytes: 4, reset: true, position: 10 }) },
  { ...replayOf("a", 0, { position: 3, skipped: 3, reset: true }) },
  { type: "resized", paneId: "a", channel: 0, position: 4, cols: 100, rows: 30 },
  { type: "input_ack", paneId: "a", position: 2 },
  { type: "input_discarded", paneId: "a", from: 0, to: 2, reason: "expired" },
  { type: "ok", ref: "1", result: { paneId: "b" } },
  { type: "error", code: "busy", message: "No.", request: "session_sleep", ref: "2" },
  { type: "error", code: "internal", message: "No.", request: null },
  { type: "pong", time: 1, now: 5 },
];
const ODD: readonly unknown[] = [
  null, true, -1, 0, 1.5, 254, 255, 2 ** 53 - 1, 2 ** 53, 1e308, "", "a", "b", "__proto__", "constructor", "x".repeat(5000),
  [], {}, [1], { a: 1 }, { type: "pane", paneId: "__proto__" },
]; // biome-ignore format: a list

/** A copy with a few values exchanged, anywhere inside. */
function damaged(random: Random, value: unknown, odds: number): unknown {
  if (random.chance(odds)) return random.pick(ODD);
  if (Array.isArray(value)) {
    const items = value.map((item) => damaged(random, item, odds));
    return random.chance(odds) ? [...items, ...items] : items;
  }
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).map(([name, item]): [string, unknown] => [
    random.chance(odds / 4) ? random.pick(["__proto__", "a", "type", "length"]) : name,
    name === "type" ? item : damaged(random, item, odds),
  ]);
  return Object.fromEntries(entries);
}

function frame(random: Random): Uint8Array {
  const kind = random.next();
  if (kind < 0.25) return encodeBytes(random.pick([0, 0, 1, 2, 254]), bytes("out\x1b[31mput\r\n"));
  if (kind < 0.9)
    return control(
      damaged(random, random.pick(SAID), random.pick([0, 0, 0.01, 0.1])) as object as Record<string, unknown>,
    );
  const whole = control(random.pick(SAID));
  for (let changes = random.below(4); changes >= 0; changes--)
    whole[random.below(whole.length)] = random.below(256);
  return whole.subarray(0, random.chance(0.3) ? random.below(whole.length + 1) : whole.length);
}

/** Reads all that a page reads. */
function look(script: Script, sinks: readonly RecordingSink[]): void {
  expect(Array.isArray(script.core.model().tabs)).toBe(true);
  for (const id of ["a", "b", "__proto__"]) script.core.pane(id);
  for (const sink of sinks) expect(Array.isArray(sink.drawings)).toBe(true);
}

test("whatever a server says, the core goes on", () => {
  for (let seed = 1; seed <= HISTORIES; seed++) {
    const random = new Random(seed);
    const script = new Script(new SimEnvironment(seed));
    const sinks = [new RecordingSink(true), new RecordingSink(true)];
    script.start();
    script.core.attach("a", sinks[0] as RecordingSink);
    script.core.attach("b", sinks[1] as RecordingSink);
    if (random.chance(0.7)) script.greet(STATE);
    else script.environment.socket.open();
    for (let step = 0; step < 12; step++) {
      script.environment.socket.receive(frame(random));
      if (random.chance(0.2)) script.core.type("a", bytes("key"));
      if (random.chance(0.2)) script.environment.advance(random.below(2000));
      look(script, sinks);
    }
    script.cut();
    script.greet(stateOf(["z"], { rev: 2 ** 50 }));
    script.environment.advance(100);
    const tabs = script.core.model().tabs.map((tab) => tab.id);
    expect(tabs, `seed ${seed}`).toEqual(["tab-z"]);
  }
}, 60_000);

test("layouts without end are unreadable", () => {
  const level =
    '{"type":"split","orientation":"vertical","ratios":[1,1],"children":[{"type":"pane","paneId":"p"},';
  for (const depth of [10, 1000, Math.floor(FRAME_BYTES / (level.length + 3)) - 10]) {
    const layout = `${level.repeat(depth)}{"type":"pane","paneId":"p"}${"]}".repeat(depth)}`;
    const text = JSON.stringify({ ...STATE, tabs: [{ ...tabOf("a"), layout: "LAYOUT" }] });
    const data = bytes(text.replace('"LAYOUT"', layout));
    const kind = decodeFrame(encodeBytes(CONTROL_CHANNEL, data)).kind;
    expect(kind).toBe(depth === 10 ? "message" : "unreadable");
  }
});
