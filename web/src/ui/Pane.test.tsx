import { act, fireEvent, within } from "@testing-library/react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { FakeCore, leaf, session, split, tab } from "../testing/fake-core";
import { renderPage } from "../testing/render-page";

let core: FakeCore;
beforeEach(() => {
  vi.useFakeTimers();
  core = new FakeCore({
    sessions: [session("s")],
    tabs: [tab("t", "s", split("horizontal", [leaf("a"), split("vertical", [leaf("b"), leaf("c")])]))],
    activeTab: "t",
  });
  for (const id of ["a", "b", "c"]) core.setPane(id, "connected");
});
afterEach(() => {
  vi.useRealTimers();
});

test("an update of one pane renders that pane alone", () => {
  const { pane } = renderPage(core);
  const counts = () => ["a", "b", "c"].map((id) => Number(pane(id).dataset.renders));
  const [a, b, c] = counts() as [number, number, number];
  act(() => core.setPane("b", "asleep"));
  expect(counts()).toEqual([a, b + 1, c]);
  expect(pane("b").dataset).toMatchObject({ status: "asleep", connected: "false", channel: "1" });
  act(() => core.change({ noticed: new Set(["z"]) }));
  expect(counts()).toEqual([a, b + 1, c]);
});

test("keys on their way render nothing of a connected pane", () => {
  const { pane } = renderPage(core);
  const before = pane("a").dataset.renders;
  act(() => core.setPane("a", "connected", {}, { info: core.pane("a").info, unacked: 1, unackedKeys: 1 }));
  expect(pane("a").dataset.renders).toBe(before);
});

test("the overlay comes and goes with the connection, and the terminal stays", () => {
  const { pane, page } = renderPage(core);
  const terminal = page.registry.terminal("b");
  const overlay = within(pane("b")).getByTestId("overlay");
  expect(overlay.textContent).toBe("");
  act(() => core.setPane("b", "asleep"));
  expect(overlay.textContent).toContain("Disconnected — press any key to reconnect");
  expect(overlay.getAttribute("aria-live")).toBe("polite");
  act(() => core.setPane("b", "waking", {}, { unackedKeys: 3 }));
  act(() => vi.advanceTimersByTime(3_000));
  expect(within(overlay).getByTestId("overlay-title").textContent).toBe("Waking…");
  expect(within(overlay).getByTestId("overlay-detail").textContent).toBe("3 s");
  expect(within(overlay).getByTestId("overlay-keys").textContent).toBe("3 keys waiting");
  act(() => core.setPane("b", "connected"));
  expect(overlay.textContent).toBe("");
  expect(page.registry.terminal("b")).toBe(terminal);
});

test("since when a pane sleeps is said", () => {
  const { pane } = renderPage(core);
  act(() => core.setPane("a", "asleep", { since: new Date(2026, 10, 21, 12, 31).getTime() }));
  expect(within(pane("a")).getByTestId("overlay-detail").textContent).toBe("asleep since 12:31");
});

test("keys reach a pane that is not connected", () => {
  core.setPane("a", "asleep");
  const { page } = renderPage(core);
  page.registry.terminal("a")?.xterm.input("l");
  expect(core.typed).toEqual([{ id: "a", data: Uint8Array.of(0x6c) }]);
});

test("a click gives a pane the focus at once and tells the server", () => {
  core.answer = () => new Promise(() => {});
  const { pane } = renderPage(core);
  expect(pane("a").dataset.focused).toBe("true");
  fireEvent.pointerDown(pane("b").querySelector(".slot") as HTMLElement);
  expect(core.requests).toEqual([{ type: "pane_focus", paneId: "b" }]);
  expect([pane("a").dataset.focused, pane("b").dataset.focused]).toEqual(["false", "true"]);
});

test("the server's focus moves the keyboard, but not out of a name being typed", () => {
  const { pane, page } = renderPage(core);
  const focus = (id: string) =>
    act(() => core.change({ tabs: core.model().tabs.map((known) => ({ ...known, focus: id })) }));
  focus("c");
  expect(pane("c").contains(document.activeElement)).toBe(true);
  act(() => page.view.change({ renamingTab: "t" }));
  focus("b");
  expect(pane("b").contains(document.activeElement)).toBe(false);
  expect(core.requests).toEqual([]);
});

test("the keyboard comes back to the terminal when nothing else has it", () => {
  const { pane, page } = renderPage(core);
  const leave = () => {
    (document.activeElement as HTMLElement).blur();
    fireEvent.pointerUp(document.body);
    act(() => vi.advanceTimersByTime(50));
  };
  leave();
  expect(pane("a").contains(document.activeElement)).toBe(true);
  act(() => page.view.open({ type: "help" }));
  leave();
  expect(pane("a").contains(document.activeElement)).toBe(false);
});

test("zoom shows one pane of the tab, and all again", () => {
  const { pane, page } = renderPage(core);
  act(() => page.commands.zoom("c"));
  expect(document.querySelectorAll("[data-pane-id]")).toHaveLength(1);
  expect([...core.visible]).toEqual(["c"]);
  expect(page.registry.terminal("a")).not.toBeNull();
  act(() => page.commands.zoom("c"));
  expect(pane("a")).not.toBeNull();
  expect([...core.visible]).toEqual(["a", "b", "c"]);
});

test("a report that never arrives is nobody's loss", () => {
  const { pane } = renderPage(core);
  const discarded = [{ bytes: 3, reason: "program_gone" as const, data: new TextEncoder().encode("\x1b[I") }];
  act(() => core.setPane("a", "asleep", {}, { discarded }));
  expect(within(pane("a")).queryByTestId("discard-notice")).toBeNull();
});

test("what will never arrive is named until it is dismissed", () => {
  const { pane } = renderPage(core);
  const discarded = [{ bytes: 3, reason: "program_gone" as const, data: new TextEncoder().encode(":wq") }];
  act(() => core.setPane("a", "connected", {}, { discarded }));
  const notice = within(pane("a")).getByTestId("discard-notice");
  expect(notice.textContent).toContain("Not typed: the program it was meant for is gone.");
  expect(notice.textContent).toContain(":wq");
  fireEvent.click(within(notice).getByLabelText("Dismiss"));
  expect(within(pane("a")).queryByTestId("discard-notice")).toBeNull();
});
