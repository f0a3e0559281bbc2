/** The scenes of the gallery: what the fake core says, and what stands in the terminals. */

import type { PaneInfo, PaneStatus } from "../protocol/wire";
import type { Page } from "../ui/page";
import { type FakeCore, leaf, session, split, tab } from "./fake-core";

/** Sets the stage and returns what is printed in each pane. */
type Scene = (core: FakeCore, page: Page) => Record<string, string>;

const ESC = "\x1b";
const sgr = (codes: string, text: string) => `${ESC}[${codes}m${text}${ESC}[0m`;
const prompt = (path: string) => `${sgr("1;34", path)} ${sgr("35", "main")} ${sgr("32", "❯")} `;

const SHELL = [
  `${prompt("~/orchard")}git log --oneline -5`,
  `${sgr("33", "8f3c1d2")} ${sgr("1;36", "(HEAD → main)")} Keep the last size of a pane`,
  `${sgr("33", "4b7a90e")} Count keys that wait`,
  `${sgr("33", "c1e02fa")} Draw the overlay only once`,
  `${sgr("33", "77d51b8")} Name what was lost`,
  `${sgr("33", "0a9e6c4")} Ask the server, not the clock`,
  `${prompt("~/orchard")}ls`,
  `${sgr("1;34", "docs")}  ${sgr("1;34", "src")}  ${sgr("1;34", "tests")}  ${sgr("1;32", "build.sh")}  README.md  ${sgr("36", "latest")}  notes.txt`,
  `${prompt("~/orchard")}`,
].join("\r\n");

const TESTS = [
  `${prompt("~/orchard")}make test`,
  ...["apples", "branches", "grafting", "pruning", "seasons", "weather"].map(
    (name, at) =>
      `${sgr("32", "PASS")} tests/${name}.test ${sgr("90", `(${at * 3 + 4} tests, ${at * 13 + 21} ms)`)}`,
  ),
  `${sgr("31", "FAIL")} tests/harvest.test ${sgr("90", "(9 tests, 212 ms)")}`,
  `  ${sgr("31", "✗")} counts what fell by itself`,
  `    expected ${sgr("32", "41")}, got ${sgr("31", "40")}`,
  "",
  `${sgr("1", "Tests:")} ${sgr("31", "1 failed")}, ${sgr("32", "62 passed")}, 63 in all`,
  `${sgr("43;30", " WAIT ")} watching for changes, ${sgr("4", "https://example.org/runs/81")}`,
  `${prompt("~/orchard")}`,
].join("\r\n");

const COLOURS = [
  ...[30, 90].map((from) =>
    Array.from({ length: 8 }, (_, at) => sgr(String(from + at), ` text ${from + at} `)).join(""),
  ),
  ...[40, 100].map((from) =>
    Array.from({ length: 8 }, (_, at) => sgr(String(from + at), "         ")).join(""),
  ),
  `${sgr("1", "bold")} ${sgr("2", "dim")} ${sgr("3", "italic")} ${sgr("4", "underlined")} ${sgr("7", "inverse")} ${sgr("9", "struck")}`,
  "┌────────┬────────┐  ╭──────────╮  ▁▂▃▄▅▆▇█  日本語 ✓ → λ",
  "│ boxes  │ joined │  │  rounded │  ░░▒▒▓▓██",
  "└────────┴────────┘  ╰──────────╯",
  prompt("~/orchard"),
].join("\r\n");

const SESSIONS = [
  session("orchard", { busy: "make test in pane 2" }),
  session("notes", { status: "asleep" }),
  session("nightly build", { status: "waking" }),
  session("training run", { busy: "lease: until Monday" }),
  session("old machine", { status: "failed" }),
];

function threePanes(core: FakeCore): Record<string, string> {
  const layout = split(
    "horizontal",
    [leaf("a"), split("vertical", [leaf("b"), leaf("c")], [0.55, 0.45])],
    [0.55, 0.45],
  );
  core.change({
    sessions: SESSIONS,
    tabs: [
      tab("code", "orchard", layout),
      tab("server", "orchard", leaf("d")),
      tab("a tab with a rather long name", "orchard", leaf("e")),
    ],
    activeTab: "code",
    noticed: new Set(["d"]),
  });
  for (const id of ["a", "b", "c", "d", "e"]) core.setPane(id, "connected", { title: "zsh" });
  return { a: SHELL, b: TESTS, c: COLOURS, d: SHELL };
}

function onePane(core: FakeCore): Record<string, string> {
  core.change({ sessions: SESSIONS, tabs: [tab("code", "orchard", leaf("a"))], activeTab: "code" });
  core.setPane("a", "connected", { title: "zsh" });
  return { a: `${TESTS}\r\n${COLOURS}` };
}

function lost(status: PaneStatus, info: Partial<PaneInfo> = {}, unackedKeys = 0): Scene {
  return (core) => {
    const print = threePanes(core);
    core.setPane("b", status, info, { unackedKeys });
    return print;
  };
}

function opened(dialog: Parameters<Page["view"]["open"]>[0]): Scene {
  return (core, page) => {
    const print = threePanes(core);
    page.view.open(dialog);
    return print;
  };
}

const utf8 = new TextEncoder();

export const SCENES: Record<string, Scene> = {
  one: onePane,
  three: threePanes,
  starting: lost("starting"),
  asleep: lost("asleep"),
  waking: lost("waking", {}, 3),
  disconnected: (core) => lost("disconnected", { retryAt: Date.now() + 4600 })(core, undefined as never),
  failed: lost("failed", { reason: "The image wormux/dev:2 was not found on this machine" }),
  exited: lost("exited", { exit: { code: 1 } }),
  killed: lost("exited", { exit: { signal: "SIGKILL" } }),
  all: (core) => {
    const row = (ids: string[]) => split("horizontal", ids.map(leaf));
    const layout = split("vertical", [row(["a", "b", "c"]), row(["d", "e", "f"])]);
    core.change({ sessions: SESSIONS, tabs: [tab("states", "orchard", layout)], activeTab: "states" });
    core.setPane("a", "starting");
    core.setPane("b", "asleep");
    core.setPane("c", "waking", {}, { unackedKeys: 3 });
    core.setPane("d", "disconnected", { retryAt: Date.now() + 4600 });
    core.setPane("e", "failed", { reason: "The image wormux/dev:2 was not found on this machine" });
    core.setPane("f", "exited", { exit: { signal: "SIGKILL" } });
    return { a: SHELL, b: TESTS, c: COLOURS, d: SHELL, e: TESTS, f: SHELL };
  },
  cutoff: (core) => {
    const print = threePanes(core);
    for (const id of ["a", "b", "c"]) core.setPane(id, "connected", {}, { connected: null, unackedKeys: 5 });
    core.change({
      connection: { status: "waiting", retryAt: performance.now() + 7400, attempt: 3 },
      unsentKeys: 5,
    });
    return print;
  },
  discarded: (core) => {
    const print = threePanes(core);
    const discarded = [
      { bytes: 12, reason: "program_gone" as const, data: utf8.encode(":wq\rmake -j8\r") },
      { bytes: 40, reason: "expired" as const, data: null },
    ];
    core.setPane("a", "connected", {}, { discarded });
    return print;
  },
  sessions: opened({ type: "sessions", naming: false }),
  naming: opened({ type: "sessions", naming: true }),
  help: opened({ type: "help" }),
  destroy: opened({ type: "destroy", sessionId: "orchard" }),
  find: (core, page) => {
    const print = threePanes(core);
    page.view.change({ finding: "b" });
    return print;
  },
  renaming: (core, page) => {
    const print = threePanes(core);
    page.view.change({ renamingTab: "code" });
    return print;
  },
  notice: (core, page) => {
    const print = threePanes(core);
    page.view.notify("The session is busy: make test in pane 2.", { label: "Sleep anyway", act: () => {} });
    page.view.notify("This user already has 64 sessions; destroy one first.");
    return print;
  },
  notabs: (core) => {
    core.change({ sessions: SESSIONS, tabs: [], activeTab: null });
    return {};
  },
  nosessions: () => ({}),
  unauthorized: (core) => {
    core.change({ connection: { status: "unauthorized" } });
    return {};
  },
  smaller: (core) => {
    const print = onePane(core);
    core.wishSize = (id) => core.sinks.get(id)?.resize(64, 24);
    return print;
  },
};
