/**
 * Terminals of xterm.js that a test drives and compares. A command comes on stdin as two 32-bit big-endian lengths, of
 * a JSON object and of the bytes behind it; `compare`, `screen` and `state` are answered by a line of JSON on stdout, a list with
 * one entry per terminal.
 *
 * Terminals stay in here: what crosses the pipe is what differs. They read as the page's do, through its own decoder
 * and with its own widths of characters.
 */

import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { compare } from "./compare.mjs";
import { screen } from "./shown.mjs";
import { state } from "./state.mjs";

const web = new URL("../../../web/", import.meta.url);
const require = createRequire(new URL("package.json", web));
const { Terminal } = require("@xterm/headless");
const { runnerImport } = await import(require.resolve("vite"));

const HEADER_BYTES = 8;
/** Kinds of what xterm.js asks its page to do with a colour. */
const SET_COLOR = 1;
const RESTORE_COLOR = 2;

/** One of the page's modules, which are TypeScript. */
async function ofPage(name) {
  const source = fileURLToPath(new URL(`src/terminal/${name}.ts`, web));
  const { module } = await runnerImport(source, { root: fileURLToPath(web), logLevel: "error" });
  return module;
}

const { useWidths } = await ofPage("widths");
const { Decoder } = await ofPage("decode");
const { eraseAtEdge } = await ofPage("edge");

const terminals = new Map();

/** The terminal, and beside it what xterm.js tells only as it happens. */
function open({ cols, rows, scrollback }) {
  // The page's own settings, as far as what programs write changes them.
  const terminal = new Terminal({
    allowProposedApi: true,
    cols,
    cursorBlink: true,
    logLevel: "off",
    rows,
    scrollback,
  });
  useWidths(terminal);
  eraseAtEdge(terminal);
  const core = terminal._core;
  const shown = {
    terminal,
    core,
    decoder: new Decoder(),
    title: "",
    colors: new Map(),
    threw: null,
  };
  terminal.onTitleChange((title) => {
    shown.title = title;
  });
  core._inputHandler.onColor((requests) => {
    for (const request of requests) noteColor(shown.colors, request);
  });
  return shown;
}

/** Colours that a program has changed: 0 to 255 of the palette, then foreground, background and cursor. */
function noteColor(colors, { type, index, color }) {
  if (type === SET_COLOR) colors.set(index, color.join());
  if (type !== RESTORE_COLOR) return;
  if (index !== undefined) colors.delete(index);
  else for (let n = 0; n < 256; n++) colors.delete(n);
}

function write(shown, data) {
  if (shown.threw !== null) return;
  try {
    shown.core.writeSync(shown.decoder.decode(data));
  } catch (error) {
    shown.threw = String(error);
  }
}

const each = (ids, action) => ids.map((id) => action(terminals.get(id)));

const commands = {
  open: (command) => void terminals.set(command.id, open(command)),
  write: (command, data) => void each(command.ids, (shown) => write(shown, data)),
  resize: ({ ids, cols, rows }) => void each(ids, (shown) => shown.terminal.resize(cols, rows)),
  close: (command) => {
    each(command.ids, (shown) => shown.terminal.dispose());
    for (const id of command.ids) terminals.delete(id);
  },
  compare: (command) => each(command.ids, (shown) => compare(terminals.get(command.with), shown)),
  screen: (command) => each(command.ids, screen),
  state: (command) => each(command.ids, state),
};

let pending = Buffer.alloc(0);
for await (const chunk of process.stdin) {
  pending = pending.length > 0 ? Buffer.concat([pending, chunk]) : chunk;
  while (pending.length >= HEADER_BYTES) {
    const head = HEADER_BYTES + pending.readUInt32BE(0);
    const whole = head + pending.readUInt32BE(4);
    if (pending.length < whole) break;
    const command = JSON.parse(pending.subarray(HEADER_BYTES, head).toString());
    const answer = commands[command.do](command, pending.subarray(head, whole));
    if (answer !== undefined) process.stdout.write(`${JSON.stringify(answer)}\n`);
    pending = pending.subarray(whole);
  }
}
