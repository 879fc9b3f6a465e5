import { type Clock, systemClock } from "./clock.ts";

/** A wake-up that is never lost: `wake()` before `wait()` makes the next `wait()` return at once. */
export class Wakeup {
  #pending = false;
  #resolve: (() => void) | undefined;

  /** Wakes the waiter, or the next one. */
  wake(): void {
    this.#pending = true;
    this.#resolve?.();
  }

  /** Resolves true when woken, false after `timeoutMs` milliseconds of the clock (never, if undefined) or when the signal aborts. */
  async wait(timeoutMs: number | undefined, signal?: AbortSignal, clock: Clock = systemClock): Promise<boolean> {
    if (!this.#pending && !signal?.aborted) {
      const over = new AbortController();
      await new Promise<void>((resolve) => {
        this.#resolve = resolve;
        signal?.addEventListener("abort", () => resolve(), { once: true, signal: over.signal });
        if (timeoutMs !== undefined) clock.sleep(timeoutMs, over.signal).then(resolve, () => {});
      });
      over.abort();
      this.#resolve = undefined;
    }
    const woken = this.#pending;
    this.#pending = false;
    return woken;
  }
}

/** Runs `task` for every item, at most `limit` at a time. Rejects with the first rejection after all running ones ended. */
export async function forEachLimited<T>(items: Iterable<T>, limit: number, task: (item: T) => Promise<void>): Promise<void> {
  const iterator = items[Symbol.iterator]();
  let failed: { error: unknown } | undefined;
  const worker = async () => {
    while (!failed) {
      const next = iterator.next();
      if (next.done) return;
      try {
        await task(next.value);
      } catch (error) {
        failed ??= { error };
      }
    }
  };
  await Promise.all(Array.from({ length: Math.max(1, limit) }, worker));
  if (failed) throw failed.error;
}
