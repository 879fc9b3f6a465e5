import type { Clock } from "@muster/shared/runtime";
import { LogField, type Logger, type Metrics } from "@muster/shared/telemetry";
import type { StageTimer } from "./pipeline-stages.ts";
import type { AuditResult, Publisher } from "./publish/publisher.ts";
import type { FleetStatus } from "./status/fleet-status.ts";

/** Options of {@link createAuditor}. */
export interface AuditorOptions {
  readonly publisher: Pick<Publisher, "audit" | "collectGarbage">;
  readonly status: Pick<FleetStatus, "event">;
  readonly stages: StageTimer;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** Compares JetStream with what is in force, tells what was lost, and tidies up now and then. */
export interface Auditor {
  audit(deep: boolean): Promise<AuditResult>;
}

const GARBAGE_INTERVAL_MS = 10 * 60_000;
/** Milliseconds after the start before which nothing is deleted. */
const FIRST_GARBAGE_MS = 60_000;

export function createAuditor(options: AuditorOptions): Auditor {
  const { publisher, status, stages, clock, logger } = options;
  const republished = options.metrics.counter(
    "muster_hub_republished_total",
    "Slices and manifest sets that JetStream had lost and that were published again",
  );
  let garbageDueMs = clock.monotonicMs() + FIRST_GARBAGE_MS;

  function tellRepublished(count: number): void {
    republished.add(count);
    logger.warn({ [LogField.Count]: count }, "JetStream had lost data; it was published again");
    status.event({
      type: "Republished",
      severity: "warning",
      message: `JetStream had lost ${count} slices or manifest sets; they were published again`,
    });
  }

  async function tidy(): Promise<void> {
    garbageDueMs = clock.monotonicMs() + GARBAGE_INTERVAL_MS;
    const removed = await publisher.collectGarbage();
    if (removed > 0) logger.info({ [LogField.Count]: removed }, "removed parts of manifest sets that no slice needs");
  }

  return {
    async audit(deep) {
      const result = await stages.timed("audit", () => publisher.audit(deep));
      if (result.republished > 0) tellRepublished(result.republished);
      if (clock.monotonicMs() >= garbageDueMs) await tidy();
      return result;
    },
  };
}
