import type { Clock } from "@muster/shared/runtime";

/** Time that goes on only when a test says so. */
export class ManualClock implements Clock {
  #nowMs: number;
  readonly #wallOffsetMs: number;
  readonly #sleepers = new Set<{ readonly dueMs: number; readonly wake: () => void }>();

  /** `wallMs`: what the wall clock shows at the start, in milliseconds since 1970. Default 0. */
  constructor(wallMs = 0) {
    this.#nowMs = 1;
    this.#wallOffsetMs = wallMs - 1;
  }

  monotonicMs = (): number => this.#nowMs;
  wallMs = (): number => this.#nowMs + this.#wallOffsetMs;

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const sleeper = { dueMs: this.#nowMs + ms, wake: resolve };
      this.#sleepers.add(sleeper);
      signal?.addEventListener("abort", () => {
        this.#sleepers.delete(sleeper);
        reject(signal.reason);
      });
    });
  }

  /** Lets time pass, wakes who slept long enough, and lets them act. */
  async advance(ms: number): Promise<void> {
    this.#nowMs += ms;
    for (const sleeper of [...this.#sleepers]) {
      if (sleeper.dueMs > this.#nowMs) continue;
      this.#sleepers.delete(sleeper);
      sleeper.wake();
    }
    await new Promise(setImmediate);
  }
}
