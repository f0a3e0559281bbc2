import { Terminal } from "@xterm/xterm";
import { expect, test } from "vitest";
import { widthOf } from "./clusters";
import { useWidths } from "./widths";

// That every character takes the cells that the server's emulator gives it is held by tests/screen/test_widths.py.

async function cells(data: string): Promise<[text: string, width: number][]> {
  const xterm = new Terminal({ allowProposedApi: true, cols: 10, rows: 2 });
  useWidths(xterm);
  await new Promise<void>((resolve) => xterm.write(data, resolve));
  const line = xterm.buffer.active.getLine(0);
  return Array.from({ length: xterm.buffer.active.cursorX }, (_, column) => {
    const cell = line?.getCell(column);
    return [cell?.getChars() ?? "", cell?.getWidth() ?? -1];
  });
}

test("widths come from the table, up to the last code point", () => {
  expect([0x20, 0x7e, 0x301, 0x200d, 0x3042, 0x1f469].map(widthOf)).toEqual([1, 1, 0, 0, 2, 2]);
  expect([0x20000, 0x2fffd, 0xe0001, 0xe1000, 0x10ffff].map(widthOf)).toEqual([2, 2, 0, 1, 1]);
});

test("the terminal follows them", async () => {
  expect(await cells("\u{1f1e9}\u{1f1ea}")).toEqual([
    ["\u{1f1e9}", 2],
    ["", 0],
    ["\u{1f1ea}", 2],
    ["", 0],
  ]);
});

test("a mark behind a sequence joins the cell left of the cursor, if there is one", async () => {
  expect(await cells("\u0301e\x1b[1m\u0301x")).toEqual([
    ["e\u0301", 1],
    ["x", 1],
  ]);
});

test("a program that asks for clusters gets them until it wants them no more", async () => {
  const flag = "\u{1f1e9}\u{1f1ea}";
  expect(await cells(`\x1b[?2027h${flag}\x1b[?2027l${flag}`)).toEqual([
    [flag, 2],
    ["", 0],
    ["\u{1f1e9}", 2],
    ["", 0],
    ["\u{1f1ea}", 2],
    ["", 0],
  ]);
  expect(await cells("\x1b[?2027h\u231a\ufe0ex\u2764\ufe0fy")).toEqual([
    ["\u231a\ufe0e", 1],
    ["x", 1],
    ["\u2764\ufe0f", 2],
    ["", 0],
    ["y", 1],
  ]);
});
