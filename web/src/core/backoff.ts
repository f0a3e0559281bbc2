/** How long to wait before the next attempt to connect: doubling, bounded, and never the same for two pages. */

import { RETRY_CAP_S, RETRY_FLOOR_S } from "../protocol/wire";

/**
 * Milliseconds before attempt number `attempt` (from 1). Drawn from the upper half of 1, 2, 4, … s, so that the
 * first comes after the floor and the pages of a restarted server do not come all at once.
 */
export function retryDelayMs(attempt: number, random: number): number {
  const nominal = Math.min(RETRY_CAP_S, 2 * RETRY_FLOOR_S * 2 ** Math.min(attempt - 1, 16));
  return Math.round(1000 * (nominal / 2 + (nominal / 2) * random));
}
