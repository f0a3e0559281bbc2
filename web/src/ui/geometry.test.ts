import { expect, test } from "vitest";
import { leaf, split } from "../testing/fake-core";
import { arrange, moveDivider, withRatios } from "./geometry";

const area = { left: 0, top: 0, width: 1001, height: 601 };
const layout = split("horizontal", [leaf("a"), split("vertical", [leaf("b"), leaf("c")])], [0.3, 0.7]);

test("panes and lines fill the area exactly, in whole pixels", () => {
  const { panes, dividers } = arrange(layout, area);
  expect(panes.get("a")).toEqual({ left: 0, top: 0, width: 300, height: 601 });
  expect(panes.get("b")).toEqual({ left: 301, top: 0, width: 700, height: 300 });
  expect(panes.get("c")).toEqual({ left: 301, top: 301, width: 700, height: 300 });
  expect(dividers.map(({ path, index, rect, spacePx }) => ({ path, index, rect, spacePx }))).toEqual([
    { path: [], index: 0, rect: { left: 300, top: 0, width: 1, height: 601 }, spacePx: 1000 },
    { path: [1], index: 0, rect: { left: 301, top: 300, width: 700, height: 1 }, spacePx: 600 },
  ]);
});

test("uneven shares leave no gap", () => {
  const row = split("horizontal", ["a", "b", "c", "d", "e", "f", "g"].map(leaf));
  const { panes } = arrange(row, { ...area, width: 997 });
  const all = [...panes.values()];
  expect(all.reduce((sum, rect) => sum + rect.width, 0) + 6).toBe(997);
  all.slice(1).forEach((rect, at) => {
    expect(rect.left).toBe((all[at]?.left ?? 0) + (all[at]?.width ?? 0) + 1);
  });
});

test("moving a line changes its two neighbours only, and leaves each something to see", () => {
  expect(moveDivider([0.25, 0.25, 0.5], 0, 125, 1000)).toEqual([0.375, 0.125, 0.5]);
  const far = moveDivider([0.25, 0.25, 0.5], 0, 900, 1000);
  expect(far[0]).toBeCloseTo(0.444);
  expect(far[1]).toBeCloseTo(0.056);
  expect(moveDivider([0.5, 0.5], 0, -40, 60)).toEqual([0.5, 0.5]);
});

test("shares are put where they belong, or nowhere", () => {
  const changed = withRatios(layout, [1], [0.2, 0.8]);
  expect(changed).toEqual(
    split("horizontal", [leaf("a"), split("vertical", [leaf("b"), leaf("c")], [0.2, 0.8])], [0.3, 0.7]),
  );
  expect(withRatios(layout, [0], [0.5, 0.5])).toEqual(layout);
  expect(withRatios(layout, [4], [0.5, 0.5])).toEqual(layout);
  expect(withRatios(layout, [1], [0.3, 0.3, 0.4])).toEqual(layout);
});
