import { setTimeout as sleep } from "node:timers/promises";

/** Time as an argument. Durations come from `monotonicMs`, so a jump of the wall clock changes no decision. */
export interface Clock {
  /** Milliseconds since an arbitrary start; never goes back. */
  monotonicMs(): number;
  /** Wall clock in milliseconds since 1970; for showing, never for deciding. */
  wallMs(): number;
  /** Resolves after `ms` milliseconds. Rejects with the signal's reason when it aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** The machine's clock. */
export const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
  sleep: async (ms, signal) => {
    await sleep(ms, undefined, signal ? { signal } : {});
  },
};

/** Chance as an argument: a number in [0, 1). */
export type Random = () => number;
