/**
 * Where the panes of a layout lie, in whole pixels: a terminal on half a pixel is blurred. The list of panes is flat,
 * so that a pane stays the same element through every change of the layout around it.
 */

import type { PaneId } from "../core/api";
import type { Layout, Orientation, Split } from "../protocol/wire";

export const DIVIDER_PX = 1;
/** Less of a pane shows nothing that can be read. */
const PANE_MIN_PX = 56;

export interface Rect {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** The line after child `index` of the split at `path`. */
export interface Divider {
  readonly path: readonly number[];
  readonly index: number;
  readonly orientation: Orientation;
  readonly rect: Rect;
  readonly ratios: readonly number[];
  /** What the split's children share, along its orientation. */
  readonly spacePx: number;
}

export interface Arrangement {
  readonly panes: ReadonlyMap<PaneId, Rect>;
  readonly dividers: readonly Divider[];
}

export function arrange(layout: Layout, area: Rect): Arrangement {
  const panes = new Map<PaneId, Rect>();
  const dividers: Divider[] = [];
  const visit = (node: Layout, rect: Rect, path: readonly number[]) => {
    if (node.type === "pane") {
      panes.set(node.paneId, rect);
      return;
    }
    const across = node.orientation === "horizontal";
    const start = across ? rect.left : rect.top;
    const lines = (node.children.length - 1) * DIVIDER_PX;
    const spacePx = Math.max(0, (across ? rect.width : rect.height) - lines);
    const part = (offset: number, length: number): Rect =>
      across ? { ...rect, left: offset, width: length } : { ...rect, top: offset, height: length };
    let sum = 0;
    let from = 0;
    node.children.forEach((child, index) => {
      sum += node.ratios[index] ?? 0;
      const last = index === node.children.length - 1;
      const to = last ? spacePx : Math.round(spacePx * sum);
      visit(child, part(start + from + index * DIVIDER_PX, to - from), [...path, index]);
      if (!last) {
        const rectOfLine = part(start + to + index * DIVIDER_PX, DIVIDER_PX);
        const { orientation, ratios } = node;
        dividers.push({ path, index, orientation, rect: rectOfLine, ratios, spacePx });
      }
      from = to;
    });
  };
  visit(layout, area, []);
  return { panes, dividers };
}

/** The shares after the line behind child `index` moved by `deltaPx`; only its two neighbours change. */
export function moveDivider(
  ratios: readonly number[],
  index: number,
  deltaPx: number,
  spacePx: number,
): readonly number[] {
  const before = ratios[index];
  const after = ratios[index + 1];
  if (before === undefined || after === undefined || spacePx <= 0) return ratios;
  const both = before + after;
  const least = Math.min(PANE_MIN_PX / spacePx, both / 2);
  const moved = Math.min(both - least, Math.max(least, before + deltaPx / spacePx));
  return ratios.map((ratio, at) => (at === index ? moved : at === index + 1 ? both - moved : ratio));
}

/** The layout with other shares at `path`; unchanged where there is no such split any more. */
export function withRatios(layout: Layout, path: readonly number[], ratios: readonly number[]): Layout {
  if (layout.type === "pane") return layout;
  const [first, ...rest] = path;
  if (first === undefined) {
    return ratios.length === layout.children.length ? { ...layout, ratios } : layout;
  }
  if (layout.children[first] === undefined) return layout;
  const children = layout.children.map((child, at) =>
    at === first ? withRatios(child, rest, ratios) : child,
  );
  return { ...layout, children } satisfies Split;
}
