/** What the tests of input say to the server's client and ask of it, in few words. */

import type { LayoutUpdate } from "../../protocol/wire";
import type { Discarded } from "../api";
import { Script, stateOf, string, updateOf } from "./script";

export function greeted(panes: readonly string[] = ["a"]): Script {
  const script = new Script();
  script.start();
  script.greet(stateOf(panes));
  script.frames();
  return script;
}

/** Connects again; the server's `input` is what it says to the same client. */
export function again(
  script: Script,
  input: Record<string, number | null> | null,
  panes: readonly string[] = ["a"],
): void {
  script.cut();
  script.greet(stateOf(panes, { rev: 2, input }));
}

export function shown(script: Script, id = "a"): string[] {
  return script.core.pane(id).discarded.map(show);
}

export function show({ bytes: count, reason, data }: Discarded): string {
  return `${count} ${reason} ${data === null ? "?" : string(data)}`;
}

export function ack(script: Script, position: number, paneId = "a"): void {
  script.say({ type: "input_ack", paneId, position });
}

export function named(script: Script, from: number, to: number, reason = "expired", paneId = "a"): void {
  script.say({ type: "input_discarded", paneId, from, to, reason });
}

export function pong(script: Script): void {
  const { environment } = script;
  script.say({ type: "pong", time: environment.now(), now: environment.wallNow() });
}

export function without(panes: readonly string[], id: string): LayoutUpdate {
  const state = stateOf(panes);
  const channels = Object.fromEntries(Object.entries(state.channels).filter(([other]) => other !== id));
  const connected = Object.fromEntries(Object.keys(channels).map((other) => [other, true]));
  return updateOf(state, { tabs: state.tabs.filter((tab) => tab.focus !== id), channels, connected });
}
