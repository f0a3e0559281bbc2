import { Terminal } from "@xterm/xterm";
import { expect, test } from "vitest";
import { muteAnswers } from "./mute";

function terminal() {
  const xterm = new Terminal({ allowProposedApi: true, cols: 20, rows: 5 });
  const mute = muteAnswers(xterm);
  const heard: string[] = [];
  xterm.onData((data) => {
    if (!mute.active) heard.push(data);
  });
  const write = (data: string) => new Promise<void>((resolve) => xterm.write(data, resolve));
  return { xterm, heard, write };
}

const QUERIES = {
  "primary attributes": "\x1b[c",
  "secondary attributes": "\x1b[>c",
  "tertiary attributes": "\x1b[=c",
  status: "\x1b[5n",
  "cursor position": "\x1b[6n",
  "cursor position, private": "\x1b[?6n",
  mode: "\x1b[4$p",
  "private mode": "\x1b[?2004$p",
  version: "\x1b[>q",
  "keyboard flags": "\x1b[?u",
  "size in cells": "\x1b[18t",
  "size in pixels": "\x1b[14t",
  foreground: "\x1b]10;?\x07",
  background: "\x1b]11;?\x1b\\",
  "cursor colour": "\x1b]12;?\x07",
  palette: "\x1b]4;1;?\x07",
  "palette, two": "\x1b]4;1;?;2;?\x07",
  "palette, with a change": "\x1b]4;1;#ff0000;2;?\x07",
  settings: "\x1bP$qm\x1b\\",
  capabilities: "\x1bP+q544e\x1b\\",
  clipboard: "\x1b]52;c;?\x07",
  "focus reports switched on": "\x1b[?1004h",
};

for (const [name, query] of Object.entries(QUERIES)) {
  test(`does not answer: ${name}`, async () => {
    const { xterm, heard, write } = terminal();
    await write(`before${query}after`);
    expect(heard).toEqual([]);
    expect(xterm.buffer.active.getLine(0)?.translateToString(true)).toBe("beforeafter");
  });
}

test("what is no query still works, and typing passes", async () => {
  const { xterm, heard, write } = terminal();
  await write("\x1b[?1004;2004h\x1b[3;4H");
  expect(xterm.modes.sendFocusMode).toBe(true);
  expect(xterm.modes.bracketedPasteMode).toBe(true);
  expect([xterm.buffer.active.cursorX, xterm.buffer.active.cursorY]).toEqual([3, 2]);
  xterm.input("ls\r");
  expect(heard).toEqual(["ls\r"]);
});

test("the terminal would answer if it were not muted", async () => {
  const xterm = new Terminal({ allowProposedApi: true });
  const heard: string[] = [];
  xterm.onData((data) => heard.push(data));
  await new Promise<void>((resolve) => xterm.write("\x1b[c\x1b[6n", resolve));
  expect(heard).toEqual(["\x1b[?1;2c", "\x1b[1;1R"]);
});
