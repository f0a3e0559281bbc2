import { expect, test } from "vitest";
import { isReport } from "./reports";

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
