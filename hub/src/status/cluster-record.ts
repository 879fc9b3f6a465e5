import {
  type BundleReport,
  type ClusterFacts,
  type ClusterReport,
  Freshness,
  formatObjectRef,
  type ObjectException,
} from "@muster/shared/model";
import type { AgentStatus } from "../agents/agent-sessions.ts";

/** An exception with the time at which the hub first heard of it. */
export interface DatedException {
  readonly exception: ObjectException;
  /** Wall clock, milliseconds. */
  readonly sinceMs: number;
}

/** Objects of one cluster that the hub remembers as exceptions; of more it knows the counts only (I11). */
const MAX_EXCEPTIONS = 10_000;

/** Events of one cluster that are taken at once, and per second in the long run: one agent must not flood the history (E253). */
const EVENT_BURST = 500;
const EVENTS_PER_SECOND = 5;

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
  /** Wall clock since when the slice is refused, and since when deletions are held. */
  problemSinceMs = 0;
  heldSinceMs = 0;
  readonly bundles = new Map<string, BundleReport>();
  readonly exceptions = new Map<string, DatedException>();
  /** Grows with everything that views show. */
  version = 0;
  /** What freshness was when it was last told to listeners. */
  told: Freshness = Freshness.Never;
  /** What a full report in several parts replaces, for the dates in it. */
  #replaced: Map<string, DatedException> | undefined;
  #eventTokens = EVENT_BURST;
  #eventsAtMs = 0;

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

  /** Takes a status message. */
  apply(update: AgentStatus, wallMs: number): void {
    this.version += 1;
    if (update.restart) {
      this.#replaced = new Map(this.exceptions);
      this.exceptions.clear();
    }
    if (update.report) this.#take(update.report, wallMs);
    if (update.facts) this.takeFacts(update.facts);
    for (const ref of update.cleared) this.exceptions.delete(formatObjectRef(ref));
    for (const exception of update.exceptions) {
      const key = formatObjectRef(exception.ref);
      const known = this.exceptions.get(key) ?? this.#replaced?.get(key);
      if (!known && this.exceptions.size >= MAX_EXCEPTIONS) continue;
      // An object that was slow to start and drifts now has drifted now, not when it started.
      const same = known !== undefined && (known.exception.drift === undefined) === (exception.drift === undefined);
      this.exceptions.set(key, { exception, sinceMs: same ? known.sinceMs : wallMs });
    }
    if (update.complete) this.#replaced = undefined;
  }

  /** Facts that say the same stay the same object: what was rendered with them need not be rendered again. */
  takeFacts(facts: ClusterFacts): void {
    if (JSON.stringify(facts) !== JSON.stringify(this.facts)) this.facts = facts;
  }

  #take(report: ClusterReport, wallMs: number): void {
    if (report.sliceProblem?.code !== this.report?.sliceProblem?.code) this.problemSinceMs = wallMs;
    if (report.heldDeletion?.id !== this.report?.heldDeletion?.id) this.heldSinceMs = wallMs;
    this.report = report;
    this.bundles.clear();
    for (const bundle of report.bundles) this.bundles.set(bundle.bundle, bundle);
  }

  /** How many of `wanted` events may be taken now. */
  takeEvents(wanted: number, monotonicMs: number): number {
    this.#eventTokens = Math.min(EVENT_BURST, this.#eventTokens + ((monotonicMs - this.#eventsAtMs) / 1_000) * EVENTS_PER_SECOND);
    this.#eventsAtMs = monotonicMs;
    const taken = Math.min(wanted, Math.floor(this.#eventTokens));
    this.#eventTokens -= taken;
    return taken;
  }
}
