/**
 * Which keys do what, as a pure table. It says what was asked for; who does it and whether to swallow the event is
 * the caller's. The page uses `actionFor(event, platform)` in its key handler (a `KeyboardEvent` is a
 * `KeyDescriptor`) and `bindings(platform)` for menus, tooltips and the help dialog; `keysFor` gives one of them.
 *
 * The choice: letters with Alt+Shift, on macOS with Control+Shift. Browsers keep Ctrl+T/W/N and Ctrl+Shift+T/W/N
 * to themselves, shells and editors own Ctrl and Alt with letters, Ctrl+Alt is AltGr on many keyboards, Option with
 * letters types characters on macOS, and Control with arrows belongs to its window manager.
 */

import type { Direction } from "../protocol/wire";

export type Platform = "mac" | "other";

export type Action =
  | { readonly type: "new_tab" }
  | { readonly type: "close_pane" }
  | { readonly type: "close_tab" }
  | { readonly type: "rename_tab" }
  | { readonly type: "next_tab" }
  | { readonly type: "previous_tab" }
  /** `index` counts the session's tabs from 0; a tab that is not there is no error. */
  | { readonly type: "select_tab"; readonly index: number }
  | { readonly type: "split_right" }
  | { readonly type: "split_down" }
  | { readonly type: "focus"; readonly direction: Direction }
  | { readonly type: "zoom" }
  | { readonly type: "find" }
  /** The terminal's selection. Pasting is left to the browser, which has its own keys for it. */
  | { readonly type: "copy" }
  | { readonly type: "session_menu" }
  | { readonly type: "new_session" }
  | { readonly type: "help" };

export interface Binding {
  readonly action: Action;
  /** As a person reads it: "Alt+Shift+T", on macOS "⌃⇧T". */
  readonly keys: string;
  readonly title: string;
}

/** What a `KeyboardEvent` says of one press. */
export interface KeyDescriptor {
  readonly key: string;
  readonly code: string;
  readonly ctrlKey: boolean;
  readonly altKey: boolean;
  readonly shiftKey: boolean;
  readonly metaKey: boolean;
}

/** Shift belongs to every shortcut; this is the key held with it. */
type Modifier = "ctrl" | "alt";

/** `key` is a letter, or the `code` of a key whose character changes with Shift or with the layout. */
interface Chord {
  readonly modifier: Modifier;
  readonly key: string;
}

interface Entry {
  readonly action: Action;
  readonly title: string;
  readonly mac: Chord | null;
  readonly other: Chord;
}

const SHOWN: Readonly<Record<string, string>> = {
  ArrowLeft: "←",
  ArrowRight: "→",
  ArrowUp: "↑",
  ArrowDown: "↓",
  PageUp: "PgUp",
  PageDown: "PgDn",
  BracketLeft: "[",
  BracketRight: "]",
};

function letter(key: string): Pick<Entry, "mac" | "other"> {
  return { mac: { modifier: "ctrl", key }, other: { modifier: "alt", key } };
}

function everywhere(key: string): Pick<Entry, "mac" | "other"> {
  return { mac: { modifier: "alt", key }, other: { modifier: "alt", key } };
}

function focus(direction: Direction, arrow: string): Entry {
  return {
    action: { type: "focus", direction },
    title: `Go to the pane ${WHERE[direction]}`,
    ...everywhere(arrow),
  };
}

const WHERE: Readonly<Record<Direction, string>> = {
  left: "on the left",
  right: "on the right",
  up: "above",
  down: "below",
};

const ENTRIES: readonly Entry[] = [
  { action: { type: "new_tab" }, title: "New tab", ...letter("T") },
  { action: { type: "split_right" }, title: "Split right", ...letter("R") },
  { action: { type: "split_down" }, title: "Split down", ...letter("D") },
  { action: { type: "close_pane" }, title: "Close pane", ...letter("W") },
  { action: { type: "zoom" }, title: "Zoom pane", ...letter("Z") },
  focus("left", "ArrowLeft"),
  focus("right", "ArrowRight"),
  focus("up", "ArrowUp"),
  focus("down", "ArrowDown"),
  {
    action: { type: "next_tab" },
    title: "Next tab",
    mac: { modifier: "ctrl", key: "BracketRight" },
    other: { modifier: "alt", key: "PageDown" },
  },
  {
    action: { type: "previous_tab" },
    title: "Previous tab",
    mac: { modifier: "ctrl", key: "BracketLeft" },
    other: { modifier: "alt", key: "PageUp" },
  },
  ...Array.from(
    { length: 9 },
    (_, index): Entry => ({
      action: { type: "select_tab", index },
      title: `Tab ${index + 1}`,
      ...letter(`Digit${index + 1}`),
    }),
  ),
  { action: { type: "rename_tab" }, title: "Rename tab", ...letter("E") },
  { action: { type: "close_tab" }, title: "Close tab", ...letter("X") },
  { action: { type: "find" }, title: "Find in pane", ...letter("F") },
  { action: { type: "copy" }, title: "Copy selection", mac: null, other: { modifier: "ctrl", key: "C" } },
  { action: { type: "session_menu" }, title: "Sessions", ...letter("S") },
  { action: { type: "new_session" }, title: "New session", ...letter("N") },
  { action: { type: "help" }, title: "Keyboard shortcuts", ...letter("H") },
];

const TABLES: Readonly<Record<Platform, readonly Binding[]>> = { mac: table("mac"), other: table("other") };

/** In the order in which the help dialog shows them; the same array each time. */
export function bindings(platform: Platform): readonly Binding[] {
  return TABLES[platform];
}

/** The keys of the first binding of this type, for a tooltip or a menu; "" where it has none. */
export function keysFor(type: Action["type"], platform: Platform): string {
  return TABLES[platform].find((binding) => binding.action.type === type)?.keys ?? "";
}

/** Null for everything that belongs to the terminal or to the browser. */
export function actionFor(event: KeyDescriptor, platform: Platform): Action | null {
  if (!event.shiftKey || event.metaKey || event.ctrlKey === event.altKey) return null;
  const modifier: Modifier = event.ctrlKey ? "ctrl" : "alt";
  const key = keyName(event);
  const found = ENTRIES.find((entry) => {
    const chord = entry[platform];
    return chord !== null && chord.modifier === modifier && chord.key === key;
  });
  return found?.action ?? null;
}

/** Letters by what is printed on the key; other alphabets and everything with Shift by where the key is. */
function keyName(event: KeyDescriptor): string {
  if (/^[a-z]$/i.test(event.key)) return event.key.toUpperCase();
  return /^Key[A-Z]$/.test(event.code) ? event.code.slice(3) : event.code;
}

function table(platform: Platform): readonly Binding[] {
  return ENTRIES.flatMap((entry) => {
    const chord = entry[platform];
    return chord === null
      ? []
      : [{ action: entry.action, keys: display(chord, platform), title: entry.title }];
  });
}

function display(chord: Chord, platform: Platform): string {
  const key = SHOWN[chord.key] ?? chord.key.replace(/^Digit/, "");
  if (platform === "mac") return (chord.modifier === "ctrl" ? "⌃⇧" : "⌥⇧") + key;
  return `${chord.modifier === "ctrl" ? "Ctrl" : "Alt"}+Shift+${key}`;
}
