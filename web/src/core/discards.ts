/** What a pane has to confess: input that will never arrive, until the person has seen it. */

import type { Discarded } from "./api";

/** Shown per pane; past it the oldest is forgotten together with its data, and its bytes are added to the next. */
export const DISCARDS = 16;
/** Kept of one discard, so that it can be copied. */
export const DISCARD_DATA_BYTES = 1024 * 1024;

export function addDiscarded(list: readonly Discarded[], added: Discarded): readonly Discarded[] {
  const data = added.data !== null && added.data.length <= DISCARD_DATA_BYTES ? added.data : null;
  const all = [{ ...added, data }, ...list];
  const oldest = all[DISCARDS];
  const next = all[DISCARDS - 1];
  if (oldest === undefined || next === undefined) return all;
  return [...all.slice(0, DISCARDS - 1), { ...next, bytes: next.bytes + oldest.bytes, data: null }];
}
