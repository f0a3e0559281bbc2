// What the page's terminal answers by itself: `node heard.mjs WEB`, with the folder of the page. Each line of stdin is
// a JSON pair, what was written before and the question, for a terminal of its own; each line of stdout its answers.
// It has no colours, which are the browser's part of the terminal.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const { Terminal } = createRequire(pathToFileURL(`${process.argv[2]}/package.json`))("@xterm/headless");
const write = (terminal, data) => new Promise((resolve) => terminal.write(data, resolve));

for await (const line of createInterface({ input: process.stdin })) {
  const [before, asked] = JSON.parse(line);
  const terminal = new Terminal({ allowProposedApi: true, cols: 80, rows: 24, cursorBlink: true });
  await write(terminal, before);
  let answers = "";
  terminal.onData((data) => {
    answers += data;
  });
  await write(terminal, asked);
  terminal.dispose();
  console.log(JSON.stringify(answers));
}
