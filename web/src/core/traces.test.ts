/** The core keeps every rule in the table of traces, and what simulated stories recorded. */

import { describe, expect, test } from "vitest";
import { play } from "./testing/trace";
import type { Trace } from "./testing/trace-format";

const TABLE = Object.values(
  import.meta.glob<Trace[]>("../../../tests/traces/*.json", { eager: true, import: "default" }),
).flat();

/** A file of more traces, recorded from simulated stories by `tests/traces/test_recorded.py`. */
const PATH: string | undefined = import.meta.env.VITE_RECORDED_TRACES;
const RECORDED: readonly Trace[] =
  PATH === undefined ? [] : JSON.parse((await import(/* @vite-ignore */ `${PATH}?raw`)).default);

describe("the table of traces", () => {
  test.each(TABLE.map((trace) => [trace.name, trace] as const))("%s", (_, trace) => {
    play(trace);
  });

  test("is there", () => {
    expect(TABLE.length).toBeGreaterThanOrEqual(40);
  });

  test("what cannot be played is an error", () => {
    const unknown: Trace = { name: "unknown", rule: "none", steps: [{ dance: true }] };
    expect(() => play(unknown)).toThrow("nobody can play");
    const two: Trace = { name: "two", rule: "none", steps: [{ cut: true, open: {} }] };
    expect(() => play(two)).toThrow("nobody can play");
  });
});

describe.runIf(PATH !== undefined)("recorded stories", () => {
  test.each(RECORDED.map((trace) => [trace.name, trace] as const))("%s", (_, trace) => {
    play(trace);
  });
});
