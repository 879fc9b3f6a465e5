import {
  type BundleReport,
  type ClusterFacts,
  type ClusterReport,
  compareGenerations,
  Freshness,
  type Generation,
} from "@muster/shared/model";
import type { AgentStatus } from "../agents/agent-sessions.ts";
import { ExceptionStore } from "./exception-store.ts";

/** Events of one cluster that are taken at once, and per second in the long run: one agent must not flood the history (E253). */
const EVENT_BURST = 500;
const EVENTS_PER_SECOND = 5;

/** A full report of which parts are still to come; beside what it replaces, a record has at most two stores. */
interface Incoming {
  readonly exceptions: ExceptionStore;
  report: ClusterReport | undefined;
}

/** An agent that had taken more than it knows of now. */
export interface Rewound {
  /** The newest slice that it had told of. */
  readonly from: Generation;
  /** What it knew when it said Hello; undefined: nothing. */
  readonly to: Generation | undefined;
  /** Wall clock. */
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
  /** Wall clock since when the slice is refused, since when deletions are held, and since when not every exception is kept. */
  problemSinceMs = 0;
  heldSinceMs = 0;
  cutSinceMs = 0;
  readonly bundles = new Map<string, BundleReport>();
  exceptions = new ExceptionStore();
  /** Grows with everything that views show. */
  version = 0;
  /** What freshness was when it was last told to listeners. */
  told: Freshness = Freshness.Never;
  #confirmed = false;
  #beganEmpty = false;
  /** The newest slice that an agent of this cluster has told of. */
  #mark: Generation | undefined;
  #rewound: Rewound | undefined;
  #incoming: Incoming | undefined;
  #eventTokens = EVENT_BURST;
  #eventsAtMs = 0;

  constructor(name: string) {
    this.name = name;
  }

  /**
   * true once the agent has told everything since its Hello. Until then what is known is what another process, perhaps long ago,
   * has told: it is shown, but nothing follows from it (I10).
   */
  get confirmed(): boolean {
    return this.#confirmed;
  }

  heard(monotonicMs: number, wallMs: number): void {
    this.heardAtMs = monotonicMs;
    this.heardWallMs = wallMs;
  }

  freshness(monotonicMs: number, leaseMs: number): Freshness {
    if (this.heardAtMs === undefined) return Freshness.Never;
    return monotonicMs - this.heardAtMs <= leaseMs ? Freshness.Live : Freshness.Stale;
  }

  /** true: the agent has said that it has taken no slice yet, and has told of none since. */
  get hasNothing(): boolean {
    return this.connected && this.#beganEmpty && this.report?.seen === undefined;
  }

  /** Present until the agent is where it had been: its cluster's etcd was restored, its state was lost, or it is another cluster (E099). */
  get rewound(): Rewound | undefined {
    return this.#rewound;
  }

  /** The agent says Hello. Of a full report that broke midway nothing is taken. */
  beginSession(facts: ClusterFacts, highWater: Generation | undefined, wallMs: number): void {
    this.version += 1;
    const mark = this.#mark;
    if (mark && (highWater === undefined || compareGenerations(highWater, mark) < 0))
      this.#rewound = { from: mark, to: highWater, sinceMs: this.#rewound?.sinceMs ?? wallMs };
    this.#noteMark(highWater);
    this.connected = true;
    this.#beganEmpty = highWater === undefined;
    this.#confirmed = false;
    this.#incoming = undefined;
    this.takeFacts(facts);
  }

  /** Takes a status message. A full report of several parts is shown when it is complete, not short before. */
  apply(update: AgentStatus, wallMs: number): void {
    this.version += 1;
    if (update.facts) this.takeFacts(update.facts);
    if (update.restart) this.#incoming = { exceptions: new ExceptionStore(), report: undefined };
    const incoming = this.#incoming;
    this.#takeExceptions(incoming?.exceptions ?? this.exceptions, update, wallMs);
    if (!incoming) {
      if (update.report) this.#takeReport(update.report, wallMs);
      return;
    }
    incoming.report = update.report ?? incoming.report;
    if (!update.complete) return;
    this.#incoming = undefined;
    this.#confirmed = true;
    this.exceptions = incoming.exceptions;
    this.#takeReport(incoming.report, wallMs);
  }

  /** Facts that say the same stay the same object: what was rendered with them need not be rendered again. */
  takeFacts(facts: ClusterFacts): void {
    if (JSON.stringify(facts) !== JSON.stringify(this.facts)) this.facts = facts;
  }

  #takeExceptions(into: ExceptionStore, { cleared, exceptions }: AgentStatus, wallMs: number): void {
    const wasCut = this.exceptions.leftOut > 0;
    for (const ref of cleared) into.delete(ref);
    for (const exception of exceptions) {
      const known = into.get(exception.ref) ?? this.exceptions.get(exception.ref);
      // An object that was slow to start and drifts now has drifted now, not when it started.
      const same = known !== undefined && (known.exception.drift === undefined) === (exception.drift === undefined);
      into.put(exception, same ? known.sinceMs : wallMs);
    }
    if (!wasCut) this.cutSinceMs = wallMs;
  }

  #takeReport(report: ClusterReport | undefined, wallMs: number): void {
    if (report?.sliceProblem?.code !== this.report?.sliceProblem?.code) this.problemSinceMs = wallMs;
    if (report?.heldDeletion?.id !== this.report?.heldDeletion?.id) this.heldSinceMs = wallMs;
    this.report = report;
    this.#noteMark(report?.seen);
    this.bundles.clear();
    for (const bundle of report?.bundles ?? []) this.bundles.set(bundle.bundle, bundle);
  }

  #noteMark(seen: Generation | undefined): void {
    if (seen === undefined || (this.#mark && compareGenerations(seen, this.#mark) < 0)) return;
    this.#mark = seen;
    this.#rewound = undefined;
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
