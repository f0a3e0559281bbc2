import { Terminal } from "@xterm/xterm";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { replayOf, Script, stateOf } from "../core/testing/script";
import { OUTPUT_FRAME_BYTES } from "../protocol/wire";
import { FakeCore } from "../testing/fake-core";
import { PaneTerminal } from "./terminal";

const theme = { palette: {}, colors: null, fontFamily: "monospace" };
const utf8 = new TextEncoder();
const text = (core: FakeCore) => core.typed.map(({ data }) => new TextDecoder("latin1").decode(data));
const write = (terminal: PaneTerminal, data: string) =>
  new Promise<void>((resolve) => terminal.write(utf8.encode(data), resolve));

/** The sequence for which xterm.js 6.0.0 throws in an unscrolled 80×24 buffer. */
const POISON = "\x1b[24;80H\x1b[1J";

let core: FakeCore;
beforeEach(() => {
  core = new FakeCore();
  vi.spyOn(console, "warn").mockImplementation(() => {});
});
afterEach(() => {
  vi.useRealTimers();
});

test("what is typed goes to the core as UTF-8", () => {
  core.setPane("p", "connected");
  const terminal = new PaneTerminal("p", core, theme);
  terminal.xterm.input("é");
  expect(core.typed).toEqual([{ id: "p", data: Uint8Array.of(0xc3, 0xa9) }]);
});

test("reports of the mouse and the focus pass only while the pane is connected", () => {
  core.setPane("p", "asleep");
  const terminal = new PaneTerminal("p", core, theme);
  terminal.xterm.input("\x1b[<0;3;4M");
  terminal.xterm.input("\x1b[I");
  terminal.xterm.input("x");
  expect(text(core)).toEqual(["x"]);
  core.setPane("p", "connected");
  terminal.xterm.input("\x1b[<0;3;4M");
  terminal.xterm.input("\x1b[I");
  expect(text(core)).toEqual(["x", "\x1b[<0;3;4M", "\x1b[I"]);
});

test("reset and resize keep their place among the bytes", async () => {
  core.setPane("p", "connected");
  const terminal = new PaneTerminal("p", core, theme);
  const { xterm } = terminal;
  terminal.write(utf8.encode("old\r\n".repeat(100)), () => {});
  terminal.reset();
  terminal.resize(10, 5);
  await write(terminal, "0123456789ab");
  expect([xterm.cols, xterm.rows]).toEqual([10, 5]);
  expect(xterm.buffer.active.length).toBe(5);
  expect(xterm.buffer.active.getLine(1)?.translateToString(true)).toBe("ab");
  expect(terminal.text()).toBe("0123456789ab");
});

test("a reset ends a sequence that never ended", async () => {
  const terminal = new PaneTerminal("p", core, theme);
  await write(terminal, "\x1b]0;title without an end \xf0");
  terminal.reset();
  await write(terminal, "clean");
  expect(terminal.text()).toBe("clean");
});

test("a sequence that throws costs nothing but itself, and a redraw makes the screen right", () => {
  vi.useFakeTimers();
  core.setPane("p", "connected");
  const terminal = new PaneTerminal("p", core, theme);
  let drawn = 0;
  const count = () => {
    drawn += 1;
  };
  terminal.write(utf8.encode(`before${POISON}\x1b[2;1Hbehind it, \x1b[1min the same piece`), count);
  terminal.write(utf8.encode(", and in the next"), count);
  vi.advanceTimersByTime(100);
  expect(drawn).toBe(2);
  expect(terminal.text()).toBe("before\nbehind it, in the same piece, and in the next");
  expect(core.requests).toEqual([{ type: "pane_redraw", paneId: "p", lines: 1000 }]);
  terminal.reset();
  terminal.write(utf8.encode("drawn again"), count);
  terminal.redrawn(0);
  vi.advanceTimersByTime(100);
  expect(drawn).toBe(3);
  expect(terminal.text()).toBe("drawn again");
});

test("without the guard the terminal would stand still", () => {
  vi.useFakeTimers();
  const xterm = new Terminal({ allowProposedApi: true });
  const done = vi.fn();
  xterm.write(POISON, done);
  xterm.write("never", done);
  expect(() => vi.advanceTimersByTime(100)).toThrow();
  expect(done).not.toHaveBeenCalled();
});

test("an error outside of a sequence passes over all until a redraw, and everything is acknowledged", () => {
  vi.useFakeTimers();
  const terminal = new PaneTerminal("p", core, theme);
  const reader = (terminal.xterm as unknown as { _core: { _inputHandler: { print: () => void } } })._core
    ._inputHandler;
  const print = reader.print;
  reader.print = () => {
    throw new Error("broken");
  };
  const drawn = vi.fn();
  terminal.write(utf8.encode("x"), drawn);
  vi.advanceTimersByTime(50);
  reader.print = print;
  terminal.write(utf8.encode("onto a half changed grid"), drawn);
  vi.advanceTimersByTime(50);
  expect(drawn).toHaveBeenCalledTimes(2);
  expect(terminal.text()).toBe("");
  expect(core.requests).toHaveLength(1);
  terminal.reset();
  terminal.write(utf8.encode("drawn again"), drawn);
  vi.advanceTimersByTime(50);
  expect(terminal.text()).toBe("drawn again");
});

test("redraws that fail are asked for ever more seldom", () => {
  vi.useFakeTimers();
  const terminal = new PaneTerminal("p", core, theme);
  const fail = () => {
    terminal.reset();
    terminal.write(utf8.encode(POISON), () => {});
    vi.advanceTimersByTime(50);
  };
  fail();
  expect(core.requests).toHaveLength(1);
  fail();
  expect(core.requests).toHaveLength(1);
  vi.advanceTimersByTime(500);
  expect(core.requests).toHaveLength(2);
  fail();
  vi.advanceTimersByTime(500);
  expect(core.requests).toHaveLength(2);
  vi.advanceTimersByTime(500);
  expect(core.requests).toHaveLength(3);
});

test("a program that always breaks the terminal makes no storm", () => {
  vi.useFakeTimers();
  const terminal = new PaneTerminal("p", core, theme);
  for (let count = 0; count < 600; count++) {
    terminal.write(utf8.encode(`\x1b[H${POISON}`), () => {});
    vi.advanceTimersByTime(100);
  }
  expect(core.requests.length).toBeGreaterThan(3);
  expect(core.requests.length).toBeLessThan(10);
  expect(vi.mocked(console.warn).mock.calls.length).toBeLessThan(10);
});

test("the server hears of what the terminal has read, not of what came in", () => {
  vi.useFakeTimers();
  const script = new Script();
  script.start();
  script.greet(stateOf(["a"]));
  new PaneTerminal("a", script.core, theme);
  script.say(replayOf("a", 0));
  vi.advanceTimersByTime(50);
  const acks = () =>
    script.messages().flatMap((message) => (message.type === "output_ack" ? [message.position] : []));
  expect(acks()).toEqual([0]);
  const frame = "x".repeat(OUTPUT_FRAME_BYTES);
  for (let count = 0; count < 5; count++) script.output(0, frame);
  expect(acks()).toEqual([]);
  vi.advanceTimersByTime(5000);
  expect(acks()).toEqual([2, 4, 5].map((frames) => frames * OUTPUT_FRAME_BYTES));
  // A sequence that throws holds nothing up.
  script.output(0, `\x1bc${POISON}behind`);
  vi.advanceTimersByTime(50);
  const end = 5 * OUTPUT_FRAME_BYTES + `\x1bc${POISON}behind`.length;
  expect(script.messages()).toMatchObject([
    { type: "output_ack", position: end },
    { type: "pane_redraw", paneId: "a", lines: 1000 },
  ]);
});

const CUTS = {
  "a title": ["\x1b]0;ti", "tle\x07after"],
  "a colour": ["\x1b[3", "1mafter"],
  "an escape": ["\x1b", "[1mafter"],
  "a device control string": ["\x1bP+q5", "44e\x1b\\after"],
  "a character": ["\u2014", "after"],
};

for (const [name, [begun, rest]] of Object.entries(CUTS)) {
  test(`a redraw that ends within ${name} is gone on with by the stream`, async () => {
    const terminal = new PaneTerminal("p", core, theme);
    const [first, second] = [utf8.encode(`drawn ${begun}`), utf8.encode(rest)];
    const cut = name === "a character" ? first.length - 1 : first.length;
    terminal.write(utf8.encode("old \x1b]0;unfinished"), () => {});
    terminal.reset();
    terminal.resize(40, 10);
    terminal.write(first.subarray(0, cut), () => {});
    terminal.redrawn(100);
    terminal.write(first.subarray(cut), () => {});
    await new Promise<void>((resolve) => terminal.write(second ?? utf8.encode(""), resolve));
    expect(terminal.text()).toBe(name === "a character" ? "drawn \u2014after" : "drawn after");
  });
}
