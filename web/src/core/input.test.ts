import { describe, expect, test } from "vitest";
import { CONTROL_CHANNEL, INPUT_CLIENT_BYTES, INPUT_PANE_BYTES } from "../protocol/wire";
import { DISCARD_DATA_BYTES, DISCARDS } from "./discards";
import { INPUT_FRAME_BYTES, WAITING_BYTES } from "./input";
import { SimEnvironment } from "./testing/environment";
import { bytes, paneInfo, readControl, Script, stateOf, string, updateOf } from "./testing/script";
import { ack, again, greeted, named, pong, shown, without } from "./testing/typing";

describe("typing", () => {
  test("goes out at once, byte for byte, on the pane's channel", () => {
    const script = greeted(["a", "b"]);
    script.core.type("b", Uint8Array.from([0, 27, 128, 255]));
    script.core.type("a", bytes("x"));
    expect(script.frames()).toEqual([Uint8Array.from([1, 0, 27, 128, 255]), Uint8Array.from([0, 120])]);
  });

  test("is counted in bytes and in presses until it is acknowledged", () => {
    const script = greeted();
    script.core.type("a", bytes("\u001b[A"));
    script.core.type("a", bytes("b"));
    expect(script.core.pane("a")).toMatchObject({ unacked: 4, unackedKeys: 2 });
    ack(script, 1);
    expect(script.core.pane("a")).toMatchObject({ unacked: 3, unackedKeys: 2 });
    ack(script, 3);
    expect(script.core.pane("a")).toMatchObject({ unacked: 1, unackedKeys: 1 });
    ack(script, 4);
    expect(script.core.pane("a")).toMatchObject({ unacked: 0, unackedKeys: 0 });
  });

  test("of nothing is nothing", () => {
    const script = greeted();
    script.core.type("a", bytes(""));
    expect(script.frames()).toEqual([]);
    expect(script.core.pane("a").unackedKeys).toBe(0);
  });

  test("an acknowledgement that comes twice or late changes nothing", () => {
    const script = greeted();
    script.core.type("a", bytes("abc"));
    ack(script, 3);
    ack(script, 3);
    ack(script, 1);
    script.core.type("a", bytes("d"));
    expect(script.core.pane("a").unacked).toBe(1);
    expect(script.typed()).toEqual(["0:abc", "0:d"]);
  });

  test("nothing goes out before state", () => {
    const script = greeted();
    script.cut();
    script.core.type("a", bytes("x"));
    script.environment.socket.open();
    expect(script.typed()).toEqual([]);
    expect(script.core.model().unsentKeys).toBe(1);
    script.say(stateOf(["a"], { input: { a: 0 } }));
    expect(script.typed()).toEqual(["0:x"]);
    expect(script.core.model().unsentKeys).toBe(0);
  });

  test("into a pane that is gone is named", () => {
    const script = greeted();
    script.core.type("z", bytes("x"));
    expect(shown(script, "z")).toEqual(["1 closed x"]);
    expect(script.frames()).toEqual([]);
  });
});

describe("windows", () => {
  test("a paste is split, waits for the pane's window, and goes on with every acknowledgement", () => {
    const script = greeted();
    const paste = Uint8Array.from({ length: INPUT_PANE_BYTES * 2 + 10 }, (_, index) => index % 251);
    script.core.type("a", paste);
    const sent: Uint8Array[] = script.frames();
    expect(sent.every((frame) => frame.length <= INPUT_FRAME_BYTES + 1)).toBe(true);
    expect(lengthOf(sent)).toBe(INPUT_PANE_BYTES);
    ack(script, 1000);
    sent.push(...script.frames());
    expect(lengthOf(sent)).toBe(INPUT_PANE_BYTES + 1000);
    ack(script, INPUT_PANE_BYTES);
    ack(script, INPUT_PANE_BYTES * 2);
    sent.push(...script.frames());
    expect(sent.map((frame) => string(frame.subarray(1))).join("") === string(paste)).toBe(true);
    expect(script.core.pane("a").unackedKeys).toBe(1);
    ack(script, paste.length);
    expect(script.core.pane("a")).toMatchObject({ unacked: 0, unackedKeys: 0 });
  });

  test("all panes together have one too, and every one gets its turn", () => {
    const count = INPUT_CLIENT_BYTES / INPUT_PANE_BYTES + 2;
    const panes = Array.from({ length: count }, (_, index) => `p${index}`);
    const script = greeted(panes);
    for (const id of panes) script.core.type(id, new Uint8Array(INPUT_PANE_BYTES));
    expect(lengthOf(script.frames())).toBe(INPUT_CLIENT_BYTES);
    ack(script, 10, "p0");
    expect(script.frames().map((frame) => [frame[0], frame.length - 1])).toEqual([[count - 2, 10]]);
  });

  test("what is discarded by the server makes room", () => {
    const script = greeted();
    script.core.type("a", new Uint8Array(INPUT_PANE_BYTES));
    script.core.type("a", bytes("x"));
    script.frames();
    named(script, 0, INPUT_PANE_BYTES);
    expect(script.typed()).toEqual(["0:x"]);
  });

  test("what waits here has a bound, past which it is named", () => {
    const script = greeted();
    script.cut();
    script.core.type("a", new Uint8Array(WAITING_BYTES - 1000));
    script.core.type("a", new Uint8Array(2000));
    script.core.type("a", bytes("x"));
    expect(script.core.pane("a")).toMatchObject({ unacked: WAITING_BYTES - 999, unackedKeys: 2 });
    expect(script.core.pane("a").discarded).toMatchObject([{ bytes: 2000, reason: "unsent" }]);
  });
});

describe("discards", () => {
  test("are shown with what was typed, most recent first, until they are dismissed", () => {
    const script = greeted();
    script.core.type("a", bytes("abcdef"));
    named(script, 0, 2, "expired");
    named(script, 2, 5, "program_gone");
    expect(shown(script)).toEqual(["3 program_gone cde", "2 expired ab"]);
    expect(script.core.pane("a").unacked).toBe(1);
    script.core.dismissDiscarded("a");
    expect(shown(script)).toEqual([]);
  });

  test("leave what was written before them and move the position", () => {
    const script = greeted();
    script.core.type("a", bytes("abcd"));
    named(script, 2, 4);
    expect(script.core.pane("a").unacked).toBe(2);
    ack(script, 4);
    script.core.type("a", bytes("e"));
    ack(script, 5);
    expect(script.core.pane("a")).toMatchObject({ unacked: 0, unackedKeys: 0 });
    expect(shown(script)).toEqual(["2 expired cd"]);
  });

  test("that are said again after a cut are shown once", () => {
    const script = greeted();
    script.core.type("a", bytes("abcd"));
    named(script, 0, 2);
    script.cut();
    script.environment.socket.open();
    expect(script.message("connect")?.input).toEqual({ a: 2 });
    script.say(stateOf(["a"], { input: { a: 4 } }));
    named(script, 0, 2);
    named(script, 2, 4, "uncertain");
    expect(shown(script)).toEqual(["2 uncertain cd", "2 expired ab"]);
  });

  test("that were said while the page was away still show what was typed", () => {
    const script = greeted();
    script.core.type("a", bytes("abcd"));
    again(script, { a: 4 });
    named(script, 1, 4);
    pong(script);
    expect(shown(script)).toEqual(["3 expired bcd"]);
    expect(script.core.pane("a").unacked).toBe(0);
  });

  test("of what this page never had are counted", () => {
    const environment = new SimEnvironment();
    environment.storedId = "mine";
    const script = new Script(environment);
    script.start();
    script.greet(stateOf(["a"], { input: { a: 9 } }));
    named(script, 5, 9);
    expect(shown(script)).toEqual(["4 expired ?"]);
  });

  test("have a bound: the oldest ones are added up", () => {
    const script = greeted();
    const count = DISCARDS + 3;
    script.core.type("a", bytes("x".repeat(count)));
    for (let at = 0; at < count; at++) named(script, at, at + 1);
    const { discarded } = script.core.pane("a");
    expect(discarded.length).toBe(DISCARDS);
    expect(discarded.reduce((sum, entry) => sum + entry.bytes, 0)).toBe(count);
    expect(discarded.at(-1)).toEqual({ bytes: 4, reason: "expired", data: null });
  });

  test("do not keep what is too much to be shown", () => {
    const script = greeted();
    script.cut();
    script.core.type("a", new Uint8Array(DISCARD_DATA_BYTES + 1));
    script.core.discard("a");
    expect(script.core.pane("a").discarded).toEqual([
      { bytes: DISCARD_DATA_BYTES + 1, reason: "asked", data: null },
    ]);
  });
});

describe("dropping what was typed", () => {
  test("asks the server for what was sent", () => {
    const script = greeted();
    script.core.discard("a");
    expect(script.messages()).toEqual([]);
    script.core.type("a", bytes("abc"));
    script.core.discard("a");
    expect(script.messages()).toEqual([{ type: "input_discard", paneId: "a" }]);
    expect(script.core.pane("a").unacked).toBe(3);
    named(script, 0, 3, "asked");
    expect(script.core.pane("a").unacked).toBe(0);
    expect(shown(script)).toEqual(["3 asked abc"]);
  });

  test("needs nobody for what was not sent", () => {
    const script = greeted();
    script.cut();
    script.core.type("a", bytes("abc"));
    script.core.discard("a");
    expect(shown(script)).toEqual(["3 asked abc"]);
    script.greet(stateOf(["a"], { input: { a: 0 } }));
    expect(script.typed()).toEqual([]);
  });

  test("holds over a cut, for what the server did not take and for what it queued", () => {
    const script = greeted();
    script.core.type("a", bytes("abc"));
    script.cut();
    script.core.discard("a");
    script.core.type("a", bytes("d"));
    script.environment.socket.open();
    script.frames();
    script.say(stateOf(["a"], { input: { a: 1 }, panes: { a: paneInfo({ queued: 1 }) } }));
    const frames = script.frames();
    expect(frames.filter((frame) => frame[0] === 0).map(string)).toEqual(["\0d"]);
    const messages = frames.filter((frame) => frame[0] === CONTROL_CHANNEL).map(readControl);
    expect(messages).toContainEqual({ type: "input_discard", paneId: "a" });
    expect(shown(script)).toEqual(["2 asked bc"]);
    named(script, 0, 1, "asked");
    ack(script, 2);
    expect(script.core.pane("a").unacked).toBe(0);
  });
});

describe("a pane that closes", () => {
  test("names what was never sent; the server names the rest", () => {
    const script = greeted(["a", "b"]);
    script.core.type("a", new Uint8Array(INPUT_PANE_BYTES));
    script.core.type("a", bytes("x"));
    script.say(without(["a", "b"], "a"));
    expect(shown(script)).toEqual(["1 closed x"]);
    named(script, 0, INPUT_PANE_BYTES, "closed");
    expect(script.core.pane("a").discarded.map((entry) => entry.bytes)).toEqual([INPUT_PANE_BYTES, 1]);
    expect(script.core.pane("a")).toMatchObject({ connected: null, info: null, unacked: 0 });
  });

  test("leaves nothing unnamed that the server never spoke of", () => {
    const script = greeted(["a", "b"]);
    script.core.type("a", bytes("exit\r"));
    script.say(without(["a", "b"], "a"));
    pong(script);
    expect(shown(script)).toEqual([]);
    script.environment.advance(10_000);
    pong(script);
    expect(shown(script)).toEqual(["5 uncertain exit\r"]);
  });

  test("gives its channel on: input for the new pane follows the acknowledgement of the layout", () => {
    const script = greeted(["a", "b"]);
    const state = stateOf(["a", "c"]);
    script.say(updateOf(state, { rev: 9, channels: { c: 1, a: 0 }, panes: { c: paneInfo() } }));
    script.core.type("c", bytes("x"));
    const frames = script.frames();
    expect(
      frames.map((frame) => (frame[0] === CONTROL_CHANNEL ? readControl(frame) : string(frame))),
    ).toEqual([{ type: "layout_ack", rev: 9 }, "\u0001x"]);
  });

  test("just before the page gets a new id leaves nothing unnamed", () => {
    const script = greeted(["a", "b"]);
    script.core.type("a", bytes("x"));
    script.say(without(["a", "b"], "a"));
    script.environment.socket.end(4409);
    expect(shown(script)).toEqual(["1 uncertain x"]);
  });

  test("while the page was away names what waited for it", () => {
    const script = greeted(["a", "b"]);
    script.cut();
    script.core.type("a", bytes("x"));
    script.greet(stateOf(["b"], { input: { b: 0 } }));
    expect(shown(script)).toEqual(["1 closed x"]);
  });
});

function lengthOf(frames: readonly Uint8Array[]): number {
  return frames.reduce((sum, frame) => sum + frame.length - 1, 0);
}
