import { Terminal } from "@xterm/xterm";
import { expect, test } from "vitest";
import { Decoder } from "./decode";

const utf8 = new TextEncoder();

function decode(...pieces: number[][]): string {
  const decoder = new Decoder();
  return pieces.map((piece) => decoder.decode(Uint8Array.from(piece))).join("");
}

test("a character may be cut anywhere", () => {
  const text = "a— “é” │ 日本 \u{1f469}\u200d\u{1f4bb} \u{10000}";
  const bytes = [...utf8.encode(text)];
  for (let at = 0; at <= bytes.length; at++) {
    for (let to = at; to <= Math.min(at + 3, bytes.length); to++) {
      expect(decode(bytes.slice(0, at), bytes.slice(at, to), bytes.slice(to))).toBe(text);
    }
  }
});

test("the terminal alone would lose some", async () => {
  const xterm = new Terminal({ allowProposedApi: true });
  xterm.write(Uint8Array.of(0xe2, 0x80));
  await new Promise<void>((resolve) => xterm.write(Uint8Array.of(0x94, 0x61, 0x62), resolve));
  expect(xterm.buffer.active.getLine(0)?.translateToString(true)).not.toContain("—");
});

test("what is no UTF-8 takes cells, as at the server", () => {
  expect(decode([0x61, 0xff, 0x62])).toBe("a\ufffdb");
  expect(decode([0x61, 0xe2, 0x80, 0x62])).toBe("a\ufffdb");
  expect(decode([0xe0, 0x80, 0x80])).toBe("\ufffd\ufffd\ufffd");
  expect(decode([0xed, 0xa0, 0x80])).toBe("\ufffd\ufffd\ufffd");
  expect(decode([0xe2, 0x80], [0x1b, 0x5b, 0x6d])).toBe("\ufffd\x1b[m");
});

test("C1 controls are nothing", () => {
  expect(decode([...utf8.encode("a\u009b31mb\u0085c\u00a0")])).toBe("a31mbc\u00a0");
});
