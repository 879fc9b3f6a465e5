/** Time, waiting, stopping and failpoints: what makes loops testable. */
export { createBackoff, jitter } from "./backoff.ts";
export type { Backoff, BackoffOptions } from "./backoff.ts";
export { systemClock } from "./clock.ts";
export type { Clock, Random } from "./clock.ts";
export { createFailpoints } from "./failpoint.ts";
export type { Failpoint } from "./failpoint.ts";
export { createLifecycle } from "./lifecycle.ts";
export type { Lifecycle, LifecycleOptions } from "./lifecycle.ts";
export { Wakeup, forEachLimited } from "./signal.ts";
