/** Time, waiting, stopping and failpoints: what makes loops testable. */

export type { Backoff, BackoffOptions } from "./backoff.ts";
export { createBackoff, jitter } from "./backoff.ts";
export type { Clock, Random } from "./clock.ts";
export { systemClock } from "./clock.ts";
export type { Failpoint } from "./failpoint.ts";
export { createFailpoints } from "./failpoint.ts";
export type { Lifecycle, LifecycleOptions } from "./lifecycle.ts";
export { createLifecycle } from "./lifecycle.ts";
export { forEachLimited, Wakeup } from "./signal.ts";
