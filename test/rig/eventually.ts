/** Options of {@link eventually}. */
export interface EventuallyOptions {
  /** Milliseconds to go on trying. Default 10 000. */
  readonly timeoutMs?: number;
  /** Milliseconds between two tries. Default 25. */
  readonly intervalMs?: number;
  /** What is waited for, for the error. */
  readonly message?: string;
}

/**
 * Tries an assertion until it holds and gives its result. Throws the last error, with how long was waited. The only way
 * in which tests wait.
 */
export async function eventually<T>(attempt: () => Promise<T> | T, options: EventuallyOptions = {}): Promise<T> {
  const { timeoutMs = 10_000, intervalMs = 25, message = "the condition" } = options;
  const started = performance.now();
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      const waitedMs = Math.round(performance.now() - started);
      if (waitedMs > timeoutMs) {
        const why = error instanceof Error ? error.message : String(error);
        throw new Error(`${message} did not hold within ${waitedMs} ms: ${why}`, { cause: error });
      }
      await new Promise((resolve) => setTimeout(resolve, intervalMs));
    }
  }
}
