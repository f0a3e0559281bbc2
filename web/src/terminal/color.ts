/** Colours as the style sheet has them (OKLCH) turned into what terminals and the wire understand ("#rrggbb"). */

const OKLCH = /^oklch\(\s*([\d.]+)(%?)\s+([\d.]+)\s+([\d.]+)(?:deg)?\s*\)$/i;
const HEX = /^#[0-9a-f]{6}$/i;

/** Linear light to one sRGB byte. Colours outside of sRGB are clipped. */
function encode(linear: number): number {
  const curved = linear <= 0.0031308 ? 12.92 * linear : 1.055 * linear ** (1 / 2.4) - 0.055;
  return Math.round(Math.min(1, Math.max(0, curved)) * 255);
}

/** `hue` in degrees; lightness 0–1. */
export function oklchToHex(lightness: number, chroma: number, hue: number): string {
  const a = chroma * Math.cos((hue * Math.PI) / 180);
  const b = chroma * Math.sin((hue * Math.PI) / 180);
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  const channels = [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ];
  return `#${channels.map((channel) => encode(channel).toString(16).padStart(2, "0")).join("")}`;
}

/** Null for what is neither `oklch(L C H)` nor `#rrggbb`. */
export function toHex(css: string): string | null {
  const text = css.trim();
  if (HEX.test(text)) return text.toLowerCase();
  const match = OKLCH.exec(text);
  if (match === null) return null;
  const lightness = Number(match[1]) / (match[2] === "%" ? 100 : 1);
  return oklchToHex(lightness, Number(match[3]), Number(match[4]));
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
