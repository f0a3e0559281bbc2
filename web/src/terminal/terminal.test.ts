import { afterEach, beforeEach, expect, test, vi } from "vitest";
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

test("an error inside the terminal is kept there, and a redraw is asked for", async () => {
  vi.useFakeTimers();
  core.setPane("p", "connected");
  const terminal = new PaneTerminal("p", core, theme);
  let drawn = 0;
  const count = () => {
    drawn += 1;
  };
  terminal.write(utf8.encode(`before${POISON}`), count);
  terminal.write(utf8.encode("not drawn"), count);
  vi.advanceTimersByTime(100);
  expect(drawn).toBe(2);
  expect(core.requests).toEqual([{ type: "pane_redraw", paneId: "p", lines: 1000 }]);
  terminal.reset();
  terminal.write(utf8.encode("drawn again"), count);
  vi.advanceTimersByTime(100);
  expect(drawn).toBe(3);
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
