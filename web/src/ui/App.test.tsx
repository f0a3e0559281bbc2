import { act, fireEvent, screen, within } from "@testing-library/react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { RequestError } from "../core/api";
import { FakeCore, leaf, session, split, tab } from "../testing/fake-core";
import { renderPage } from "../testing/render-page";

let core: FakeCore;
beforeEach(() => {
  vi.useFakeTimers();
  core = new FakeCore({
    sessions: [session("main", { busy: "vim in pane 2" }), session("notes", { status: "asleep" })],
    tabs: [
      tab("one", "main", split("horizontal", [leaf("a"), leaf("b")])),
      tab("two", "main", leaf("c")),
      tab("three", "notes", leaf("d")),
    ],
    activeTab: "one",
  });
  for (const id of ["a", "b", "c"]) core.setPane(id, "connected", { title: `shell ${id}` });
  core.setPane("d", "asleep");
});
afterEach(() => {
  vi.useRealTimers();
});

const press = (key: string, more: object = {}) =>
  fireEvent.keyDown(document.activeElement ?? document.body, {
    key,
    code: `Key${key}`,
    altKey: true,
    shiftKey: true,
    ...more,
  });

test("the bar shows this session, its tabs, and what is new in them", () => {
  core.change({ noticed: new Set(["c"]) });
  renderPage(core);
  expect(screen.getByTestId("session-switcher").textContent).toBe("mainvim in pane 2");
  const tabs = screen.getAllByTestId("tab");
  expect(
    tabs.map((element) => [element.textContent, element.dataset.active, element.dataset.noticed]),
  ).toEqual([
    ["one", "true", "false"],
    ["two", "false", "true"],
  ]);
  expect(document.title).toBe("• shell a — one — main — Wormux");
});

test("tabs are switched, made, renamed and closed", async () => {
  renderPage(core);
  fireEvent.click(screen.getByRole("tab", { name: "two" }));
  fireEvent.click(screen.getByLabelText("Close two"));
  fireEvent.doubleClick(screen.getByRole("tab", { name: "one" }));
  const field = screen.getByLabelText<HTMLInputElement>("Name of the tab");
  expect(document.activeElement).toBe(field);
  field.value = "  build ";
  fireEvent.keyDown(field, { key: "Enter" });
  expect(core.requests).toEqual([
    { type: "tab_switch", tabId: "two" },
    { type: "tab_close", tabId: "two" },
    { type: "tab_rename", tabId: "one", name: "build" },
  ]);
  core.answer = async () => ({ tabId: "new" });
  await act(async () => {
    press("T");
  });
  expect(core.requests.slice(3)).toEqual([
    { type: "tab_create", sessionId: "main" },
    { type: "tab_switch", tabId: "new" },
  ]);
});

test("Escape leaves a name as it was", () => {
  renderPage(core);
  press("E");
  const field = screen.getByLabelText<HTMLInputElement>("Name of the tab");
  field.value = "other";
  fireEvent.keyDown(field, { key: "Escape" });
  expect(core.requests).toEqual([]);
  expect(screen.queryByLabelText("Name of the tab")).toBeNull();
});

test("shortcuts reach what they name, before the terminal", () => {
  renderPage(core);
  for (const key of ["R", "D", "W", "X"]) press(key);
  press("ArrowRight", { code: "ArrowRight" });
  press("@", { code: "Digit2" });
  const asked = core.requests.map((request) => request.type);
  expect(asked).toEqual(["pane_split", "pane_split", "pane_close", "tab_close", "pane_focus", "tab_switch"]);
  expect(core.requests[0]).toMatchObject({ paneId: "a", orientation: "horizontal", cols: 80, rows: 24 });
  expect(core.typed).toEqual([]);
});

test("the help lists every shortcut that there is", () => {
  const { page } = renderPage(core);
  press("H");
  const help = screen.getByTestId("help");
  for (const { action, title, keys } of page.shortcuts.all()) {
    if (action.type === "select_tab") continue;
    expect(help.textContent).toContain(title);
    expect(help.textContent).toContain(keys);
  }
  expect(help.textContent).toContain("Alt+Shift+1…9");
});

test("another session is a choice away", () => {
  renderPage(core);
  fireEvent.click(screen.getByTestId("session-switcher"));
  const [main, notes] = screen.getAllByTestId("session");
  expect(main?.textContent).toContain("vim in pane 2");
  expect(notes?.textContent).toContain("Asleep");
  fireEvent.click(within(notes as HTMLElement).getByTitle("Switch (Enter)"));
  expect(core.requests).toEqual([{ type: "tab_switch", tabId: "three" }]);
});

test("renaming a session leaves the keyboard in its row", async () => {
  renderPage(core);
  await act(async () => {
    press("S");
  });
  const row = () => within(screen.getAllByTestId("session")[0] as HTMLElement).getByTitle("Switch (Enter)");
  row().focus();
  fireEvent.keyDown(row(), { key: "F2" });
  const field = screen.getByLabelText<HTMLInputElement>("Name of the session");
  field.value = "work";
  await act(async () => {
    fireEvent.keyDown(field, { key: "Enter" });
  });
  expect(core.requests).toEqual([{ type: "session_rename", sessionId: "main", name: "work" }]);
  expect(document.activeElement).toBe(row());
});

test("destroying asks once and names what is lost", async () => {
  renderPage(core);
  await act(async () => {
    press("S");
  });
  await act(async () => {
    fireEvent.click(screen.getByLabelText("Destroy main"));
  });
  const dialog = screen.getByTestId("confirm");
  expect(dialog.textContent).toContain("Destroy “main”?");
  expect(dialog.textContent).toContain(
    "2 tabs with 3 panes and what was printed there, its sandbox and every file in it are lost for good.",
  );
  expect(dialog.textContent).toContain("Still running: vim in pane 2.");
  expect(core.requests).toEqual([]);
  await act(async () => {
    fireEvent.click(within(dialog).getByText("Destroy"));
  });
  expect(core.requests).toEqual([{ type: "session_destroy", sessionId: "main" }]);
});

test("closing a pane asks when a program runs in it, and not when a shell does", async () => {
  core.setPane("a", "connected", { command: "bash" });
  core.setPane("b", "connected", { command: "vim" });
  const { page } = renderPage(core);
  await act(async () => page.commands.closePane("a"));
  expect(core.requests).toEqual([{ type: "pane_close", paneId: "a" }]);
  await act(async () => page.commands.closePane("b"));
  expect(core.requests).toHaveLength(1);
  const dialog = screen.getByTestId("confirm");
  expect(dialog.textContent).toContain("Still running there: vim.");
  await act(async () => {
    fireEvent.click(within(dialog).getByText("Keep"));
  });
  expect(core.requests).toHaveLength(1);
  await act(async () => page.commands.closeTab("one"));
  await act(async () => {
    fireEvent.click(within(screen.getByTestId("confirm")).getByText("Close"));
  });
  expect(core.requests.at(-1)).toEqual({ type: "tab_close", tabId: "one" });
});

test("what was typed into a pane that closed is named", () => {
  renderPage(core);
  const data = new TextEncoder().encode("make\r");
  act(() => {
    core.change({ tabs: core.model().tabs.slice(1) });
    core.setPane("b", "connected", {}, { discarded: [{ bytes: 5, reason: "closed", data }] });
  });
  expect(screen.getByTestId("notices").textContent).toContain("Not typed: the pane was closed. make␍");
  expect(core.pane("b").discarded).toEqual([]);
});

test("a busy session is put to sleep only when it is said again", async () => {
  const { page } = renderPage(core);
  core.answer = () => Promise.reject(new RequestError("busy", "The session is busy: vim in pane 2."));
  await act(async () => page.commands.sleepSession("main"));
  const notices = screen.getByTestId("notices");
  expect(notices.textContent).toContain("The session is busy: vim in pane 2.");
  core.answer = async () => ({});
  await act(async () => {
    fireEvent.click(within(notices).getByText("Sleep anyway"));
  });
  expect(core.requests.at(-1)).toEqual({ type: "session_sleep", sessionId: "main", force: true });
  expect(notices.textContent).toBe("");
});

test("a refusal is shown once, in the server's words, and goes; a lost answer is not shown", async () => {
  const { page } = renderPage(core);
  core.answer = () => Promise.reject(new RequestError("limit", "There are 64 sessions already."));
  await act(async () => page.commands.newSession("x"));
  await act(async () => page.commands.newSession("x"));
  const notices = screen.getByTestId("notices");
  expect(notices.querySelectorAll(".notice-text")).toHaveLength(1);
  core.answer = () => Promise.reject(new RequestError("lost", "The answer was lost."));
  await act(async () => page.commands.newSession("x"));
  expect(notices.textContent).toBe("There are 64 sessions already.");
  act(() => vi.advanceTimersByTime(10_000));
  expect(notices.textContent).toBe("");
});

test("a page that is cut off says so, counts, and tries now when asked", () => {
  renderPage(core);
  act(() => {
    const retryAt = performance.now() + 4_500;
    core.change({ connection: { status: "waiting", retryAt, attempt: 2 }, unsentKeys: 5 });
    core.setPane("a", "connected", {}, { connected: null });
  });
  expect(screen.queryByTestId("connection-banner")).toBeNull();
  act(() => vi.advanceTimersByTime(600));
  const banner = screen.getByTestId("connection-banner");
  expect(banner.textContent).toContain("Trying again in 4 s.");
  expect(banner.textContent).toContain("5 keys not sent yet");
  fireEvent.click(within(banner).getByText("Try now"));
  expect(core.tries).toBe(1);
  act(() => core.change({ connection: { status: "connected", roundTripMs: 3 }, unsentKeys: 0 }));
  expect(screen.queryByTestId("connection-banner")).toBeNull();
});

test("before the first state nothing looks alive", () => {
  core.change({ known: false, sessions: [], tabs: [], activeTab: null });
  renderPage(core);
  expect(screen.getByTestId("connecting").textContent).toBe("Connecting…");
});

test("a session without tabs is named, and Enter makes one", () => {
  core.change({ tabs: [], activeTab: null });
  renderPage(core);
  const empty = screen.getByTestId("no-tabs");
  expect(empty.textContent).toContain("main");
  expect(empty.textContent).toContain("No tabs");
  const button = within(empty).getByRole("button");
  expect(document.activeElement).toBe(button);
  fireEvent.click(button);
  button.blur();
  fireEvent.keyDown(document.body, { key: "Enter" });
  const create = { type: "tab_create", sessionId: "main" };
  expect(core.requests).toEqual([create, create]);
});

test("no sessions", () => {
  core.change({ sessions: [], tabs: [], activeTab: null });
  renderPage(core);
  fireEvent.click(within(screen.getByTestId("no-sessions")).getByRole("button"));
  expect(core.requests).toEqual([{ type: "session_create", name: "main" }]);
});

test("with a wrong token there is one sentence and where the right one is", () => {
  core.change({ connection: { status: "unauthorized" } });
  renderPage(core);
  const page = screen.getByTestId("unauthorized");
  expect(page.textContent).toContain("wormux serve");
  expect(page.textContent).toContain("--print-token");
});
