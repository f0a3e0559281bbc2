import { describe, expect, test } from "vitest";
import { UNANSWERED_REQUESTS } from "../protocol/wire";
import { bytes, paneInfo, replayOf, Script, stateOf, updateOf } from "./testing/script";
import { RecordingSink } from "./testing/sink";

test("a page connects, shows a pane, types and reads", () => {
  const script = new Script();
  const { core } = script;
  expect(core.model().known).toBe(false);
  script.start();
  expect(core.model().connection).toEqual({ status: "connecting", attempt: 1 });
  script.environment.socket.open();
  expect(script.messages()).toEqual([
    {
      type: "connect",
      width: 1000,
      height: 700,
      clientId: script.environment.storedId,
      resume: {},
      input: {},
      flow: true,
      colors: null,
      attempt: expect.any(Number),
    },
  ]);

  const state = stateOf(["a"], { rev: 7 });
  script.say(state, replayOf("a", 0, { bytes: 4, reset: true, position: 100 }));
  script.output(0, "$ vi");
  expect(script.messages()).toEqual([{ type: "layout_ack", rev: 7 }]);
  expect(core.model()).toMatchObject({ known: true, activeTab: "tab-a", tabs: state.tabs });
  expect(core.pane("a")).toEqual({
    id: "a",
    connected: true,
    info: paneInfo(),
    channel: 0,
    unacked: 0,
    unackedKeys: 0,
    discarded: [],
  });

  const sink = new RecordingSink();
  core.attach("a", sink);
  expect(sink.drawings).toEqual([
    { type: "reset" },
    { type: "resize", size: "80x24" },
    { type: "write", text: "$ vi" },
  ]);
  sink.draw();
  expect(script.messages()).toEqual([{ type: "output_ack", paneId: "a", position: 100 }]);

  core.type("a", bytes("ls\r"));
  expect(script.typed()).toEqual(["0:ls\r"]);
  expect(core.pane("a")).toMatchObject({ unacked: 3, unackedKeys: 1 });
  script.say({ type: "input_ack", paneId: "a", position: 3 });
  expect(core.pane("a")).toMatchObject({ unacked: 0, unackedKeys: 0 });

  script.say(
    updateOf(state, { rev: 8, connected: { a: false }, panes: { a: paneInfo({ status: "asleep" }) } }),
  );
  expect(script.messages()).toEqual([{ type: "layout_ack", rev: 8 }]);
  expect(core.pane("a")).toMatchObject({ connected: false, info: { status: "asleep" } });
});

describe("requests", () => {
  function greeted(): Script {
    const script = new Script();
    script.start();
    script.greet(stateOf(["a"]));
    script.frames();
    return script;
  }

  test("carry a ref of their own and are answered by it", async () => {
    const script = greeted();
    const made = script.core.request({ type: "tab_create", sessionId: "s" });
    const refused = script.core.request({ type: "tab_rename", tabId: "t", name: "" });
    const [first, second] = script.messages();
    expect(first).toEqual({ type: "tab_create", sessionId: "s", ref: expect.any(String) });
    expect(first?.ref).not.toBe(second?.ref);
    const sentence = "A name has 1 to 100 characters.";
    script.say(
      { type: "error", code: "invalid", message: sentence, request: "tab_rename", ref: second?.ref },
      { type: "ok", ref: first?.ref ?? "", result: { tabId: "t2", paneId: "p2" } },
      { type: "ok", ref: "nobody's" },
    );
    await expect(made).resolves.toEqual({ tabId: "t2", paneId: "p2" });
    await expect(refused).rejects.toMatchObject({ code: "invalid", message: sentence });
  });

  test("are lost with the connection and never sent again", async () => {
    const script = greeted();
    const lost = script.core.request({ type: "tab_create", sessionId: "s" });
    script.frames();
    script.cut();
    await expect(lost).rejects.toMatchObject({ code: "lost" });
    script.greet(stateOf(["a"], { input: { a: 0 } }));
    expect(script.message("tab_create")).toBeUndefined();
  });

  test("are refused while there is no connection", async () => {
    const script = new Script();
    await expect(script.core.request({ type: "pane_wake", paneId: "a" })).rejects.toMatchObject({
      code: "offline",
    });
  });

  test("without an answer have a bound", async () => {
    const script = greeted();
    const all = Array.from({ length: UNANSWERED_REQUESTS }, () =>
      script.core.request({ type: "pane_wake", paneId: "a" }),
    );
    await expect(script.core.request({ type: "pane_wake", paneId: "a" })).rejects.toMatchObject({
      code: "limit",
    });
    expect(script.messages().length).toBe(UNANSWERED_REQUESTS);
    script.say({ type: "ok", ref: "1" });
    await expect(all[0]).resolves.toEqual({});
    const next = script.core.request({ type: "pane_wake", paneId: "a" });
    expect(script.messages().length).toBe(1);
    script.core.stop();
    await expect(next).rejects.toMatchObject({ code: "lost" });
    await Promise.allSettled(all);
  });

  test("about the page itself are remembered for the next connection", () => {
    const script = greeted();
    const colors = { foreground: "#111111", background: "#222222", cursor: "#333333" };
    script.core.request({ type: "client_update", width: 500, height: 400, colors }).catch(() => {});
    script.cut();
    script.environment.socket.open();
    expect(script.message("connect")).toMatchObject({ width: 500, height: 400, colors });
  });
});

describe("wishes", () => {
  test("are sent when they differ from the last, within bounds, and again to a new connection", () => {
    const script = new Script();
    script.core.wishSize("a", 100, 30);
    script.start();
    script.greet(stateOf(["a", "b"]));
    expect(script.message("pane_resize")).toEqual({ type: "pane_resize", paneId: "a", cols: 100, rows: 30 });
    script.core.wishSize("a", 100, 30);
    expect(script.messages()).toEqual([]);
    script.core.wishSize("a", 0, 5000.7);
    expect(script.messages()).toEqual([{ type: "pane_resize", paneId: "a", cols: 2, rows: 1000 }]);
    script.cut();
    script.core.wishSize("b", 80, 25);
    script.greet(stateOf(["a", "b"], { input: { a: 0, b: 0 } }));
    const sent = script.messages().filter((message) => message.type === "pane_resize");
    expect(sent).toEqual([
      { type: "pane_resize", paneId: "a", cols: 2, rows: 1000 },
      { type: "pane_resize", paneId: "b", cols: 80, rows: 25 },
    ]);
  });

  test("wait for their pane, and are forgotten with it", () => {
    const script = new Script();
    script.start();
    const state = stateOf(["a"]);
    script.greet(state);
    script.core.wishSize("b", 90, 20);
    expect(script.message("pane_resize")).toBeUndefined();
    const both = stateOf(["a", "b"]);
    script.say(updateOf(both, { rev: 2, panes: both.panes }));
    expect(script.message("pane_resize")).toEqual({ type: "pane_resize", paneId: "b", cols: 90, rows: 20 });
    script.say(updateOf(state, { rev: 3 }), updateOf(both, { rev: 4, panes: both.panes }));
    expect(script.message("pane_resize")).toBeUndefined();
  });
});
