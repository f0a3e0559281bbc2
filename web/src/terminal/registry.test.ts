import { beforeEach, expect, test } from "vitest";
import { standInCanvas } from "../testing/canvas";
import { FakeCore, leaf, session, split, tab } from "../testing/fake-core";
import { Registry } from "./registry";

const theme = { palette: {}, colors: null, fontFamily: "monospace" };

function slot(id: string): HTMLElement {
  const pane = document.createElement("section");
  pane.dataset.paneId = id;
  const element = document.createElement("div");
  pane.append(element);
  document.body.append(pane);
  return element;
}

let core: FakeCore;
let registry: Registry;
beforeEach(() => {
  standInCanvas();
  document.body.replaceChildren();
  core = new FakeCore({
    sessions: [session("s")],
    tabs: [tab("t", "s", split("horizontal", [leaf("a"), leaf("b")]))],
    activeTab: "t",
  });
  registry = new Registry(core, theme);
});

test("a terminal lives on when its pane is shown somewhere else, or nowhere", () => {
  const first = slot("a");
  const unmount = registry.mount("a", first);
  const terminal = registry.terminal("a");
  expect(first.querySelector(".xterm")).not.toBeNull();
  const second = slot("a");
  const unmountSecond = registry.mount("a", second);
  unmount();
  expect(registry.terminal("a")).toBe(terminal);
  expect(second.contains(terminal?.element ?? null)).toBe(true);
  unmountSecond();
  expect(registry.terminal("a")).toBe(terminal);
  expect(core.sinks.get("a")).toBe(terminal);
  registry.mount("a", first);
  expect(first.contains(terminal?.element ?? null)).toBe(true);
});

test("a terminal ends when its pane closes, and only then", () => {
  registry.mount("a", slot("a"));
  registry.mount("b", slot("b"));
  const kept = registry.terminal("a");
  core.change({ tabs: [tab("t", "s", leaf("a"))] });
  expect(registry.terminal("a")).toBe(kept);
  expect(registry.terminal("b")).toBeNull();
  expect(core.sinks.has("b")).toBe(false);
  expect(document.querySelectorAll(".xterm")).toHaveLength(1);
});

test("before the server has spoken nothing is taken for closed", () => {
  registry.mount("a", slot("a"));
  core.change({ known: false, tabs: [] });
  expect(registry.terminal("a")).not.toBeNull();
});

test("a pane's element gives the pane's text", async () => {
  registry.mount("a", slot("a"));
  await new Promise<void>((resolve) =>
    registry.terminal("a")?.write(new TextEncoder().encode("hello"), resolve),
  );
  const element = document.querySelector<HTMLElement & { terminalText(): string }>("[data-pane-id=a]");
  expect(element?.terminalText()).toBe("hello");
});

test("the longest hidden terminals are let go past the bound", () => {
  const ids = Array.from({ length: 66 }, (_, at) => `p${at}`);
  core.change({ tabs: ids.map((id) => tab(`t-${id}`, "s", leaf(id))) });
  for (const id of ids) registry.mount(id, slot(id))();
  expect(registry.terminal("p0")).toBeNull();
  expect(registry.terminal("p65")).not.toBeNull();
});
