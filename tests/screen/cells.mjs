// Lays out what comes on stdin as the page's terminal does: `node cells.mjs WEB WIDTHS`, with the folder of the page
// and its bundled widths. Each line of stdin is a JSON string for a terminal of its own, 20 by 4 cells; each line of
// stdout the cells of its first row, as pairs of text and width, and the cursor. "all" on a line of its own: one row
// per code point, "a", the code point, "b", and an "x" in column 9, as text.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [web, widths] = process.argv.slice(2);
const { Terminal } = createRequire(pathToFileURL(`${web}/package.json`))("@xterm/headless");
const { useWidths } = await import(pathToFileURL(widths));

function open(cols, rows) {
  const terminal = new Terminal({ allowProposedApi: true, cols, rows, scrollback: 0 });
  useWidths(terminal);
  return terminal;
}

const write = (terminal, data) => new Promise((resolve) => terminal.write(data, resolve));

async function layout(data) {
  const terminal = open(20, 4);
  await write(terminal, data);
  const buffer = terminal.buffer.active;
  const line = buffer.getLine(0);
  const cells = [];
  for (let column = 0; column < 20; column++) {
    const cell = line.getCell(column);
    cells.push([cell.getChars(), cell.getWidth()]);
  }
  terminal.dispose();
  return { cells, cursor: [buffer.cursorX, buffer.cursorY] };
}

const isControl = (code) => code < 0x20 || (code >= 0x7f && code < 0xa0);
const isSurrogate = (code) => code >= 0xd800 && code < 0xe000;

async function all() {
  const rows = 1000;
  const terminal = open(10, rows);
  let begun = 0;
  let data = "";
  const flush = async () => {
    await write(terminal, data);
    for (let row = 0; row < begun; row++) console.log(terminal.buffer.active.getLine(row).translateToString(true));
    begun = 0;
    data = "";
  };
  for (let code = 0; code < 0x110000; code++) {
    if (isControl(code) || isSurrogate(code)) continue;
    data += begun === 0 ? "\x1b[2J\x1b[H" : "\r\n";
    data += `a${String.fromCodePoint(code)}b\x1b[9Gx`;
    begun += 1;
    if (begun === rows) await flush();
  }
  await flush();
}

for await (const line of createInterface({ input: process.stdin })) {
  if (line === "all") await all();
  else console.log(JSON.stringify(await layout(JSON.parse(line))));
}
