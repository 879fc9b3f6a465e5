import { describeObjectRef, Freshness, formatRevision, type Generation } from "@muster/shared/model";
import type { Clock } from "@muster/shared/runtime";
import type { AgentListener, AgentStatus } from "../agents/agent-sessions.ts";
import { ClusterRecord } from "./cluster-record.ts";
import { describeRewound } from "./describe-rewound.ts";
import { type DesiredState, indexResult, type PipelineResult } from "./desired-state.ts";
import { EventLog } from "./event-log.ts";
import { createFleetViews, type FleetState } from "./fleet-views.ts";
import { RevisionLog } from "./revision-log.ts";
import type { ChangeNotice, ConditionView, EventView, FleetQueries, SourceView } from "./views.ts";

/** Options of {@link createFleetStatus}. */
export interface FleetStatusOptions {
  /** Milliseconds without a message after which a cluster is Stale. Default 90 000. */
  readonly leaseMs: number;
  readonly clock: Clock;
}

/** Something that is wrong, as a code and a sentence. */
export interface Problem {
  readonly code: string;
  readonly message: string;
}

/** What the fleet is and how it does: desired state from the pipeline, reported state from the agents, and the questions over both. */
export interface FleetStatus extends FleetQueries, AgentListener {
  record(result: PipelineResult): void;
  recordSource(view: Omit<SourceView, "conditions">, problem: Problem | undefined): void;
  /** Whether NATS can be used. While not, what is published stays in force. */
  recordTransport(problem: Problem | undefined): void;
  event(event: Omit<EventView, "id" | "at">): void;
  facts(cluster: string): ClusterRecord["facts"];
  /** true: its agent is connected and has said that it has taken no slice yet. */
  hasNothing(cluster: string): boolean;
  /** Tells listeners when leases run out; ends with the signal. */
  run(signal: AbortSignal): Promise<void>;
}

/** Kinds of reported events that an operator should look at. */
const WARNINGS = new Set([
  "DriftDetected",
  "DriftFight",
  "DeletionHeld",
  "ApplyFailed",
  "PruneBlocked",
  "SliceRefused",
  "DuplicateAgent",
  "InventoryLost",
  "StateRewound",
  "StateMended",
]);

export function createFleetStatus(options: FleetStatusOptions): FleetStatus {
  const { clock, leaseMs } = options;
  const records = new Map<string, ClusterRecord>();
  const sources = new Map<string, SourceView>();
  const events = new EventLog();
  const revisions = new RevisionLog();
  const listeners = new Set<(notice: ChangeNotice) => void>();
  const state: FleetState & { desired: DesiredState | undefined; transport: ConditionView | undefined } = {
    records,
    sources,
    events,
    revisions,
    desired: undefined,
    transport: undefined,
    leaseMs,
    clock,
  };
  const { freshnessOf, forgetAllBut, ...queries } = createFleetViews(state);

  const now = () => new Date(clock.wallMs()).toISOString();
  const notify = (kind: ChangeNotice["kind"], name: string): void => {
    for (const listener of listeners) listener({ kind, name });
  };
  const recordOf = (cluster: string): ClusterRecord => {
    const known = records.get(cluster);
    if (known) return known;
    const made = new ClusterRecord(cluster);
    records.set(cluster, made);
    return made;
  };
  const event: FleetStatus["event"] = (added) => {
    events.add({ ...added, at: now() });
    notify("event", added.type);
  };

  /** Events for what is wrong since, and for what is right again. */
  function tellTroubles(before: DesiredState | undefined, after: DesiredState): void {
    for (const [key, { condition, event: type, bundle }] of after.troubles) {
      if (!before?.troubles.has(key))
        event({
          type,
          severity: "warning",
          message: `${condition.at ? `${condition.at}: ` : ""}${condition.message} [${condition.reason}]`,
          ...(bundle && { bundle }),
        });
    }
    const solved = [...(before?.troubles ?? [])].filter(([key]) => !after.troubles.has(key));
    for (const [, { condition, bundle }] of solved)
      event({
        type: "Recovered",
        severity: "info",
        message: `No longer: ${condition.message} [${condition.reason}]`,
        ...(bundle && { bundle }),
      });
  }

  function tellEvents(record: ClusterRecord, update: AgentStatus): void {
    const taken = record.takeEvents(update.events.length, clock.monotonicMs());
    for (const { type, message, bundle, object } of update.events.slice(update.events.length - taken)) {
      event({
        type,
        severity: WARNINGS.has(type) ? "warning" : "info",
        cluster: record.name,
        message,
        ...(bundle && { bundle }),
        ...(object && { object: describeObjectRef(object) }),
      });
    }
  }

  return {
    ...queries,
    record(result) {
      const before = state.desired;
      const after = indexResult(result, before, now());
      state.desired = after;
      const { clusters, complete } = after.known;
      forgetAllBut(clusters);
      // Only a model that is complete says that a cluster is gone.
      for (const [name, record] of records) if (complete && !record.connected && !clusters.has(name)) records.delete(name);
      const revision = formatRevision(result.model.commits);
      const isNew =
        result.model.commits.length > 0 &&
        revisions.add({
          revision,
          at: now(),
          subject: result.commit?.subject ?? "",
          author: result.commit?.author ?? "",
          publishedSlices: result.moved,
          problems: result.problems.length + result.model.problems.length,
        });
      tellTroubles(before, after);
      for (const name of clusters.keys()) {
        if (before?.result.slices.get(name) !== result.slices.get(name)) notify("cluster", name);
      }
      if (isNew) notify("revision", revision);
      notify("fleet", "");
    },
    recordSource(view, problem) {
      const [known] = sources.get(view.name)?.conditions ?? [];
      const since = known?.reason === problem?.code ? known?.since : undefined;
      sources.set(view.name, {
        ...view,
        conditions: problem
          ? [{ type: "FetchFailed", status: "True", reason: problem.code, message: problem.message, since: since ?? now() }]
          : [],
      });
      if (problem && known?.reason !== problem.code)
        event({ type: "SourceFailed", severity: "warning", message: `${view.name}: ${problem.message} [${problem.code}]` });
      if (!problem && known) event({ type: "SourceRecovered", severity: "info", message: `${view.name} can be fetched again` });
      if (known?.reason !== problem?.code) notify("fleet", "");
    },
    recordTransport(problem) {
      const known = state.transport;
      state.transport = problem && {
        type: "TransportFailed",
        status: "True",
        reason: problem.code,
        message: problem.message,
        since: known?.reason === problem.code ? known.since : now(),
      };
      if (problem && known?.reason !== problem.code)
        event({ type: "TransportFailed", severity: "warning", message: `${problem.message} [${problem.code}]` });
      if (!problem && known) event({ type: "TransportRecovered", severity: "info", message: "NATS can be used again" });
      if (known?.reason !== problem?.code) notify("fleet", "");
    },
    event,
    facts: (cluster) => records.get(cluster)?.facts,
    hasNothing: (cluster) => records.get(cluster)?.hasNothing ?? false,
    connected(cluster, _instance, facts, highWater: Generation | undefined) {
      const record = recordOf(cluster);
      record.beginSession(facts, highWater, clock.wallMs());
      record.heard(clock.monotonicMs(), clock.wallMs());
      event({
        type: "AgentConnected",
        severity: "info",
        cluster,
        // An agent that has just started may not have asked its API server yet.
        message: `Agent ${facts.agentVersion}${facts.kubernetesVersion && ` on Kubernetes ${facts.kubernetesVersion}`}${highWater ? `, at generation ${highWater.generation}` : ""}`,
      });
      if (record.rewound) event({ type: "StateRewound", severity: "warning", cluster, message: describeRewound(record.rewound) });
      notify("cluster", cluster);
    },
    disconnected(cluster) {
      recordOf(cluster).connected = false;
      event({ type: "AgentDisconnected", severity: "warning", cluster, message: "The agent's stream ended" });
      notify("cluster", cluster);
    },
    duplicate(cluster) {
      event({
        type: "DuplicateAgent",
        severity: "warning",
        cluster,
        message: "Two agents with this cluster's identity connect in turn; one of them must be stopped",
      });
    },
    heard(cluster) {
      recordOf(cluster).heard(clock.monotonicMs(), clock.wallMs());
    },
    status(cluster, update) {
      const record = recordOf(cluster);
      const { report: before, exceptions } = record;
      record.apply(update, clock.wallMs());
      const { report } = record;
      tellEvents(record, update);
      const refused = report?.sliceProblem;
      if (refused && refused.code !== before?.sliceProblem?.code)
        event({ type: "SliceRefused", severity: "warning", cluster, message: `${refused.message} [${refused.code}]` });
      notify("cluster", cluster);
      if (report && report !== before) for (const { bundle } of report.bundles) notify("target", `${bundle}/${cluster}`);
      if (update.exceptions.length + update.cleared.length > 0 || record.exceptions !== exceptions) notify("drift", cluster);
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    async run(signal) {
      while (!signal.aborted) {
        await clock.sleep(Math.min(1_000, leaseMs / 4), signal).catch(() => {});
        for (const record of records.values()) {
          const freshness = freshnessOf(record);
          if (freshness === record.told) continue;
          if (freshness === Freshness.Stale)
            event({
              type: "AgentStale",
              severity: "warning",
              cluster: record.name,
              message: `Nothing was heard for ${Math.round(leaseMs / 1000)} s`,
            });
          record.told = freshness;
          notify("cluster", record.name);
        }
      }
    },
  };
}
