/** What a pane that is not connected says, word for word. */

import type { Discarded, PaneView } from "../core/api";
import type { PaneInfo, SessionStatus } from "../protocol/wire";
import { areReports } from "../terminal/reports";

/** What the words need to know besides the pane. */
export interface Facts {
  /** Since the pane has been in its present state, as far as this page saw it. */
  readonly elapsedMs: number;
  /** The server's clock, ms since 1970. */
  readonly serverNow: number;
  readonly session: SessionStatus | null;
  /** The page itself is cut off. */
  readonly cutOff: boolean;
}

/** Waiting is explained after this long; before it, nobody reads. */
const EXPLAIN_AFTER_MS = 2_000;

/** How the overlay looks and whether it counts: the pane's status, or `unknown` before the server spoke of it. */
export type Kind = "unknown" | Exclude<PaneInfo["status"], "connected">;

/** Null when the pane is connected: there is no overlay. */
export function kindOf(view: Pick<PaneView, "connected" | "info">): Kind | null {
  if (view.connected === true) return null;
  const status = view.info?.status;
  if (view.connected === null || status === undefined || status === "connected") return "unknown";
  return status;
}

export function titleOf(kind: Kind, info: PaneInfo | null): string {
  switch (kind) {
    case "unknown":
    case "starting":
      return "Connecting…";
    case "asleep":
      return "Disconnected — press any key to reconnect";
    case "waking":
      return "Waking…";
    case "disconnected":
      return "Connection to the sandbox lost";
    case "failed":
      return "Could not start";
    case "exited":
      return endOf(info);
  }
}

function endOf(info: PaneInfo | null): string {
  if (info?.reason !== undefined && /out of memory/i.test(info.reason)) return "Out of memory";
  if (info?.exit?.signal !== undefined) return `Ended by ${info.exit.signal}`;
  return info?.exit?.code === undefined ? "Ended" : `Ended (code ${info.exit.code})`;
}

export function detailOf(kind: Kind, info: PaneInfo | null, facts: Facts): string | null {
  const seconds = Math.floor(facts.elapsedMs / 1000);
  switch (kind) {
    case "unknown":
      if (facts.elapsedMs < EXPLAIN_AFTER_MS) return null;
      return facts.cutOff ? "waiting for the connection to the server" : "waiting for the server";
    case "starting":
      if (facts.elapsedMs < EXPLAIN_AFTER_MS) return null;
      return facts.session === "awake" ? "waiting for the shell" : "waiting for the sandbox to start";
    case "asleep":
      return info?.since === undefined ? "asleep" : `asleep since ${clock(info.since)}`;
    case "waking":
      return `${seconds} s`;
    case "disconnected": {
      const wait = info?.retryAt === undefined ? 0 : Math.ceil((info.retryAt - facts.serverNow) / 1000);
      return wait > 0 ? `trying again in ${wait} s — press any key to try now` : "trying again now";
    }
    case "failed": {
      const reason = info?.reason?.trim().replace(/[.;]+$/, "");
      return reason ? `${reason}; press any key to try again` : "press any key to try again";
    }
    case "exited":
      return "press any key for a new shell, or close the pane";
  }
}

export function keysWaiting(count: number): string | null {
  if (count === 0) return null;
  return count === 1 ? "1 key waiting" : `${count} keys waiting`;
}

export function keysNotSent(count: number): string | null {
  if (count === 0) return null;
  return count === 1 ? "1 key not sent yet" : `${count} keys not sent yet`;
}

const WHY: Record<Discarded["reason"], string> = {
  expired: "Not typed: it waited for 30 seconds and nothing could take it.",
  closed: "Not typed: the pane was closed.",
  asked: "Not typed: dropped as you asked.",
  program_gone: "Not typed: the program it was meant for is gone.",
  uncertain: "May not have arrived: the sandbox went away while it was on its way.",
  unsent: "Not sent: the connection was away too long, or too much was waiting.",
};

/** A click or a change of focus on its way to a program that ended is nothing that anybody typed. */
export function wasTyped({ data }: Discarded): boolean {
  return data === null || !areReports(data);
}

export const whyDiscarded = (reason: Discarded["reason"]): string => WHY[reason];

const SHOWN_CHARACTERS = 120;

/** What was typed, readable: control characters as their pictures (␛, ␍). */
export function readable(data: Uint8Array): string {
  const text = new TextDecoder().decode(data);
  const shown = [...text].slice(0, SHOWN_CHARACTERS).map((character) => {
    const code = character.codePointAt(0) ?? 0;
    if (code === 0x7f) return "␡";
    return code < 0x20 ? String.fromCodePoint(0x2400 + code) : character;
  });
  return shown.join("") + ([...text].length > SHOWN_CHARACTERS ? "…" : "");
}

/** Hours and minutes, 24 h. */
export function clock(wallMs: number): string {
  const date = new Date(wallMs);
  return `${String(date.getHours()).padStart(2, "0")}:${String(date.getMinutes()).padStart(2, "0")}`;
}
