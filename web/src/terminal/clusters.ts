/**
 * Which characters share a cell when a program asked for clusters (mode 2027), by the server's emulator. A property of
 * xterm.js holds whether a character joins the one before (1 bit), the cluster's width (2), and from there on what of
 * the cluster decides whether the next one joins. Runs without a browser and imports nothing but the table.
 */

import {
  CLOSED_SYLLABLE,
  CONSONANT,
  EXTENDS,
  FOLLOWS_L,
  FOLLOWS_T,
  FOLLOWS_V,
  KINDS,
  LEADS_L,
  LEADS_T,
  LEADS_V,
  LINKER,
  MODIFIABLE,
  MODIFIER,
  NARROW,
  PICTOGRAPH,
  PREPENDABLE,
  PREPENDS,
  REGIONAL,
  RUNS,
  VARIABLE,
  WITHIN_CONSONANTS,
  WITHIN_PICTOGRAPH,
} from "./width-table";

export const JOINS = 1;
export const WIDTH_BITS = 0b110;

const JOINER = 0x200d;
const AS_TEXT = 0xfe0e;
const AS_EMOJI = 0xfe0f;
const HANGUL = 0xac00;
const HANGUL_END = 0xd7a4;
/** Syllables with the same leading consonant and vowel, of which the first has no trailing consonant. */
const HANGUL_TAILS = 28;

/** What the last character of a cluster brings with it; the traits' own bits are higher than a property has room for. */
const AFTER = [PREPENDS, LEADS_L, LEADS_V, LEADS_T, VARIABLE, MODIFIABLE] as const;
const [AFTER_PREPENDS, AFTER_L, AFTER_V, AFTER_T, AFTER_VARIABLE, AFTER_MODIFIABLE] = [
  8, 16, 32, 64, 128, 256,
];
const HALF_FLAG = 512;
const PICTOGRAPH_OPEN = 1024;
const PICTOGRAPH_JOINED = 2048;
const LINKED = 4096;

/** Planes 0 and 1 hold almost all runs; an entry is an index of `KINDS`. */
const DENSE = 0x20000;
const dense = new Uint8Array(DENSE);
/** Their widths, which are asked for with every character. */
const widths = new Uint8Array(DENSE);
/** The ends of the runs behind them, in order, and their kinds. */
const sparse: (readonly [end: number, kind: number])[] = [];

let start = 0;
for (const word of RUNS.trimEnd().split(" ")) {
  const run = Number.parseInt(word, 36);
  const kind = run % KINDS.length;
  const end = start + (run - kind) / KINDS.length;
  dense.fill(kind, start, end);
  widths.fill((KINDS[kind] ?? 0) & 0b11, start, end);
  if (end > DENSE) sparse.push([end, kind]);
  start = end;
}

/** The character's width in the lowest two bits, and its traits. */
function kindOf(code: number): number {
  if (code >= HANGUL && code < HANGUL_END && (code - HANGUL) % HANGUL_TAILS !== 0) return CLOSED_SYLLABLE;
  const index = code < DENSE ? dense[code] : sparse.find(([end]) => code < end)?.[1];
  return KINDS[index ?? 0] ?? 1;
}

export function widthOf(code: number): 0 | 1 | 2 {
  return (code < DENSE ? widths[code] : kindOf(code) & 0b11) as 0 | 1 | 2;
}

/** The property of a character behind a cluster; null where the emulator leaves the character out. */
export function cluster(code: number, preceding: number): number | null {
  const kind = kindOf(code);
  const isSelector = code === AS_TEXT || code === AS_EMOJI;
  if (!joins(code, kind, preceding))
    return (kind & 0b11) === 0 ? null : ((kind & 0b11) << 1) | after(code, kind, 0);
  if (isSelector && !(preceding & AFTER_VARIABLE)) return null;
  let width = preceding & WIDTH_BITS;
  if (isSelector) width = code === AS_EMOJI ? 2 << 1 : 1 << 1;
  else if (!(kind & NARROW)) width = 2 << 1;
  return JOINS | width | after(code, kind, preceding);
}

/** The property of a cluster of one cell that is already there, from its text and its width. */
export function clusterOf(text: string, width: number): number {
  let properties = 0;
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    properties = cluster(code, properties) ?? after(code, kindOf(code), 0);
  }
  return (properties & ~WIDTH_BITS) | (width << 1);
}

function joins(code: number, kind: number, preceding: number): boolean {
  // The emulator looks no further where the character is of Latin 1.
  if (preceding === 0 || code <= 0xff) return false;
  return (
    (kind & EXTENDS) !== 0 ||
    both(preceding, AFTER_PREPENDS, kind, PREPENDABLE) ||
    both(preceding, AFTER_L, kind, FOLLOWS_L) ||
    both(preceding, AFTER_V, kind, FOLLOWS_V) ||
    both(preceding, AFTER_T, kind, FOLLOWS_T) ||
    both(preceding, HALF_FLAG, kind, REGIONAL) ||
    both(preceding, PICTOGRAPH_JOINED, kind, PICTOGRAPH) ||
    both(preceding, LINKED, kind, CONSONANT) ||
    both(preceding, AFTER_MODIFIABLE, kind, MODIFIER)
  );
}

function both(preceding: number, bit: number, kind: number, trait: number): boolean {
  return (preceding & bit) !== 0 && (kind & trait) !== 0;
}

/** What the next character looks at; `preceding` is 0 where a cluster begins. */
function after(code: number, kind: number, preceding: number): number {
  let bits = 0;
  for (let index = 0; index < AFTER.length; index++) {
    if (kind & (AFTER[index] ?? 0)) bits |= AFTER_PREPENDS << index;
  }
  if (kind & REGIONAL && !(preceding & HALF_FLAG)) bits |= HALF_FLAG;
  if (kind & PICTOGRAPH) bits |= PICTOGRAPH_OPEN;
  else if (preceding & PICTOGRAPH_OPEN) {
    if (code === JOINER) bits |= PICTOGRAPH_JOINED;
    else if (kind & (WITHIN_PICTOGRAPH | MODIFIER)) bits |= PICTOGRAPH_OPEN;
  }
  if (kind & LINKER || (preceding & LINKED && kind & WITHIN_CONSONANTS)) bits |= LINKED;
  return bits;
}
