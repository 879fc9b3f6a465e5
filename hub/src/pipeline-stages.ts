import type { Clock } from "@muster/shared/runtime";
import { LogField, type Logger, type Metrics } from "@muster/shared/telemetry";

/** How long the stages of the publish loop take, as a metric and in the debug log. */
export interface StageTimer {
  /** Does the work of a stage, also one that fails, and notes its time. */
  timed<T>(stage: string, work: () => Promise<T> | T): Promise<T>;
  /** Notes a time that was measured elsewhere, in milliseconds. */
  observe(stage: string, ms: number): void;
}

export function createStageTimer(options: { readonly clock: Clock; readonly logger: Logger; readonly metrics: Metrics }): StageTimer {
  const { clock, logger } = options;
  const duration = options.metrics.histogram("muster_hub_stage_duration_seconds", "Time of each stage of the publish loop", {
    labels: ["stage"],
  });
  const observe = (stage: string, ms: number): void => {
    duration.observe(ms / 1000, { stage });
    logger.debug({ [LogField.Part]: stage, [LogField.DurationMs]: Math.round(ms * 10) / 10 }, "stage");
  };
  return {
    observe,
    async timed(stage, work) {
      const started = clock.monotonicMs();
      try {
        return await work();
      } finally {
        observe(stage, clock.monotonicMs() - started);
      }
    },
  };
}
