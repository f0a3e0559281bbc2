/** What a terminal shows: the cells of its visible screen, blank ones at the end of a row left out, and its cursor. */

import { color } from "./state.mjs";

const BG_FLAGS = 0x6c000000;

function cell(line, x) {
  const fg = line.getFg(x);
  const bg = line.getBg(x);
  const flags = `${(fg >>> 26).toString(16)}/${((bg & BG_FLAGS) >>> 26).toString(16)}`;
  return [line.getString(x) || " ", line.getWidth(x), color(fg), color(bg), flags === "0/0" ? "" : flags];
}

const isBlank = ([text, width, foreground, background, flags]) =>
  text === " " && width === 1 && foreground === "default" && background === "default" && flags === "";

function row(line, cols) {
  const cells = Array.from({ length: cols }, (_, x) => cell(line, x));
  while (cells.length > 0 && isBlank(cells[cells.length - 1])) cells.pop();
  return cells;
}

export function screen({ terminal, core }) {
  const { buffer } = core;
  const rows = Array.from({ length: terminal.rows }, (_, y) =>
    row(buffer.lines.get(buffer.ybase + y), terminal.cols),
  );
  return { rows, cursor: `${buffer.x},${buffer.y}` };
}
