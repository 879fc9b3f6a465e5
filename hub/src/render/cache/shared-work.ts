interface Running<V> {
  readonly result: Promise<V>;
  readonly controller: AbortController;
  waiters: number;
}

/**
 * Lets concurrent callers with the same key share one run of the work. The run is aborted only when every caller has
 * gone, so one that gives up does not take the result from the others.
 */
export class SharedWork<V> {
  readonly #running = new Map<string, Running<V>>();

  async run(key: string, work: (signal: AbortSignal) => Promise<V>, signal?: AbortSignal): Promise<V> {
    signal?.throwIfAborted();
    let running = this.#running.get(key);
    if (!running) {
      const controller = new AbortController();
      const started: Running<V> = { result: work(controller.signal), controller, waiters: 0 };
      this.#running.set(key, started);
      const forget = () => {
        if (this.#running.get(key) === started) this.#running.delete(key);
      };
      started.result.then(forget, forget);
      running = started;
    }
    running.waiters += 1;
    try {
      return await abortable(running.result, signal);
    } finally {
      running.waiters -= 1;
      if (running.waiters === 0 && this.#running.get(key) === running) {
        // Nobody waits any more: a caller that comes now must not get the aborted run.
        this.#running.delete(key);
        running.controller.abort(new Error("nobody waits for the result"));
      }
    }
  }
}

async function abortable<V>(result: Promise<V>, signal: AbortSignal | undefined): Promise<V> {
  if (!signal) return await result;
  const { promise, reject } = Promise.withResolvers<never>();
  const abort = () => reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([result, promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
