/** Colours as the style sheet has them (OKLCH) turned into what terminals and the wire understand ("#rrggbb"). */

const NUMBER = "(-?[\\d.]+)";
const OKLCH = new RegExp(`^oklch\\(\\s*${NUMBER}(%?)\\s+${NUMBER}\\s+${NUMBER}(?:deg)?\\s*\\)$`, "i");
const LAB = new RegExp(`^lab\\(\\s*${NUMBER}%?\\s+${NUMBER}\\s+${NUMBER}\\s*\\)$`, "i");
const HEX = /^#[0-9a-f]{6}$/i;
const SHORT_HEX = /^#([0-9a-f])([0-9a-f])([0-9a-f])$/i;

/** Linear light to one sRGB byte. Colours outside of sRGB are clipped. */
function encode(linear: number): number {
  const curved = linear <= 0.0031308 ? 12.92 * linear : 1.055 * linear ** (1 / 2.4) - 0.055;
  return Math.round(Math.min(1, Math.max(0, curved)) * 255);
}

const hexOf = (linear: readonly number[]) =>
  `#${linear.map((channel) => encode(channel).toString(16).padStart(2, "0")).join("")}`;

/** `hue` in degrees; lightness 0–1. */
function oklchToHex(lightness: number, chroma: number, hue: number): string {
  const a = chroma * Math.cos((hue * Math.PI) / 180);
  const b = chroma * Math.sin((hue * Math.PI) / 180);
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return hexOf([
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ]);
}

/** CIE Lab with the white of D50, as style sheets have it; lightness 0–100. */
function labToHex(lightness: number, a: number, b: number): string {
  const f = (lightness + 16) / 116;
  const cube = (t: number) => (t > 6 / 29 ? t ** 3 : (116 * t - 16) / (24389 / 27));
  const x = 0.9642956764 * cube(f + a / 500);
  const y = cube(f);
  const z = 0.8251046025 * cube(f - b / 200);
  return hexOf([
    3.1341359 * x - 1.6172863 * y - 0.4906609 * z,
    -0.9787943 * x + 1.916254 * y + 0.0334427 * z,
    0.0719553 * x - 0.2289769 * y + 1.4053858 * z,
  ]);
}

/** Null for what is neither `oklch(L C H)`, nor what a build makes of it: `lab(L a b)`, `#rrggbb` or `#rgb`. */
export function toHex(css: string): string | null {
  const text = css.trim();
  if (HEX.test(text)) return text.toLowerCase();
  if (SHORT_HEX.test(text)) return text.replace(SHORT_HEX, "#$1$1$2$2$3$3").toLowerCase();
  const oklch = OKLCH.exec(text);
  if (oklch !== null) {
    return oklchToHex(Number(oklch[1]) / (oklch[2] === "%" ? 100 : 1), Number(oklch[3]), Number(oklch[4]));
  }
  const lab = LAB.exec(text);
  return lab === null ? null : labToHex(Number(lab[1]), Number(lab[2]), Number(lab[3]));
}

/** WCAG contrast of two "#rrggbb" colours, 1–21. */
export function contrast(first: string, second: string): number {
  const luminance = (hex: string) => {
    const linear = [1, 3, 5].map((at) => {
      const channel = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
      return channel <= 0.04045 ? channel / 12.92 : ((channel + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * (linear[0] ?? 0) + 0.7152 * (linear[1] ?? 0) + 0.0722 * (linear[2] ?? 0);
  };
  const [light, dark] = [luminance(first), luminance(second)].sort((a, b) => b - a);
  return ((light ?? 0) + 0.05) / ((dark ?? 0) + 0.05);
}
