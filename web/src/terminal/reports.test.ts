import { expect, test } from "vitest";
import { areReports, isReport } from "./reports";

test("mouse and focus reports are told from what is typed", () => {
  for (const report of ["\x1b[I", "\x1b[O", "\x1b[M !!", "\x1b[<0;12;5M", "\x1b[<35;1;1m", "\x1b[32;10;4M"]) {
    expect(isReport(report), JSON.stringify(report)).toBe(true);
  }
  for (const typed of [
    "a",
    "\x1b",
    "\x1b[A",
    "\x1bOA",
    "\x1b[13~",
    "\x1b[200~\x1b[I\x1b[201~",
    "x\x1b[I",
    "\x1b[Z",
  ]) {
    expect(isReport(typed), JSON.stringify(typed)).toBe(false);
  }
});

test("bytes are told to be nothing but reports", () => {
  const bytes = (text: string) => Uint8Array.from(text, (character) => character.charCodeAt(0));
  for (const reports of ["\x1b[I", "\x1b[I\x1b[O", "\x1b[<0;12;5M\x1b[<0;12;5m", "\x1b[M \xff!"]) {
    expect(areReports(bytes(reports)), JSON.stringify(reports)).toBe(true);
  }
  for (const typed of ["", "a", "\x1b[Ia", "a\x1b[I", "\x1b[A"]) {
    expect(areReports(bytes(typed)), JSON.stringify(typed)).toBe(false);
  }
});
