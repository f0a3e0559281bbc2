/**
 * The terminal's palette and font, read from the style sheet's tokens: a theme is one block of custom properties and
 * nothing here knows a colour.
 */

import type { ITheme } from "@xterm/xterm";
import type { Colors } from "../protocol/wire";
import { toHex } from "./color";

/** xterm's name of a colour, and the token that holds it. */
const TOKENS = {
  background: "--term-background",
  foreground: "--term-foreground",
  cursor: "--term-cursor",
  cursorAccent: "--term-cursor-text",
  selectionBackground: "--term-selection",
  selectionInactiveBackground: "--term-selection-inactive",
  scrollbarSliderBackground: "--term-scrollbar",
  scrollbarSliderHoverBackground: "--term-scrollbar-hover",
  scrollbarSliderActiveBackground: "--term-scrollbar-hover",
  black: "--term-black",
  red: "--term-red",
  green: "--term-green",
  yellow: "--term-yellow",
  blue: "--term-blue",
  magenta: "--term-magenta",
  cyan: "--term-cyan",
  white: "--term-white",
  brightBlack: "--term-bright-black",
  brightRed: "--term-bright-red",
  brightGreen: "--term-bright-green",
  brightYellow: "--term-bright-yellow",
  brightBlue: "--term-bright-blue",
  brightMagenta: "--term-bright-magenta",
  brightCyan: "--term-bright-cyan",
  brightWhite: "--term-bright-white",
} as const satisfies Partial<Record<keyof ITheme, string>>;

export interface TerminalTheme {
  readonly palette: ITheme;
  /** What programs are told when they ask; null where the style sheet gave none. */
  readonly colors: Colors | null;
  readonly fontFamily: string;
}

/** `token` gives the value of a custom property, "" where there is none. */
export function themeFrom(token: (name: string) => string): TerminalTheme {
  const palette: ITheme = {};
  for (const [key, name] of Object.entries(TOKENS)) {
    const hex = toHex(token(name));
    if (hex !== null) palette[key as keyof typeof TOKENS] = hex;
  }
  const { foreground, background, cursor } = palette;
  return {
    palette,
    colors: foreground && background && cursor ? { foreground, background, cursor } : null,
    fontFamily: token("--font-mono").trim() || "monospace",
  };
}

export function currentTheme(root: HTMLElement = document.documentElement): TerminalTheme {
  const style = getComputedStyle(root);
  return themeFrom((name) => style.getPropertyValue(name));
}
