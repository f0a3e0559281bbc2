import { Terminal } from "@xterm/xterm";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Scrollback } from "./scrollback";

let xterm: Terminal;
let element: HTMLElement;
let ask: ReturnType<typeof vi.fn<(lines: number) => Promise<unknown>>>;
let scrollback: Scrollback;

beforeEach(() => {
  vi.useFakeTimers();
  xterm = new Terminal({ allowProposedApi: true, cols: 20, rows: 5, scrollback: 10_000 });
  element = document.createElement("div");
  ask = vi.fn(async () => ({}));
  scrollback = new Scrollback(xterm, element, ask, (line) => xterm.scrollToLine(line));
});
afterEach(() => {
  vi.useRealTimers();
});

/** Of `total` lines the last ones, of which `lines` are above the screen. */
function redraw(lines: number, total: number): void {
  scrollback.begin();
  xterm.reset();
  const first = total - lines - xterm.rows;
  const drawn = Array.from({ length: lines + xterm.rows }, (_, at) => `line ${first + at}`);
  xterm.write(drawn.join("\r\n"));
  vi.advanceTimersByTime(20);
  scrollback.redrawn(first);
}

function look(): void {
  element.dispatchEvent(new Event("wheel"));
  vi.advanceTimersByTime(20);
}

function scrollUp(): void {
  xterm.scrollToTop();
  look();
}

/** The first row of the view. */
function seen(): string | undefined {
  const { active } = xterm.buffer;
  return active.getLine(active.viewportY)?.translateToString(true);
}

function asked(): number[] {
  return ask.mock.calls.map(([lines]) => lines);
}

test("scrolling up brings a thousand lines, then all, and the view stays", () => {
  redraw(200, 20_000);
  look();
  expect(asked()).toEqual([]);
  scrollUp();
  scrollUp();
  expect(asked()).toEqual([1000]);
  expect(seen()).toBe("line 19795");
  redraw(1000, 20_000);
  expect(seen()).toBe("line 19795");
  look();
  expect(asked()).toEqual([1000]);
  scrollUp();
  expect(asked()).toEqual([1000, 10_000]);
  redraw(10_000, 20_000);
  expect(seen()).toBe("line 18995");
  scrollUp();
  expect(asked()).toEqual([1000, 10_000]);
});

test("the view stays although output came between asking and the answer", () => {
  redraw(200, 5000);
  xterm.scrollToLine(3);
  look();
  expect(asked()).toEqual([1000]);
  expect(seen()).toBe("line 4798");
  xterm.write("\r\nnew".repeat(30));
  vi.advanceTimersByTime(20);
  expect(seen()).toBe("line 4798");
  redraw(1000, 5030);
  expect(seen()).toBe("line 4798");
});

test("a view at the end stays at the end", () => {
  redraw(200, 5000);
  void scrollback.whole();
  redraw(4000, 5000);
  expect(xterm.buffer.active.viewportY).toBe(xterm.buffer.active.baseY);
});

test("where nothing is above, nothing is asked for", async () => {
  redraw(200, 205);
  scrollUp();
  await scrollback.whole();
  expect(asked()).toEqual([]);
});

test("what was drawn from its beginning is whole, and what is redrawn may not be", () => {
  xterm.write("line\r\n".repeat(300));
  vi.advanceTimersByTime(20);
  scrollUp();
  expect(asked()).toEqual([]);
  redraw(200, 300);
  scrollUp();
  expect(asked()).toEqual([1000]);
});

test("a request that is refused is made again by the next look", async () => {
  ask.mockRejectedValueOnce(new Error("cut off"));
  redraw(200, 5000);
  scrollUp();
  await vi.advanceTimersByTimeAsync(1);
  expect(asked()).toEqual([1000]);
  scrollUp();
  expect(asked()).toEqual([1000, 1000]);
});

test("the whole is waited for, behind what is under way", async () => {
  redraw(200, 5000);
  scrollUp();
  const done = vi.fn();
  void scrollback.whole().then(done);
  redraw(1000, 5000);
  await vi.advanceTimersByTimeAsync(1);
  expect(asked()).toEqual([1000, 10_000]);
  expect(done).not.toHaveBeenCalled();
  redraw(4995, 5000);
  await vi.advanceTimersByTimeAsync(1);
  expect(done).toHaveBeenCalledTimes(1);
});

test("nobody waits for ever", async () => {
  redraw(200, 5000);
  const done = vi.fn();
  void scrollback.whole().then(done);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(done).toHaveBeenCalledTimes(1);
});

test("on the alternate screen nothing is asked for", async () => {
  redraw(200, 5000);
  xterm.write("\x1b[?1049h");
  vi.advanceTimersByTime(20);
  look();
  await scrollback.whole();
  expect(asked()).toEqual([]);
});
