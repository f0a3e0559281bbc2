/** How a stream of input goes on after a cut, as the page and the server see it. */

import { describe, expect, test } from "vitest";
import { INPUT_PANE_BYTES } from "../protocol/wire";
import { SimEnvironment } from "./testing/environment";
import { bytes, paneInfo, Script, stateOf } from "./testing/script";
import { ack, again, greeted, pong, shown } from "./testing/typing";

describe("a cut", () => {
  test("connect says what was acknowledged, and the stream goes on where the server says", () => {
    const script = greeted(["a", "b"]);
    script.core.type("a", bytes("abcdef"));
    ack(script, 2);
    script.cut();
    script.core.type("a", bytes("gh"));
    script.environment.socket.open();
    expect(script.message("connect")?.input).toEqual({ a: 2, b: 0 });
    script.say(stateOf(["a", "b"], { input: { a: 4, b: 0 } }));
    expect(script.typed()).toEqual(["0:efgh"]);
    ack(script, 8);
    expect(script.core.pane("a").unacked).toBe(0);
  });

  test.each([0, 1, 2, 3])("after %i of three bytes arrived, the rest is sent once", (taken) => {
    const script = greeted();
    script.core.type("a", bytes("a"));
    script.core.type("a", bytes("bc"));
    again(script, { a: taken });
    expect(script.typed().join("").replaceAll("0:", "")).toBe("abc".slice(taken));
    script.core.type("a", bytes("d"));
    ack(script, 4);
    expect(script.core.pane("a")).toMatchObject({ unacked: 0, discarded: [] });
  });

  test("what the server took and queues stays unacknowledged and is not sent again", () => {
    const script = greeted();
    script.core.type("a", bytes("abc"));
    script.cut();
    script.greet(
      stateOf(["a"], { input: { a: 3 }, panes: { a: paneInfo({ status: "waking", queued: 3 }) } }),
    );
    expect(script.typed()).toEqual([]);
    expect(script.core.pane("a").unacked).toBe(3);
    pong(script);
    expect(script.core.pane("a").unacked).toBe(3);
    ack(script, 3);
    expect(script.core.pane("a").unacked).toBe(0);
  });

  test("what the server took and does not queue was written, though its acknowledgement was lost", () => {
    const script = greeted();
    script.core.type("a", bytes("abc"));
    again(script, { a: 3 });
    pong(script);
    expect(script.core.pane("a")).toMatchObject({ unacked: 0, unackedKeys: 0, discarded: [] });
    // It is not what `connect` may call acknowledged: a notice on it may still be owed.
    script.cut();
    script.environment.socket.open();
    expect(script.message("connect")?.input).toEqual({ a: 0 });
  });

  test("what the server took and is still at work on counts until it is acknowledged", () => {
    const script = greeted();
    script.core.type("a", bytes("abcd"));
    again(script, { a: 4 });
    ack(script, 1);
    pong(script);
    expect(script.core.pane("a").unacked).toBe(3);
  });

  test("a window that was full before is open again", () => {
    const script = greeted();
    script.core.type("a", new Uint8Array(INPUT_PANE_BYTES));
    script.core.type("a", bytes("x"));
    again(script, { a: INPUT_PANE_BYTES });
    expect(script.typed()).toEqual([]);
    pong(script);
    expect(script.typed()).toEqual(["0:x"]);
  });

  test("with null for a pane, nothing is sent until the acknowledgement that follows", () => {
    const script = greeted();
    script.core.type("a", bytes("abc"));
    again(script, { a: null });
    script.core.type("a", bytes("d"));
    expect(script.typed()).toEqual([]);
    ack(script, 2);
    expect(script.typed()).toEqual(["0:cd"]);
  });

  test("only what is younger than 30 s is sent; the rest is shown, and the numbers go on without it", () => {
    const script = greeted();
    script.core.type("a", bytes("abc"));
    script.cut();
    script.core.type("a", bytes("def"));
    script.environment.socket.end(1006);
    script.environment.advance(20_000);
    script.core.type("a", bytes("gh"));
    script.environment.advance(10_000);
    script.core.tryNow();
    script.greet(stateOf(["a"], { input: { a: 1 } }));
    expect(script.typed()).toEqual(["0:gh"]);
    expect(shown(script)).toEqual(["5 unsent bcdef"]);
    ack(script, 3);
    expect(script.core.pane("a").unacked).toBe(0);
  });

  test("a machine that slept does not type what is old by the wall clock", () => {
    const script = greeted();
    script.cut();
    script.core.type("a", bytes("rm *\r"));
    script.environment.sleep(60_000, false);
    script.greet(stateOf(["a"], { input: { a: 0 } }));
    expect(script.typed()).toEqual([]);
    expect(shown(script)).toEqual(["5 unsent rm *\r"]);
  });

  test("keys typed while cut off are counted over all panes", () => {
    const script = greeted(["a", "b"]);
    script.cut();
    script.core.type("a", bytes("x"));
    script.core.type("b", bytes("yy"));
    script.core.type("b", bytes("z"));
    expect(script.core.model().unsentKeys).toBe(3);
  });

  test("a pane that is new to the server's answer starts at 0", () => {
    const script = greeted();
    again(script, { a: 0, b: 0 }, ["a", "b"]);
    script.core.type("b", bytes("x"));
    expect(script.typed()).toEqual(["1:x"]);
  });
});

describe("a client that the server does not know", () => {
  test("numbers from 0; what was sent is uncertain, what was not is sent if it is young", () => {
    const script = greeted();
    script.core.type("a", bytes("old"));
    ack(script, 1);
    script.cut();
    script.core.type("a", bytes("new"));
    script.greet(stateOf(["a"], { input: null }));
    expect(script.typed()).toEqual(["0:new"]);
    expect(shown(script)).toEqual(["2 uncertain ld"]);
    ack(script, 3);
    expect(script.core.pane("a").unacked).toBe(0);
    script.cut();
    script.environment.socket.open();
    expect(script.message("connect")?.input).toEqual({ a: 3 });
  });

  test("the same under a new id", () => {
    const script = greeted();
    script.core.type("a", bytes("sent"));
    ack(script, 1);
    script.environment.socket.end(4409);
    expect(shown(script)).toEqual(["3 uncertain ent"]);
    script.core.type("a", bytes("x"));
    script.environment.socket.open();
    expect(script.message("connect")?.input).toEqual({ a: 0 });
    script.say(stateOf(["a"], { input: null }));
    expect(script.typed()).toEqual(["0:x"]);
  });

  test("the same if the server goes back behind what it acknowledged", () => {
    const script = greeted();
    script.core.type("a", bytes("abc"));
    ack(script, 2);
    again(script, { a: 0 });
    expect(script.typed()).toEqual([]);
    expect(shown(script)).toEqual(["1 uncertain c"]);
    script.core.type("a", bytes("d"));
    expect(script.typed()).toEqual(["0:d"]);
    ack(script, 1);
    expect(script.core.pane("a").unacked).toBe(0);
  });

  test("after a reload the numbers go on where they were", () => {
    const environment = new SimEnvironment();
    environment.storedId = "mine";
    const script = new Script(environment);
    script.start();
    script.greet(stateOf(["a", "b"], { input: { a: 7, b: null } }));
    script.core.type("a", bytes("x"));
    script.core.type("b", bytes("y"));
    expect(script.typed()).toEqual(["0:x"]);
    ack(script, 5, "b");
    expect(script.typed()).toEqual(["1:y"]);
    ack(script, 8, "a");
    ack(script, 6, "b");
    expect(script.core.pane("a").unacked).toBe(0);
    expect(script.core.pane("b").unacked).toBe(0);
  });

  test("after a reload old notices are not asked for, new ones are", () => {
    const environment = new SimEnvironment();
    environment.storedId = "mine";
    const script = new Script(environment);
    script.start();
    environment.socket.open();
    expect(script.message("connect")?.input).toEqual({});
    script.say(stateOf(["a", "b"], { input: { a: 7, b: null } }));
    script.core.type("a", bytes("x"));
    script.cut();
    environment.socket.open();
    expect(script.message("connect")?.input).toEqual({ a: 7 });
  });
});
