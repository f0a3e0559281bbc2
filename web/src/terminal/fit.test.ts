import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { gridFor, Pace } from "./fit";

const cell = { width: 8, height: 20 };

test("only whole cells inside the padding count", () => {
  expect(gridFor(8 * 80 + 16, 20 * 24 + 16, cell)).toEqual({ cols: 80, rows: 24 });
  expect(gridFor(8 * 81 + 15, 20 * 25 + 15, cell)).toEqual({ cols: 80, rows: 24 });
  expect(gridFor(30, 40, cell)).toEqual({ cols: 2, rows: 2 });
  expect(gridFor(20, 20, cell)).toBeNull();
});

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test("a burst is one call in the next frame and one at its end", () => {
  const work = vi.fn();
  const pace = new Pace(work);
  for (let at = 0; at < 10; at++) pace.call();
  expect(work).toHaveBeenCalledTimes(0);
  vi.advanceTimersByTime(20);
  expect(work).toHaveBeenCalledTimes(1);
  for (let at = 0; at < 10; at++) pace.call();
  vi.advanceTimersByTime(60);
  expect(work).toHaveBeenCalledTimes(1);
  vi.advanceTimersByTime(100);
  expect(work).toHaveBeenCalledTimes(2);
  vi.advanceTimersByTime(1000);
  expect(work).toHaveBeenCalledTimes(2);
  pace.call();
  pace.stop();
  vi.advanceTimersByTime(1000);
  expect(work).toHaveBeenCalledTimes(2);
});
