/** The form of a trace, and the short words in it spelled out as messages of the protocol. */

import { encodeBytes } from "../../protocol/codec";
import { CONTROL_CHANNEL } from "../../protocol/wire";
import type { PaneId } from "../api";
import { paneInfo, string, tabOf } from "./script";
import type { Fields } from "./trace-wire";

declare const TextEncoder: new () => { encode(text: string): Uint8Array };

export interface Trace {
  readonly name: string;
  readonly rule: string;
  /** One verb each. */
  readonly steps: readonly Fields[];
}

export type Data = { readonly text?: string; readonly hex?: string; readonly times?: number };
export type SentRun = Data & { readonly from: number };
export type WantedDiscard = Data & { readonly reason: string; readonly bytes?: number };
export type WantedInput = { readonly unacked?: number; readonly discarded?: readonly WantedDiscard[] };
export type Announced = {
  readonly rev: number;
  readonly panes: Readonly<Record<PaneId, number | (Fields & { readonly channel: number })>>;
  readonly input?: Readonly<Record<PaneId, number | null>> | null;
};

/** Spells out `state` and `update`: one session, and one tab for each pane. */
export class Announcements {
  /** The record of each pane, as it was last announced. */
  #panes: Readonly<Record<PaneId, Fields>> = {};

  state(value: Announced): Fields {
    this.#panes = {};
    const told = this.#told(value.panes);
    const session = {
      id: "s",
      sandboxId: "x",
      name: "main",
      createdAt: 1,
      provider: "local",
      status: "awake",
    };
    const now = 1_700_000_000_000;
    const { rev, input = null } = value;
    return { ...told, type: "state", rev, now, sessions: [session], panes: this.#panes, input };
  }

  update(value: Announced): Fields {
    const before = this.#panes;
    const told = this.#told(value.panes);
    const changed = Object.entries(this.#panes).filter(
      ([id]) => typeof value.panes[id] === "object" || before[id] === undefined,
    );
    return { ...told, type: "layout_update", rev: value.rev, panes: Object.fromEntries(changed) };
  }

  #told(panes: Announced["panes"]): Fields {
    const before = this.#panes;
    const entries = Object.entries(panes).map(([id, said]) => {
      const { channel, ...fields } = typeof said === "number" ? { channel: said } : said;
      return { id, channel, info: { ...(before[id] ?? paneInfo()), ...fields } as Fields };
    });
    const each = <T>(value: (entry: (typeof entries)[number]) => T) =>
      Object.fromEntries(entries.map((entry) => [entry.id, value(entry)]));
    this.#panes = each(({ info }) => info);
    const tabs = entries.map(({ id }) => tabOf(id));
    const connected = each(({ info }) => info.status === "connected");
    return { tabs, activeTab: tabs[0]?.id ?? null, channels: each(({ channel }) => channel), connected };
  }
}

export function encode(message: Fields): Uint8Array {
  return encodeBytes(CONTROL_CHANNEL, new TextEncoder().encode(JSON.stringify(message)));
}

/** Bytes as a trace names them, one character each. */
export function dataOf(value: string | Data): string {
  if (typeof value === "string") return dataOf({ text: value });
  const pairs = value.hex?.match(/../g) ?? [];
  const once =
    value.text === undefined
      ? pairs.map((pair) => String.fromCharCode(Number.parseInt(pair, 16))).join("")
      : string(new TextEncoder().encode(value.text));
  return once.repeat(value.times ?? 1);
}

/** `bytes` where the data need not be there any more. */
export function confession(value: WantedDiscard): unknown[] {
  if (value.bytes !== undefined) return [value.bytes, value.reason, null];
  const data = dataOf(value);
  return [data.length, value.reason, data];
}
