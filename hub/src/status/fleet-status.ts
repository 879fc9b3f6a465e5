import { describeObjectRef, Freshness, formatRevision, type Generation, Health, SyncState } from "@muster/shared/model";
import type { Clock } from "@muster/shared/runtime";
import type { AgentListener, AgentStatus } from "../agents/agent-sessions.ts";
import type { Target } from "../fleet/model.ts";
import { ClusterRecord } from "./cluster-record.ts";
import { type DesiredState, indexResult, type PipelineResult } from "./desired-state.ts";
import { EventLog } from "./event-log.ts";
import { type ClusterFold, foldCluster, reportedConditions, tally, viewTarget } from "./reported-views.ts";
import { RevisionLog } from "./revision-log.ts";
import type {
  BundleView,
  ChangeNotice,
  ClusterView,
  ConditionView,
  DriftView,
  EventView,
  FleetQueries,
  FleetView,
  SourceView,
  TargetDetailView,
  TargetView,
} from "./views.ts";

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
  /** Tells listeners when leases run out; ends with the signal. */
  run(signal: AbortSignal): Promise<void>;
}

interface Cached<T> {
  readonly desired: DesiredState;
  readonly version: number;
  readonly freshness: Freshness;
  readonly value: T;
}

/** Kinds of reported events that an operator should look at. */
const WARNINGS = new Set(["DriftDetected", "DeletionHeld", "ApplyFailed", "PruneBlocked", "SliceRefused"]);

export function createFleetStatus(options: FleetStatusOptions): FleetStatus {
  const { clock, leaseMs } = options;
  const records = new Map<string, ClusterRecord>();
  const sources = new Map<string, SourceView>();
  const events = new EventLog();
  const revisions = new RevisionLog();
  const listeners = new Set<(notice: ChangeNotice) => void>();
  const targetViews = new WeakMap<Target, Cached<TargetView>>();
  const folds = new Map<string, Cached<ClusterFold>>();
  let desired: DesiredState | undefined;
  let transport: ConditionView | undefined;

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
  const freshnessOf = (record: ClusterRecord | undefined): Freshness => record?.freshness(clock.monotonicMs(), leaseMs) ?? Freshness.Never;

  /** A view is made anew only when what it shows has changed: a page of 10,000 targets costs comparisons, not objects. */
  function cached<T>(
    known: Cached<T> | undefined,
    record: ClusterRecord | undefined,
    freshness: Freshness,
    state: DesiredState,
    make: () => T,
  ): Cached<T> {
    const version = record?.version ?? -1;
    if (known && known.desired === state && known.version === version && known.freshness === freshness) return known;
    return { desired: state, version, freshness, value: make() };
  }

  function targetView(target: Target, state: DesiredState, record: ClusterRecord | undefined, freshness: Freshness): TargetView {
    const entry = cached(targetViews.get(target), record, freshness, state, () => viewTarget(target, state, record, freshness));
    targetViews.set(target, entry);
    return entry.value;
  }

  function viewsOf(targets: readonly Target[], state: DesiredState): TargetView[] {
    let name: string | undefined;
    let record: ClusterRecord | undefined;
    let freshness: Freshness = Freshness.Never;
    return targets.map((target) => {
      // Targets are sorted by cluster, so this is once per cluster.
      if (target.cluster.name !== name) {
        name = target.cluster.name;
        record = records.get(name);
        freshness = freshnessOf(record);
      }
      return targetView(target, state, record, freshness);
    });
  }

  function clusterView(name: string): ClusterView | undefined {
    const definition = desired?.result.model.clusters.get(name);
    if (!definition || !desired) return undefined;
    const state = desired;
    const record = records.get(name);
    const freshness = freshnessOf(record);
    const fold = cached(folds.get(name), record, freshness, state, () =>
      foldCluster(viewsOf(state.targetsOfCluster.get(name) ?? [], state), freshness),
    );
    folds.set(name, fold);
    const slice = state.result.slices.get(name);
    const revision = state.revisionOf(name);
    const report = record?.report;
    return {
      name,
      labels: definition.labels,
      paused: definition.paused,
      freshness,
      connected: record?.connected ?? false,
      ...(record?.heardAtMs !== undefined && { lastHeard: new Date(record.heardWallMs).toISOString() }),
      ...fold.value,
      ...(slice && { desiredGeneration: slice.generation }),
      ...(revision && { revision }),
      ...(report?.applied && { appliedGeneration: report.applied.generation }),
      ...(record?.facts?.agentVersion && { agentVersion: record.facts.agentVersion }),
      ...(record?.facts?.kubernetesVersion && { kubernetesVersion: record.facts.kubernetesVersion }),
      ...(report?.heldDeletion && { heldDeletion: report.heldDeletion }),
      ...(report?.sliceProblem && { sliceProblem: report.sliceProblem }),
      conditions: [...state.clusterConditions(name), ...reportedConditions(record)],
    };
  }

  function bundleView(name: string): BundleView | undefined {
    const definition = desired?.result.model.bundles.get(name);
    if (!definition || !desired) return undefined;
    return {
      name,
      source: definition.source,
      directory: definition.directory,
      targets: tally(viewsOf(desired.targetsOfBundle.get(name) ?? [], desired)),
      dependsOn: definition.options.dependsOn,
      driftMode: definition.options.drift.mode,
      conditions: desired.bundleConditions(name),
    };
  }

  function fleetView(): FleetView {
    const clusters = clusterNames().flatMap((name) => clusterView(name) ?? []);
    const targets = tally(desired ? viewsOf(desired.result.model.targets, desired) : []);
    const problems = [...(desired?.troubles.values() ?? [])].map(({ condition }) => condition);
    if (transport) problems.push(transport);
    const sourceViews = [...sources.values()];
    const count = (holds: (cluster: ClusterView) => boolean) => clusters.filter(holds).length;
    const synced = count((cluster) => cluster.sync === SyncState.Synced);
    const healthy = count((cluster) => cluster.health === Health.Current && cluster.conditions.length === 0);
    const sound = problems.length === 0 && sourceViews.length > 0 && sourceViews.every((source) => source.conditions.length === 0);
    const commits = desired?.result.model.commits ?? [];
    return {
      healthy:
        desired !== undefined && sound && synced === clusters.length && healthy === clusters.length && targets.synced === targets.total,
      ...(commits.length > 0 && { revision: formatRevision(commits) }),
      clusters: {
        total: clusters.length,
        live: count((cluster) => cluster.freshness === Freshness.Live),
        stale: count((cluster) => cluster.freshness === Freshness.Stale),
        never: count((cluster) => cluster.freshness === Freshness.Never),
        synced,
        healthy,
      },
      targets,
      sources: sourceViews,
      problems,
    };
  }

  function clusterNames(): string[] {
    return [...(desired?.result.model.clusters.keys() ?? [])].sort();
  }

  function targetDetail(target: Target, state: DesiredState): TargetDetailView {
    const { cluster, bundle, layers } = target;
    const record = records.get(cluster.name);
    const exceptions = [...(record?.exceptions.values() ?? [])]
      .map(({ exception }) => exception)
      .filter((exception) => exception.bundle === bundle.name);
    return {
      ...targetView(target, state, record, freshnessOf(record)),
      exceptions,
      source: bundle.source,
      directory: bundle.directory,
      layers: layers.map((layer) => `${layer.at.file}${layer.at.line === undefined ? "" : `:${layer.at.line}`}`),
      driftMode: bundle.options.drift.mode,
    };
  }

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
    record(result) {
      const before = desired;
      const after = indexResult(result, before, now());
      desired = after;
      for (const name of folds.keys()) if (!result.model.clusters.has(name)) folds.delete(name);
      for (const [name, record] of records)
        if (!record.connected && !result.model.clusters.has(name) && !result.model.heldClusters.has(name)) records.delete(name);
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
      for (const name of result.model.clusters.keys()) {
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
      const known = transport;
      transport = problem && {
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
    connected(cluster, _instance, facts, highWater: Generation | undefined) {
      const record = recordOf(cluster);
      record.connected = true;
      record.takeFacts(facts);
      record.version += 1;
      record.heard(clock.monotonicMs(), clock.wallMs());
      event({
        type: "AgentConnected",
        severity: "info",
        cluster,
        message: `Agent ${facts.agentVersion} on Kubernetes ${facts.kubernetesVersion}${highWater ? `, at generation ${highWater.generation}` : ""}`,
      });
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
      const problem = record.report?.sliceProblem?.code;
      record.apply(update, clock.wallMs());
      tellEvents(record, update);
      const refused = update.report?.sliceProblem;
      if (refused && refused.code !== problem)
        event({ type: "SliceRefused", severity: "warning", cluster, message: `${refused.message} [${refused.code}]` });
      notify("cluster", cluster);
      if (update.report) for (const { bundle } of update.report.bundles) notify("target", `${bundle}/${cluster}`);
      if (update.exceptions.length + update.cleared.length > 0 || update.restart) notify("drift", cluster);
    },
    fleet: fleetView,
    clusters: () => clusterNames().flatMap((name) => clusterView(name) ?? []),
    cluster: clusterView,
    bundles: () => [...(desired?.result.model.bundles.keys() ?? [])].sort().flatMap((name) => bundleView(name) ?? []),
    bundle: bundleView,
    targets({ cluster, bundle } = {}) {
      if (!desired) return [];
      const among = cluster
        ? desired.targetsOfCluster.get(cluster)
        : bundle
          ? desired.targetsOfBundle.get(bundle)
          : desired.result.model.targets;
      return viewsOf(
        (among ?? []).filter((target) => !bundle || target.bundle.name === bundle),
        desired,
      );
    },
    target(bundle, cluster) {
      const found = desired?.target.get(`${bundle}/${cluster}`);
      return found && desired && targetDetail(found, desired);
    },
    drift() {
      const found: DriftView[] = [];
      for (const record of records.values()) {
        const labels = desired?.result.model.clusters.get(record.name)?.labels;
        if (!labels) continue;
        const freshness = freshnessOf(record);
        for (const { exception, sinceMs } of record.exceptions.values()) {
          if (exception.drift)
            found.push({ ...exception, cluster: record.name, labels, freshness, since: new Date(sinceMs).toISOString() });
        }
      }
      return found;
    },
    revisions: () => revisions.views(desired?.result.slices ?? new Map(), (cluster) => records.get(cluster)?.report?.applied?.generation),
    events: () => events.all(),
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
