import type { Random } from "./clock.ts";

/** Options of {@link createBackoff}. */
export interface BackoffOptions {
  /** First delay in milliseconds. Default 250. */
  readonly initialMs?: number;
  /** Longest delay in milliseconds. Default 30 000. */
  readonly maxMs?: number;
  /** Growth per attempt. Default 2. */
  readonly factor?: number;
  /** Default Math.random. */
  readonly random?: Random;
}

/** Exponential backoff with full jitter (each delay is uniform between half of and the whole of the bound). */
export interface Backoff {
  /** The next delay in milliseconds. */
  next(): number;
  /** Call after a success: the next delay is the first again. */
  reset(): void;
  /** Attempts since the last reset. */
  readonly attempts: number;
}

export function createBackoff(options: BackoffOptions = {}): Backoff {
  const { initialMs = 250, maxMs = 30_000, factor = 2, random = Math.random } = options;
  let attempts = 0;
  return {
    next() {
      const bound = Math.min(maxMs, initialMs * factor ** Math.min(attempts, 60));
      attempts += 1;
      return bound / 2 + (bound / 2) * random();
    },
    reset() {
      attempts = 0;
    },
    get attempts() {
      return attempts;
    },
  };
}

/** Spreads an interval by ±`ratio` (default 10 %), so that many agents do not act at once. Milliseconds in, milliseconds out. */
export function jitter(intervalMs: number, random: Random = Math.random, ratio = 0.1): number {
  return intervalMs * (1 - ratio + 2 * ratio * random());
}
