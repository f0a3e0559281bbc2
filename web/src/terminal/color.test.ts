import { expect, test } from "vitest";
import css from "../styles/tokens.css?raw";
import { contrast, toHex } from "./color";
import { themeFrom } from "./theme";

test("white, black and a colour in between", () => {
  expect(toHex("oklch(1 0 0)")).toBe("#ffffff");
  expect(toHex("oklch(0% 0 0)")).toBe("#000000");
  expect(toHex(" oklch(0.628 0.2577 29.23) ")).toBe("#ff0000");
  expect(toHex("#A0b1C2")).toBe("#a0b1c2");
  expect(toHex("#1aF")).toBe("#11aaff");
  expect(toHex("rebeccapurple")).toBeNull();
});

test("what a build makes of a colour is the same colour", () => {
  expect(toHex("lab(3.67771% -.431366 -2.91663)")).toBe(toHex("oklch(0.16 0.012 255)"));
  expect(toHex("lab(76.7033% 18.106 60.6421)")).toBe(toHex("oklch(0.8 0.14 75)"));
});

const [dark = "", light = ""] = css.split("prefers-color-scheme: light");

function tokensOf(block: string): (name: string) => string {
  const tokens = new Map([...block.matchAll(/(--[\w-]+):\s*([^;]+);/g)].map((match) => [match[1], match[2]]));
  return (name) => tokens.get(name) ?? "";
}

const hex = (token: (name: string) => string, name: string) => toHex(token(name)) ?? `no colour: ${name}`;

for (const [name, token] of [
  ["dark", tokensOf(dark)],
  ["light", tokensOf(light)],
] as const) {
  test(`${name}: text can be read on every surface (AA)`, () => {
    for (const surface of ["--background", "--surface-1", "--surface-2", "--surface-3"]) {
      for (const text of ["--text", "--muted"]) {
        const reached = contrast(hex(token, text), hex(token, surface));
        expect.soft(reached, `${text} on ${surface}`).toBeGreaterThanOrEqual(4.5);
      }
    }
    // Shapes need less than text.
    for (const shape of ["--accent", "--alive", "--waking", "--asleep", "--failed"]) {
      const reached = contrast(hex(token, shape), hex(token, "--surface-2"));
      expect.soft(reached, shape).toBeGreaterThanOrEqual(3);
    }
  });

  test(`${name}: the terminal's colours can be read on its background (AA)`, () => {
    const { palette, colors } = themeFrom(token);
    expect(colors).not.toBeNull();
    const background = palette.background ?? "";
    const names = ["foreground", "red", "green", "yellow", "blue", "magenta", "cyan", "white"] as const;
    const bright = ["Black", "Red", "Green", "Yellow", "Blue", "Magenta", "Cyan", "White"] as const;
    for (const colour of [...names, ...bright.map((end) => `bright${end}` as const)]) {
      expect.soft(contrast(palette[colour] ?? "#000000", background), colour).toBeGreaterThanOrEqual(4.5);
    }
  });
}
