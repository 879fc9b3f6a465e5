import type { Logger } from "../telemetry/index.ts";

/** Parts of a process that end in the reverse order of their start. */
export interface Lifecycle {
  /** Aborts when the process shall end. Every loop takes it. */
  readonly signal: AbortSignal;
  /** Registers what to do at the end; hooks run in reverse order, each with at most `timeoutMs` (default 5 000 ms). */
  onStop(label: string, hook: () => Promise<void> | void): void;
  /** Watches a background loop: if it throws, the process ends with exit code 1 rather than going on half alive. */
  run(label: string, loop: Promise<void>): void;
  /** Ends everything. Idempotent. */
  stop(): Promise<void>;
}

/** Options of {@link createLifecycle}. */
export interface LifecycleOptions {
  readonly logger: Logger;
  /** Milliseconds that each hook may take. Default 5 000. */
  readonly timeoutMs?: number;
  /** Called with the exit code when a loop has failed. Default process.exit. */
  readonly exit?: (code: number) => void;
}

export function createLifecycle(options: LifecycleOptions): Lifecycle {
  const { logger, timeoutMs = 5_000, exit = (code: number) => process.exit(code) } = options;
  const controller = new AbortController();
  const hooks: { label: string; hook: () => Promise<void> | void }[] = [];
  let stopping: Promise<void> | undefined;

  async function stopAll(): Promise<void> {
    controller.abort(new Error("stopping"));
    for (const { label, hook } of hooks.reverse()) {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<void>((_, reject) => {
        timer = setTimeout(() => reject(new Error(`not ended after ${timeoutMs} ms`)), timeoutMs);
      });
      try {
        await Promise.race([hook(), late]);
      } catch (error) {
        logger.warn({ part: label, err: error }, "a part did not end cleanly");
      } finally {
        clearTimeout(timer);
      }
    }
  }

  const lifecycle: Lifecycle = {
    signal: controller.signal,
    onStop: (label, hook) => void hooks.push({ label, hook }),
    run(label, loop) {
      loop.catch((error: unknown) => {
        if (controller.signal.aborted) return;
        logger.fatal({ part: label, err: error }, "a loop ended unexpectedly");
        void lifecycle.stop().finally(() => exit(1));
      });
    },
    stop: () => (stopping ??= stopAll()),
  };
  return lifecycle;
}
