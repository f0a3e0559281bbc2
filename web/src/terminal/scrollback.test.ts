import { Terminal } from "@xterm/xterm";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Scrollback } from "./scrollback";

let xterm: Terminal;
let element: HTMLElement;
let ask: ReturnType<typeof vi.fn<() => Promise<unknown>>>;
let scrollback: Scrollback;

beforeEach(() => {
  vi.useFakeTimers();
  xterm = new Terminal({ allowProposedApi: true, cols: 20, rows: 5, scrollback: 10_000 });
  element = document.createElement("div");
  ask = vi.fn(async () => ({}));
  scrollback = new Scrollback(xterm, element, ask);
});
afterEach(() => {
  vi.useRealTimers();
});

function write(lines: number): void {
  xterm.write(Array.from({ length: lines }, (_, at) => `line ${at}`).join("\r\n"));
  vi.advanceTimersByTime(20);
}

function scrollUp(): void {
  xterm.scrollToTop();
  element.dispatchEvent(new Event("wheel"));
  vi.advanceTimersByTime(20);
}

test("at the upper end of a redraw the rest is asked for once, and the view stays", () => {
  scrollback.reset();
  write(300);
  element.dispatchEvent(new Event("wheel"));
  vi.advanceTimersByTime(20);
  expect(ask).toHaveBeenCalledTimes(0);
  scrollUp();
  expect(ask).toHaveBeenCalledTimes(1);
  const below = xterm.buffer.active.baseY;
  xterm.reset();
  scrollback.reset();
  write(1_000);
  expect(xterm.buffer.active.baseY - xterm.buffer.active.viewportY).toBe(below);
  vi.advanceTimersByTime(1_000);
  scrollUp();
  expect(ask).toHaveBeenCalledTimes(1);
});

test("what was there from the beginning, or is short, is whole", () => {
  write(300);
  scrollUp();
  xterm.reset();
  scrollback.reset();
  write(100);
  scrollUp();
  expect(ask).toHaveBeenCalledTimes(0);
});
