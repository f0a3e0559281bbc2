import { expect, test } from "vitest";
import type { PaneView } from "../core/api";
import { paneInfo } from "../testing/fake-core";
import {
  clock,
  detailOf,
  type Facts,
  keysNotSent,
  keysWaiting,
  kindOf,
  readable,
  titleOf,
} from "./overlay-text";

const facts: Facts = {
  elapsedMs: 0,
  serverNow: 1_000_000,
  session: "awake",
  cutOff: false,
};

function view(connected: boolean | null, info: PaneView["info"]): PaneView {
  return { id: "p", connected, info, channel: 1, unacked: 0, unackedKeys: 0, discarded: [] };
}

test("a connected pane has no overlay, whatever else is said of it", () => {
  expect(kindOf(view(true, paneInfo("connected")))).toBeNull();
});

test("a pane of which the server has not spoken is never shown as alive", () => {
  for (const info of [null, paneInfo("connected"), paneInfo("asleep")])
    expect(kindOf(view(null, info))).toBe("unknown");
  expect(kindOf(view(false, paneInfo("connected")))).toBe("unknown");
  expect(titleOf("unknown", null)).toBe("Connecting…");
});

test("starting says what is waited for after two seconds", () => {
  expect(titleOf("starting", paneInfo("starting"))).toBe("Connecting…");
  expect(detailOf("starting", null, { ...facts, elapsedMs: 1999 })).toBeNull();
  expect(detailOf("starting", null, { ...facts, elapsedMs: 2000 })).toBe("waiting for the shell");
  expect(detailOf("starting", null, { ...facts, elapsedMs: 2000, session: "starting" })).toBe(
    "waiting for the sandbox to start",
  );
});

test("asleep", () => {
  const info = paneInfo("asleep");
  expect(titleOf("asleep", info)).toBe("Disconnected — press any key to reconnect");
  const since = new Date(2026, 10, 21, 12, 31).getTime();
  expect(detailOf("asleep", { ...info, since }, facts)).toBe("asleep since 12:31");
  expect(detailOf("asleep", info, facts)).toBe("asleep");
  expect(clock(new Date(2026, 0, 1, 7, 5).getTime())).toBe("07:05");
});

test("waking counts its seconds and the keys that wait", () => {
  expect(titleOf("waking", null)).toBe("Waking…");
  expect(detailOf("waking", null, { ...facts, elapsedMs: 4_900 })).toBe("4 s");
  expect([keysWaiting(0), keysWaiting(1), keysWaiting(3)]).toEqual([null, "1 key waiting", "3 keys waiting"]);
  expect([keysNotSent(1), keysNotSent(5)]).toEqual(["1 key not sent yet", "5 keys not sent yet"]);
});

test("disconnected counts down to the next attempt by the server's clock", () => {
  const info = paneInfo("disconnected", { retryAt: 1_003_200 });
  expect(titleOf("disconnected", info)).toBe("Connection to the sandbox lost");
  expect(detailOf("disconnected", info, facts)).toBe("trying again in 4 s — press any key to try now");
  expect(detailOf("disconnected", info, { ...facts, serverNow: 1_003_200 })).toBe("trying again now");
  expect(detailOf("disconnected", paneInfo("disconnected"), facts)).toBe("trying again now");
});

test("failed gives the reason", () => {
  expect(titleOf("failed", null)).toBe("Could not start");
  const info = paneInfo("failed", { reason: "The image is missing." });
  expect(detailOf("failed", info, facts)).toBe("The image is missing; press any key to try again");
  expect(detailOf("failed", paneInfo("failed"), facts)).toBe("press any key to try again");
});

test("exited says how", () => {
  expect(titleOf("exited", paneInfo("exited", { exit: { code: 1 } }))).toBe("Ended (code 1)");
  expect(titleOf("exited", paneInfo("exited", { exit: { signal: "SIGKILL" } }))).toBe("Ended by SIGKILL");
  const memory = paneInfo("exited", { exit: { signal: "SIGKILL" }, reason: "out of memory" });
  expect(titleOf("exited", memory)).toBe("Out of memory");
  expect(detailOf("exited", memory, facts)).toBe("press any key for a new shell, or close the pane");
});

test("what was typed can be read, its control characters too, and is cut", () => {
  expect(readable(new TextEncoder().encode("ls\r\x1b[Aé\x7f"))).toBe("ls␍␛[Aé␡");
  expect(readable(new TextEncoder().encode("x".repeat(200)))).toBe(`${"x".repeat(120)}…`);
});
