/**
 * When something happened, on both clocks of the environment. The monotonic one may stand still while the machine
 * sleeps, the wall clock may be set; what must not be too old is as old as the later of the two says.
 */

import type { Environment } from "./api";

export interface Instant {
  readonly monotonicMs: number;
  readonly wallMs: number;
}

export function instantOf(environment: Environment): Instant {
  return { monotonicMs: environment.now(), wallMs: environment.wallNow() };
}

export function elapsedMs(since: Instant, until: Instant): number {
  return Math.max(until.monotonicMs - since.monotonicMs, until.wallMs - since.wallMs);
}
