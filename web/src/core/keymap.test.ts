import { describe, expect, test } from "vitest";
import { actionFor, bindings, type KeyDescriptor, keysFor, type Platform } from "./keymap";

const PLATFORMS: readonly Platform[] = ["mac", "other"];

function press(keys: string, key: string, code: string): KeyDescriptor {
  return {
    key,
    code,
    ctrlKey: keys.includes("ctrl"),
    altKey: keys.includes("alt"),
    shiftKey: keys.includes("shift"),
    metaKey: keys.includes("meta"),
  };
}

describe.each(PLATFORMS)("the table for %s", (platform) => {
  test("gives no keys to two actions", () => {
    const keys = bindings(platform).map((binding) => binding.keys);
    expect(new Set(keys).size).toBe(keys.length);
  });

  test("has a title for every action, and every shown chord leads back to its action", () => {
    for (const { action, keys, title } of bindings(platform)) {
      expect(title).not.toBe("");
      expect(actionFor(read(keys), platform)).toEqual(action);
    }
  });

  test("leaves plain typing, Ctrl, Alt and the browser's own keys alone", () => {
    for (const modifiers of [
      "",
      "shift",
      "ctrl",
      "alt",
      "meta",
      "meta shift",
      "ctrl alt",
      "ctrl alt shift",
    ]) {
      for (const letter of "ABCDEFGHIJKLMNOPQRSTUVWXYZ") {
        expect(actionFor(press(modifiers, letter, `Key${letter}`), platform)).toBeNull();
      }
    }
  });
});

test("Chromium keeps Ctrl+Shift+T, W and N where Ctrl is its command key", () => {
  for (const letter of ["T", "W", "N"]) {
    expect(actionFor(press("ctrl shift", letter, `Key${letter}`), "other")).toBeNull();
  }
});

test("another alphabet is read by the place of the key, another Latin layout by its letter", () => {
  expect(actionFor(press("alt shift", "Е", "KeyT"), "other")).toEqual({ type: "new_tab" });
  expect(actionFor(press("alt shift", "Z", "KeyY"), "other")).toEqual({ type: "zoom" });
});

test("digits are found under what Shift makes of them", () => {
  expect(actionFor(press("alt shift", "!", "Digit1"), "other")).toEqual({ type: "select_tab", index: 0 });
  expect(actionFor(press("ctrl shift", "(", "Digit9"), "mac")).toEqual({ type: "select_tab", index: 8 });
});

test("keys are shown as the platform writes them", () => {
  expect(keysFor("split_right", "other")).toBe("Alt+Shift+R");
  expect(keysFor("split_right", "mac")).toBe("⌃⇧R");
  expect(keysFor("focus", "mac")).toBe("⌥⇧←");
  expect(keysFor("copy", "mac")).toBe("");
});

/** The press that a person makes who reads `keys`. */
function read(keys: string): KeyDescriptor {
  const modifiers = /Ctrl|⌃/.test(keys) ? "ctrl shift" : "alt shift";
  const shown = keys.replace(/^(Ctrl|Alt)\+Shift\+|^[⌃⌥]⇧/, "");
  const codes: Record<string, string> = {
    "←": "ArrowLeft",
    "→": "ArrowRight",
    "↑": "ArrowUp",
    "↓": "ArrowDown",
    PgUp: "PageUp",
    PgDn: "PageDown",
    "[": "BracketLeft",
    "]": "BracketRight",
  };
  const code = codes[shown] ?? (/\d/.test(shown) ? `Digit${shown}` : `Key${shown}`);
  return press(modifiers, shown, code);
}
