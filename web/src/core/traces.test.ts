/** The core keeps every rule in the table of traces, and what simulated stories recorded. */

import { describe, expect, test } from "vitest";
import { play, type Trace } from "./testing/trace";

const TABLE = Object.values(
  import.meta.glob<Trace[]>("../../../tests/traces/*.json", { eager: true, import: "default" }),
).flat();

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
