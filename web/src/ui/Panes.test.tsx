import { act, fireEvent, screen } from "@testing-library/react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { FakeCore, leaf, session, split, tab } from "../testing/fake-core";
import { renderPage } from "../testing/render-page";

let core: FakeCore;
const sent = () =>
  core.requests.flatMap((request) =>
    request.type === "layout_resize" ? [{ path: request.path, first: request.ratios[0] }] : [],
  );

beforeEach(() => {
  vi.useFakeTimers();
  window.innerWidth = 1001;
  core = new FakeCore({
    sessions: [session("s")],
    tabs: [tab("t", "s", split("horizontal", [leaf("a"), leaf("b")]))],
    activeTab: "t",
  });
  for (const id of ["a", "b"]) core.setPane(id, "connected");
});
afterEach(() => {
  vi.useRealTimers();
});

const at = (clientX: number) => ({ clientX, button: 0, pointerId: 1 });

test("a drag is shown at once, sent at a pace, and its last place always", async () => {
  const { pane } = renderPage(core);
  const divider = screen.getByTestId("divider");
  fireEvent.pointerDown(divider, at(500));
  fireEvent.pointerMove(divider, at(510));
  fireEvent.pointerMove(divider, at(550));
  fireEvent.pointerMove(divider, at(600));
  expect(pane("a").style.width).toBe("600px");
  expect(sent()).toEqual([{ path: [], first: 0.51 }]);
  act(() => vi.advanceTimersByTime(100));
  expect(sent().map(({ first }) => first)).toEqual([0.51, 0.6]);
  fireEvent.pointerMove(divider, at(650));
  fireEvent.pointerUp(divider, at(650));
  expect(sent().map(({ first }) => first)).toEqual([0.51, 0.6, 0.65]);
  act(() => vi.advanceTimersByTime(1000));
  expect(sent()).toHaveLength(3);
  // Answered: what the server says is what counts again.
  await act(async () => {});
  expect(pane("a").style.width).toBe("500px");
});

test("a click on a line without a move asks for nothing", () => {
  renderPage(core);
  const divider = screen.getByTestId("divider");
  fireEvent.pointerDown(divider, at(500));
  fireEvent.pointerUp(divider, at(500));
  expect(sent()).toEqual([]);
});

test("a line can be moved with the keyboard and evened out", async () => {
  renderPage(core);
  const divider = screen.getByTestId("divider");
  await act(async () => {
    fireEvent.keyDown(divider, { key: "ArrowRight" });
    fireEvent.keyDown(divider, { key: "ArrowUp" });
  });
  expect(sent()).toEqual([{ path: [], first: 0.524 }]);
  await act(async () => {
    fireEvent.doubleClick(divider);
  });
  expect(sent().at(-1)).toEqual({ path: [], first: 0.5 });
});

test("another layout keeps the panes' elements and terminals", () => {
  const { pane, page } = renderPage(core);
  const before = { element: pane("a"), terminal: page.registry.terminal("a") };
  const layout = split("horizontal", [split("vertical", [leaf("a"), leaf("c")]), leaf("b")]);
  act(() => core.change({ tabs: [tab("t", "s", layout)] }));
  expect(pane("a")).toBe(before.element);
  expect(page.registry.terminal("a")).toBe(before.terminal);
  expect(pane("c").style.left).toBe("0px");
});
