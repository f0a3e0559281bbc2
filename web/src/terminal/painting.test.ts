import { beforeEach, expect, test, vi } from "vitest";
import { standInCanvas } from "../testing/canvas";
import { FakeCore, leaf, session, tab } from "../testing/fake-core";
import { Registry } from "./registry";

const theme = { palette: {}, colors: null, fontFamily: "monospace" };
const utf8 = new TextEncoder();

let slot: HTMLElement;
let registry: Registry;
beforeEach(() => {
  standInCanvas();
  document.body.replaceChildren();
  const core = new FakeCore({ sessions: [session("s")], tabs: [tab("t", "s", leaf("a"))], activeTab: "t" });
  core.setPane("a", "connected");
  slot = document.createElement("div");
  document.body.append(slot);
  registry = new Registry(core, theme);
});

function shown() {
  const hide = registry.mount("a", slot);
  const terminal = registry.terminal("a");
  if (terminal === null) throw new Error("there is no terminal");
  let renders = 0;
  terminal.xterm.onRender(() => {
    renders += 1;
  });
  return { hide, terminal, renders: () => renders };
}

const frames = (count = 3) =>
  new Promise<void>((resolve) => {
    const next = (left: number) =>
      left === 0 ? resolve() : requestAnimationFrame(() => setTimeout(() => next(left - 1)));
    next(count);
  });

function write(terminal: { write(data: Uint8Array, drawn: () => void): void }, text: string) {
  return new Promise<void>((resolve) => terminal.write(utf8.encode(text), resolve));
}

test("what is shown is painted", async () => {
  const { terminal, renders } = shown();
  await frames();
  const before = renders();
  await write(terminal, "hello");
  await frames();
  expect(renders()).toBeGreaterThan(before);
});

test("what is hidden reads everything and touches nothing, and is painted at once when it is shown", async () => {
  const { hide, terminal, renders } = shown();
  await write(terminal, "hello\r\n");
  await frames();
  hide();
  await frames();
  const before = renders();
  const frame = vi.spyOn(window, "requestAnimationFrame");
  const touched: MutationRecord[] = [];
  const observer = new MutationObserver((records) => touched.push(...records));
  observer.observe(terminal.element, {
    attributes: true,
    characterData: true,
    childList: true,
    subtree: true,
  });
  for (let count = 0; count < 50; count++) {
    await write(
      terminal,
      `line ${count} \x1b[${count + 30}mred\x1b[m\x1b]8;;http://x\x07link\x1b]8;;\x07\r\n`,
    );
    await write(terminal, "\x1b[5;5Hmoved\x1b[?1049hother\x1b[?1049l\x1b[999;1H");
  }
  expect(frame).toHaveBeenCalledTimes(0);
  await frames();
  observer.disconnect();
  // The overview ruler is there on the normal screen only: one style, when a program changes between the two.
  const paint = touched.filter(({ target }) => !(target instanceof HTMLCanvasElement));
  expect(paint.map(({ target, attributeName }) => [target, attributeName])).toEqual([]);
  expect(renders()).toBe(before);
  expect(terminal.text()).toContain("line 49");

  registry.mount("a", slot);
  const painted = new Promise<void>((resolve) => {
    const once = terminal.xterm.onRender(() => {
      once.dispose();
      resolve();
    });
  });
  // Asked for before this frame's work, so that no frame shows the old picture.
  const first = new Promise<string>((resolve) => requestAnimationFrame(() => resolve("a frame")));
  expect(await Promise.race([painted.then(() => "the picture"), first])).toBe("the picture");
});

test("a redraw is painted when it is whole", async () => {
  const { terminal, renders } = shown();
  await write(terminal, "old");
  await frames(5);
  const before = renders();
  const picture = terminal.element.querySelector(".xterm-rows")?.textContent;
  terminal.reset();
  await write(terminal, "\x1b[?1049h\x1b[?1049lnew".repeat(20));
  await frames();
  expect(renders()).toBe(before);
  expect(terminal.element.querySelector(".xterm-rows")?.textContent).toBe(picture);
  terminal.redrawn(0);
  await frames();
  expect(renders()).toBeGreaterThan(before);
});

test("a redraw that never ends is painted as far as it came", async () => {
  const { terminal, renders } = shown();
  await frames();
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "requestAnimationFrame"] });
  terminal.reset();
  terminal.write(utf8.encode("half"), () => {});
  vi.advanceTimersByTime(100);
  const before = renders();
  vi.advanceTimersByTime(1000);
  vi.useRealTimers();
  expect(renders()).toBeGreaterThan(before);
});
