import { Terminal } from "@xterm/xterm";
import { expect, test } from "vitest";
import { eraseAtEdge } from "./edge";

async function rows(data: string): Promise<string[]> {
  const xterm = new Terminal({ allowProposedApi: true, cols: 4, rows: 3 });
  eraseAtEdge(xterm);
  await new Promise<void>((resolve) => xterm.write(data, resolve));
  return [0, 1].map((row) => xterm.buffer.active.getLine(row)?.translateToString(true) ?? "");
}

test.each(["K", "0K", "J", "0J"])(
  "erasing behind a full row erases its last cell: CSI %s",
  async (sequence) => {
    expect(await rows(`abcd\x1b[${sequence}`)).toEqual(["abc", ""]);
  },
);

test("the next character takes the place of the one that was erased", async () => {
  expect(await rows("abcd\x1b[Kx")).toEqual(["abcx", ""]);
});

test("elsewhere all is as before", async () => {
  expect(await rows("abc\x1b[Kx")).toEqual(["abcx", ""]);
  expect(await rows("abcd\x1b[3Jx")).toEqual(["abcd", "x"]);
});
