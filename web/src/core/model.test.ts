import { describe, expect, test, vi } from "vitest";
import { share } from "./share";
import { bytes, paneInfo, replayOf, Script, stateOf, updateOf } from "./testing/script";

const STATE = stateOf(["a", "b", "c"]);

function greeted(): Script {
  const script = new Script();
  script.start();
  script.greet(STATE);
  for (const [id, channel] of Object.entries(STATE.channels)) script.say(replayOf(id, channel));
  script.frames();
  return script;
}

/** How often the model's listeners and those of each pane were called. */
function watch(script: Script) {
  const listeners = { model: vi.fn(), a: vi.fn(), b: vi.fn(), c: vi.fn() };
  script.core.subscribe(listeners.model);
  for (const id of ["a", "b", "c"] as const) script.core.subscribePane(id, listeners[id]);
  return () => {
    const counts = Object.fromEntries(
      Object.entries(listeners).map(([name, fn]) => [name, fn.mock.calls.length]),
    );
    for (const listener of Object.values(listeners)) listener.mockClear();
    return counts;
  };
}

describe("who is told of a change", () => {
  test("of one pane: that pane alone, once", () => {
    const script = greeted();
    const counts = watch(script);
    const { a, c } = { a: script.core.pane("a"), c: script.core.pane("c") };
    const model = script.core.model();
    script.say(updateOf(STATE, { rev: 2, panes: { b: paneInfo({ title: "vim" }) } }));
    expect(counts()).toEqual({ model: 0, a: 0, b: 1, c: 0 });
    expect(script.core.pane("b").info?.title).toBe("vim");
    expect(script.core.pane("a")).toBe(a);
    expect(script.core.pane("c")).toBe(c);
    expect(script.core.model()).toBe(model);
  });

  test("of `connected` alone: the pane that it is about", () => {
    const script = greeted();
    const counts = watch(script);
    script.say(updateOf(STATE, { rev: 2, connected: { ...STATE.connected, c: false } }));
    expect(counts()).toEqual({ model: 0, a: 0, b: 0, c: 1 });
  });

  test("of nothing: nobody", () => {
    const script = greeted();
    const counts = watch(script);
    script.say(
      updateOf(STATE, { rev: 2, sessions: structuredCopy(STATE.sessions), panes: { a: paneInfo() } }),
    );
    expect(counts()).toEqual({ model: 0, a: 0, b: 0, c: 0 });
    expect(script.messages()).toEqual([{ type: "layout_ack", rev: 2 }]);
  });

  test("of the layout: the model's listeners, once, and no pane", () => {
    const script = greeted();
    const counts = watch(script);
    const [first, ...others] = STATE.tabs;
    if (first === undefined) throw new Error("no tab");
    script.say(updateOf(STATE, { rev: 2, tabs: [...others, { ...first, name: "new" }], activeTab: "tab-b" }));
    expect(counts()).toEqual({ model: 1, a: 0, b: 0, c: 0 });
  });

  test("of a key: its pane, when it is typed and when it is acknowledged", () => {
    const script = greeted();
    const counts = watch(script);
    script.core.type("b", bytes("x"));
    expect(counts()).toEqual({ model: 0, a: 0, b: 1, c: 0 });
    script.say({ type: "input_ack", paneId: "b", position: 1 });
    expect(counts()).toEqual({ model: 0, a: 0, b: 1, c: 0 });
  });

  test("of output: nobody, while it can be seen", () => {
    const script = greeted();
    script.core.setVisiblePanes(new Set(["a", "b", "c"]));
    const counts = watch(script);
    script.output(0, "much");
    expect(counts()).toEqual({ model: 0, a: 0, b: 0, c: 0 });
  });

  test("of a cut: everybody, once", () => {
    const script = greeted();
    const counts = watch(script);
    script.environment.socket.end(1006);
    expect(counts()).toEqual({ model: 1, a: 1, b: 1, c: 1 });
    expect(script.core.pane("a")).toMatchObject({
      connected: null,
      channel: null,
      info: { status: "connected" },
    });
  });

  test("nobody who left", () => {
    const script = greeted();
    const listener = vi.fn();
    script.core.subscribePane("a", listener)();
    script.core.subscribe(listener)();
    script.environment.socket.end(1006);
    expect(listener).not.toHaveBeenCalled();
  });

  test("a listener sees everything changed, and may change something itself", () => {
    const script = greeted();
    const seen: (number | boolean | null)[] = [];
    script.core.subscribePane("a", () => {
      const { connected, unacked } = script.core.pane("a");
      seen.push(connected, unacked);
      if (connected === false && unacked === 0) script.core.type("a", bytes("x"));
    });
    script.say(updateOf(STATE, { rev: 2, connected: { ...STATE.connected, a: false } }));
    expect(seen).toEqual([false, 0, false, 1]);
  });
});

describe("the model", () => {
  test("keeps what is deeply equal, tab by tab and session by session", () => {
    const script = greeted();
    const { tabs, sessions } = script.core.model();
    const moved = [...structuredCopy(STATE.tabs)].reverse();
    script.say(updateOf(STATE, { rev: 2, tabs: moved }));
    const after = script.core.model();
    expect(after.tabs).not.toBe(tabs);
    expect([...after.tabs].reverse().map((tab, index) => tab === tabs[index])).toEqual([true, true, true]);
    expect(after.sessions).toBe(sessions);
  });

  test("survives a cut, and is the same object if the server says the same again", () => {
    const script = greeted();
    const { tabs, sessions } = script.core.model();
    script.cut();
    expect(script.core.model().tabs).toBe(tabs);
    script.greet(structuredCopy({ ...STATE, input: { a: 0, b: 0, c: 0 } }));
    expect(script.core.model()).toMatchObject({ known: true });
    expect(script.core.model().tabs).toBe(tabs);
    expect(script.core.model().sessions).toBe(sessions);
  });

  test("is acknowledged after every state and update", () => {
    const script = greeted();
    script.say(updateOf(STATE, { rev: 5 }), updateOf(STATE, { rev: 9 }));
    expect(script.messages()).toEqual([
      { type: "layout_ack", rev: 5 },
      { type: "layout_ack", rev: 9 },
    ]);
    script.cut();
    script.greet({ ...STATE, rev: 12, input: null });
    expect(script.messages().at(-1)).toEqual({ type: "layout_ack", rev: 12 });
  });

  test("replaces a pane's record as a whole and keeps those that are not named", () => {
    const script = greeted();
    script.say(updateOf(STATE, { rev: 2, panes: { a: paneInfo({ status: "failed", reason: "No disk." }) } }));
    script.say(updateOf(STATE, { rev: 3, panes: { a: paneInfo() } }));
    expect(script.core.pane("a").info).toEqual(paneInfo());
    expect(script.core.pane("b").info).toEqual(paneInfo());
  });

  test("a pane that nobody knows is shown as unknown, and stays the same object", () => {
    const script = greeted();
    const view = script.core.pane("z");
    expect(view).toEqual({
      id: "z",
      connected: null,
      info: null,
      channel: null,
      unacked: 0,
      unackedKeys: 0,
      discarded: [],
    });
    expect(script.core.pane("z")).toBe(view);
    const listener = vi.fn();
    script.core.subscribePane("z", listener);
    script.say(updateOf(STATE, { rev: 2 }));
    expect(script.core.pane("z")).toBe(view);
    expect(listener).not.toHaveBeenCalled();
  });
});

describe("panes that nobody sees", () => {
  test("are noticed when they have output or a bell, until they are looked at", () => {
    const script = greeted();
    script.core.setVisiblePanes(new Set(["a"]));
    const listener = vi.fn();
    script.core.subscribe(listener);
    script.output(0, "seen");
    script.output(1, "unseen");
    script.output(1, "more");
    script.core.noteBell("c");
    expect([...script.core.model().noticed]).toEqual(["b", "c"]);
    expect(listener).toHaveBeenCalledTimes(2);
    script.core.setVisiblePanes(new Set(["b"]));
    expect([...script.core.model().noticed]).toEqual(["c"]);
    script.say(updateOf(STATE, { rev: 2, channels: { a: 0, b: 1 } }));
    expect([...script.core.model().noticed]).toEqual([]);
  });

  test("are not noticed for a redraw", () => {
    const script = greeted();
    script.core.setVisiblePanes(new Set(["a"]));
    script.say(replayOf("b", 1, { position: 9, bytes: 3, reset: true }));
    script.output(1, "old");
    expect([...script.core.model().noticed]).toEqual([]);
  });

  test("are not noticed for what a shell says in falling asleep", () => {
    const script = greeted();
    script.core.setVisiblePanes(new Set(["a"]));
    script.output(1, "exit");
    expect([...script.core.model().noticed]).toEqual(["b"]);
    const asleep = {
      panes: { b: paneInfo({ status: "asleep" }) },
      connected: { a: true, b: false, c: true },
    };
    script.say(updateOf(STATE, { rev: 2, ...asleep }));
    expect([...script.core.model().noticed]).toEqual([]);
    script.output(1, "modes off");
    expect([...script.core.model().noticed]).toEqual([]);
  });

  test("stay noticed when they fall asleep long after", () => {
    const script = greeted();
    script.core.setVisiblePanes(new Set(["a"]));
    script.output(1, "done");
    script.environment.advance(5_000);
    const asleep = {
      panes: { b: paneInfo({ status: "asleep" }) },
      connected: { a: true, b: false, c: true },
    };
    script.say(updateOf(STATE, { rev: 2, ...asleep }));
    expect([...script.core.model().noticed]).toEqual(["b"]);
  });

  test("do not exist before the page has said what it shows", () => {
    const script = greeted();
    script.output(1, "x");
    expect([...script.core.model().noticed]).toEqual([]);
  });
});

describe("share", () => {
  test.each([
    [{ a: 1 }, { a: 1 }, true],
    [{ a: 1 }, { a: 2 }, false],
    [{ a: 1 }, {}, false],
    [{ a: undefined }, { b: undefined }, false],
    [[1, [2]], [1, [2]], true],
    [[1, 2], [1], false],
    [[], {}, false],
    [null, {}, false],
    [Number.NaN, Number.NaN, true],
  ])("%j, then %j: the same object is %s", (previous, next, same) => {
    const shared = share<unknown>(previous, next);
    expect(shared).toEqual(next);
    expect(Object.is(shared, previous)).toBe(same);
  });
});

function structuredCopy<T>(value: T): T {
  return JSON.parse(JSON.stringify(value)) as T;
}
