import { type BundleReport, type ClusterFacts, type ClusterReport, Freshness, type ObjectException, formatObjectRef } from "@muster/shared/model";
import type { AgentStatus } from "../agents/agent-sessions.ts";

/** An exception with the time at which the hub first heard of it. */
export interface DatedException {
  readonly exception: ObjectException;
  /** Wall clock, milliseconds. */
  readonly sinceMs: number;
}

/** What one cluster's agent has told. */
export class ClusterRecord {
  readonly name: string;
  connected = false;
  /** Monotonic milliseconds of the last message; undefined: never. */
  heardAtMs: number | undefined;
  /** Wall clock of the last message, for showing. */
  heardWallMs = 0;
  facts: ClusterFacts | undefined;
  report: ClusterReport | undefined;
  readonly bundles = new Map<string, BundleReport>();
  readonly exceptions = new Map<string, DatedException>();
  /** What freshness was when it was last told to listeners. */
  told: Freshness = Freshness.Never;

  constructor(name: string) {
    this.name = name;
  }

  heard(monotonicMs: number, wallMs: number): void {
    this.heardAtMs = monotonicMs;
    this.heardWallMs = wallMs;
  }

  freshness(monotonicMs: number, leaseMs: number): Freshness {
    if (this.heardAtMs === undefined) return Freshness.Never;
    return monotonicMs - this.heardAtMs <= leaseMs ? Freshness.Live : Freshness.Stale;
  }

  /** Takes a status message. Gives the exceptions that are new in being drifted. */
  apply(update: AgentStatus, wallMs: number): void {
    const before = update.restart ? new Map(this.exceptions) : this.exceptions;
    if (update.restart) this.exceptions.clear();
    if (update.report) {
      this.report = update.report;
      this.bundles.clear();
      for (const bundle of update.report.bundles) this.bundles.set(bundle.bundle, bundle);
    }
    if (update.facts) this.facts = update.facts;
    for (const ref of update.cleared) this.exceptions.delete(formatObjectRef(ref));
    for (const exception of update.exceptions) {
      const key = formatObjectRef(exception.ref);
      this.exceptions.set(key, { exception, sinceMs: before.get(key)?.sinceMs ?? wallMs });
    }
  }
}
