/**
 * What differs between two terminals of one size: cells and rows by what is different in them, and each part of the
 * rest by its name. Differences whose cause is known go by a name of their own; `test_against_xterm.py` tells the
 * causes.
 */

import { color, link, state } from "./state.mjs";

const EXAMPLES = 12;

const UNDERLINE = 0x10000000;
const EXTENDED = 0x10000000;
const COMBINED = 0x200000;
/** Flags of a cell's second number: italic, dim, protected, overline. */
const BG_FLAGS = 0x6c000000;
const VARIATION = /\ufe0f/g;

class Report {
  cells = 0;
  differing = 0;
  kinds = {};
  examples = [];

  note(kind, place, left, right) {
    this.kinds[kind] = (this.kinds[kind] ?? 0) + 1;
    if (this.examples.length < EXAMPLES) this.examples.push({ kind, ...place, left, right });
  }
}

/** Everything of a cell that can be seen, or copied, or shapes what is written over it. */
function describe(core, line, x) {
  const fg = line.getFg(x);
  const bg = line.getBg(x);
  const extended = bg & EXTENDED ? line._extendedAttrs[x] : undefined;
  return {
    text: line.getString(x),
    width: line.getWidth(x),
    foreground: color(fg),
    background: color(bg),
    attributes: `${(fg >>> 26).toString(16)}/${((bg & BG_FLAGS) >>> 26).toString(16)}`,
    underline:
      fg & UNDERLINE && extended ? `${extended.underlineStyle} ${color(extended.underlineColor)}` : "",
    link: link(core, extended?.urlId ?? 0),
  };
}

/** True only if nothing of the cells lies beside their three numbers. */
function sameNumbers(left, right, x) {
  const l = left._data;
  const r = right._data;
  const at = 3 * x;
  return (
    l[at] === r[at] &&
    l[at + 1] === r[at + 1] &&
    l[at + 2] === r[at + 2] &&
    (l[at] & COMBINED) === 0 &&
    (l[at + 2] & EXTENDED) === 0
  );
}

/** What kind of a difference it is, `kinds` being the parts of the cells that differ. */
function kindOf(kinds, a, b) {
  if (kinds.length === 1 && kinds[0] === "text" && a.text.replace(VARIATION, "") === b.text) return "keycap";
  if (a.text.trim() === "" && b.text.trim() === "" && a.width === b.width && !kinds.includes("text"))
    return "empty";
  return kinds.join("+");
}

/** Rows are counted from the top of the screen: those of the scrollback are negative. */
function compareBuffer(report, name, left, right) {
  const { cols, rows } = left.terminal;
  const [a, b] = [left, right].map(({ core }) => core.buffers[name]);
  for (let y = -Math.min(a.ybase, b.ybase); y < rows; y++) {
    const [leftLine, rightLine] = [a, b].map((buffer) => buffer.lines.get(buffer.ybase + y));
    const place = { buffer: name, y };
    if (leftLine.isWrapped !== rightLine.isWrapped) {
      report.note("continued", place, leftLine.isWrapped, rightLine.isWrapped);
    }
    report.cells += cols;
    for (let x = 0; x < cols; x++) {
      if (sameNumbers(leftLine, rightLine, x)) continue;
      const [l, r] = [describe(left.core, leftLine, x), describe(right.core, rightLine, x)];
      const kinds = Object.keys(l).filter((kind) => l[kind] !== r[kind]);
      if (kinds.length === 0) continue;
      report.differing++;
      const kind = kindOf(kinds, l, r);
      const [was, is] = [l, r].map((cell) => Object.fromEntries(kinds.map((part) => [part, cell[part]])));
      report.note(kind, { ...place, x }, was, is);
    }
  }
}

export function compare(left, right) {
  const report = new Report();
  const [a, b] = [state(left), state(right)];
  const names = new Set([...Object.keys(a), ...Object.keys(b)]);
  const rest = [...names].filter((name) => a[name] !== b[name]).map((name) => [name, a[name], b[name]]);
  if (a.size === b.size) {
    compareBuffer(report, "normal", left, right);
    if (a.buffer === "alternate" && b.buffer === "alternate") compareBuffer(report, "alt", left, right);
  }
  return { ...report, state: rest };
}
