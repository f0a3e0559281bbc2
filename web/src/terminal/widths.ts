/**
 * Gives every character the cells that the server's emulator gives it: what the server redraws then stands where this
 * terminal put it. Runs without a browser and imports nothing but the table's reading.
 */

import { cluster, clusterOf, JOINS, WIDTH_BITS, widthOf } from "./clusters";

/** What xterm.js wants of a provider. */
interface WidthProvider {
  readonly version: string;
  wcwidth(code: number): 0 | 1 | 2;
  charProperties(code: number, preceding: number): number;
}

type Params = readonly (number | readonly number[])[];

/** A terminal of xterm.js, in the browser or without one. */
export interface WideTerminal {
  readonly unicode: { register(provider: WidthProvider): void; activeVersion: string };
  readonly parser: {
    registerCsiHandler(
      id: { prefix?: string; final: string },
      handler: (params: (number | number[])[]) => boolean,
    ): unknown;
    registerEscHandler(id: { final: string }, handler: () => boolean): unknown;
  };
}

interface Line {
  getWidth(column: number): number;
  getString(column: number): string;
  hasContent(column: number): number;
  addCodepointToCell(column: number, code: number, width: number): void;
  setCellFromCodepoint(column: number, code: number, width: number, attributes: unknown): void;
}

/** xterm.js offers no place of its own for this; a test holds that these exist. */
interface Printer {
  print(data: Uint32Array, start: number, end: number): void;
  readonly _parser: { precedingJoinState: number };
  readonly _curAttrData: unknown;
  readonly _activeBuffer: {
    x: number;
    readonly y: number;
    readonly ybase: number;
    readonly lines: { get(row: number): Line | undefined };
  };
}

const VERSION = "server";
const CLUSTERS_MODE = 2027;

export function useWidths(terminal: WideTerminal): void {
  new Widths(terminal);
}

class Widths implements WidthProvider {
  readonly version = VERSION;
  readonly wcwidth = widthOf;
  #clusters = false;
  #savedClusters = false;

  constructor(terminal: WideTerminal) {
    terminal.unicode.register(this);
    terminal.unicode.activeVersion = VERSION;
    this.#followMode(terminal.parser);
    const printer = (terminal as unknown as { _core?: { _inputHandler?: Printer } })._core?._inputHandler;
    if (typeof printer?.print !== "function") return;
    const print = printer.print.bind(printer);
    printer.print = (data, start, end) => {
      if (this.#clusters) printClusters(printer, print, data, start, end);
      else printMarks(printer, print, data, start, end);
    };
  }

  charProperties(code: number, preceding: number): number {
    if (this.#clusters) return cluster(code, preceding) ?? preceding | JOINS;
    const width = widthOf(code);
    return width > 0 ? width << 1 : (preceding & WIDTH_BITS) | JOINS;
  }

  #followMode(parser: WideTerminal["parser"]): void {
    const on = (final: string, change: () => void) =>
      parser.registerCsiHandler({ prefix: "?", final }, (params: Params) => {
        if (params.includes(CLUSTERS_MODE)) change();
        return false;
      });
    on("h", () => {
      this.#clusters = true;
    });
    on("l", () => {
      this.#clusters = false;
    });
    on("s", () => {
      this.#savedClusters = this.#clusters;
    });
    on("r", () => {
      this.#clusters = this.#savedClusters;
    });
    parser.registerEscHandler({ final: "c" }, () => {
      this.#clusters = false;
      this.#savedClusters = false;
      return false;
    });
  }
}

type Print = Printer["print"];

/**
 * A mark that follows a control sequence belongs to the cell left of the cursor, and to nothing where that is empty.
 * xterm.js would give it a cell of its own.
 */
function printMarks(printer: Printer, print: Print, data: Uint32Array, start: number, end: number): void {
  let from = start;
  const follows = printer._parser.precedingJoinState !== 0;
  while (!follows && from < end) {
    const code = data[from] ?? 0;
    if (widthOf(code) > 0) break;
    const cell = cellLeft(printer);
    cell?.line.addCodepointToCell(cell.column, code, 0);
    from += 1;
  }
  if (from < end) print(data, from, end);
}

/** As above, and without what the emulator leaves out. */
function printClusters(printer: Printer, print: Print, data: Uint32Array, start: number, end: number): void {
  const parser = printer._parser;
  const left = parser.precedingJoinState === 0 ? cellLeft(printer) : null;
  if (left !== null) {
    parser.precedingJoinState = clusterOf(left.line.getString(left.column), left.line.getWidth(left.column));
  }
  // Inside a wide character xterm.js would take it away, whatever is printed.
  let byHand = left !== null && left.column + left.line.getWidth(left.column) > printer._activeBuffer.x;
  let from = start;
  const printUntil = (at: number) => {
    if (from < at) print(data, from, at);
    from = at + 1;
  };
  let preceding = parser.precedingJoinState;
  for (let at = start; at < end; at++) {
    const code = data[at] ?? 0;
    const properties = cluster(code, preceding);
    if (properties === null) {
      printUntil(at);
      continue;
    }
    const narrows = (properties & WIDTH_BITS) < (preceding & WIDTH_BITS);
    byHand &&= (properties & JOINS) !== 0;
    if (properties & JOINS && (byHand || narrows)) {
      printUntil(at);
      join(printer, code, (properties & WIDTH_BITS) >> 1);
      parser.precedingJoinState = properties;
    }
    preceding = properties;
  }
  printUntil(end);
}

/** The cell left of the cursor that has something in it, where there is one. */
function cellLeft({ _activeBuffer: buffer }: Printer): { line: Line; column: number } | null {
  const line = buffer.lines.get(buffer.ybase + buffer.y);
  let column = buffer.x - 1;
  if (line === undefined || column < 0) return null;
  // The second half of a wide character is no cell of its own.
  if (column > 0 && line.getWidth(column) === 0) column -= 1;
  return line.hasContent(column) ? { line, column } : null;
}

/** Puts a character into the cell left of the cursor. A wide one that becomes text has one cell from then on. */
function join(printer: Printer, code: number, width: number): void {
  const cell = cellLeft(printer);
  if (cell === null) return;
  const { line, column } = cell;
  const was = line.getWidth(column);
  line.addCodepointToCell(column, code, width);
  if (width >= was) return;
  line.setCellFromCodepoint(column + 1, 0, 1, printer._curAttrData);
  printer._activeBuffer.x = column + 1;
}
