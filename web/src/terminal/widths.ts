/**
 * How many cells a character takes, as the server's emulator has it: what it redraws then stands where this terminal
 * put it. Runs without a browser and imports nothing but the table.
 */

import { WIDTH_RUNS } from "./width-table";

/** What xterm.js wants of a provider; a property is `width << 1`, and 1 where the character joins the one before. */
interface WidthProvider {
  readonly version: string;
  wcwidth(code: number): 0 | 1 | 2;
  charProperties(code: number, preceding: number): number;
}

/** A terminal of xterm.js, in the browser or without one. */
export interface WideTerminal {
  readonly unicode: { register(provider: WidthProvider): void; activeVersion: string };
}

const VERSION = "server";
const JOINS = 1;
const WIDTH_BITS = 0b110;

/** Planes 0 and 1 hold almost all runs. */
const DENSE = 0x20000;
const dense = new Uint8Array(DENSE);
/** The ends of the runs behind them, in order, and their widths. */
const sparse: (readonly [end: number, width: number])[] = [];

let code = 0;
for (const word of WIDTH_RUNS.trimEnd().split(" ")) {
  const run = Number.parseInt(word, 36);
  const end = code + Math.floor(run / 3);
  dense.fill(run % 3, code, end);
  if (end > DENSE) sparse.push([end, run % 3]);
  code = end;
}

export function widthOf(code: number): 0 | 1 | 2 {
  const width = code < DENSE ? dense[code] : sparse.find(([end]) => code < end)?.[1];
  return (width ?? 1) as 0 | 1 | 2;
}

const provider: WidthProvider = {
  version: VERSION,
  wcwidth: widthOf,
  charProperties(code, preceding) {
    const width = widthOf(code);
    return width > 0 ? width << 1 : (preceding & WIDTH_BITS) | JOINS;
  },
};

interface Line {
  getWidth(column: number): number;
  hasContent(column: number): number;
  addCodepointToCell(column: number, code: number, width: number): void;
}

interface Printer {
  print(data: Uint32Array, start: number, end: number): void;
  readonly _parser: { precedingJoinState: number };
  readonly _activeBuffer: {
    readonly x: number;
    readonly y: number;
    readonly ybase: number;
    readonly lines: { get(row: number): Line | undefined };
  };
}

export function useWidths(terminal: WideTerminal): void {
  terminal.unicode.register(provider);
  terminal.unicode.activeVersion = VERSION;
  joinAcrossSequences(terminal);
}

/**
 * A mark that follows a control sequence belongs to the cell left of the cursor, and to nothing where that is empty.
 * xterm.js would give it a cell of its own.
 */
function joinAcrossSequences(terminal: WideTerminal): void {
  // xterm.js offers no place of its own for this; a test holds that this one exists.
  const printer = (terminal as unknown as { _core?: { _inputHandler?: Printer } })._core?._inputHandler;
  if (typeof printer?.print !== "function") return;
  const print = printer.print.bind(printer);
  printer.print = (data, start, end) => {
    let from = start;
    const follows = printer._parser.precedingJoinState !== 0;
    while (!follows && from < end) {
      const code = data[from] ?? 0;
      if (widthOf(code) > 0) break;
      join(printer, code);
      from += 1;
    }
    if (from < end) print(data, from, end);
  };
}

function join({ _activeBuffer: buffer }: Printer, code: number): void {
  const line = buffer.lines.get(buffer.ybase + buffer.y);
  let column = buffer.x - 1;
  if (line === undefined || column < 0) return;
  // The second half of a wide character is no cell of its own.
  if (column > 0 && line.getWidth(column) === 0) column -= 1;
  if (line.hasContent(column)) line.addCodepointToCell(column, code, 0);
}
