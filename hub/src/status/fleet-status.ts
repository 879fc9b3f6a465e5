import { formatPosition } from "@muster/shared/errors";
import { Freshness, type Generation, Health, type Slice, type SliceBundle, SyncState, describeObjectRef, formatRevision, worstHealth } from "@muster/shared/model";
import type { Clock } from "@muster/shared/runtime";
import type { AgentListener } from "../agents/agent-sessions.ts";
import type { BundleDefinition, FleetModel, Target } from "../fleet/model.ts";
import type { TargetProblem } from "../release/compose-slices.ts";
import type { RenderNotice } from "../render/renderer.ts";
import { ClusterRecord } from "./cluster-record.ts";
import { ConditionDates, EventLog } from "./event-log.ts";
import type {
  BundleView, ChangeNotice, ClusterView, ConditionView, DriftView, EventView, FleetQueries, FleetView, RevisionView, SourceView, TargetDetailView, TargetView,
} from "./views.ts";

/** What a run of the pipeline has found out. */
export interface PipelineResult {
  readonly model: FleetModel;
  readonly problems: readonly TargetProblem[];
  readonly notices: ReadonlyMap<string, readonly RenderNotice[]>;
  /** Slices in force after publishing. */
  readonly slices: ReadonlyMap<string, Slice>;
  readonly moved: number;
  readonly failed: ReadonlyMap<string, { readonly code: string; readonly message: string }>;
  readonly held?: { readonly code: string; readonly message: string };
  readonly commit?: { readonly subject: string; readonly author: string };
}

/** Options of {@link createFleetStatus}. */
export interface FleetStatusOptions {
  /** Milliseconds without a message after which a cluster is Stale. Default 90 000. */
  readonly leaseMs: number;
  readonly clock: Clock;
}

/** What the fleet is and how it does: desired state from the pipeline, reported state from the agents, and the questions over both. */
export interface FleetStatus extends FleetQueries, AgentListener {
  record(result: PipelineResult): void;
  recordSource(view: Omit<SourceView, "conditions">, problem: { readonly code: string; readonly message: string } | undefined): void;
  event(event: Omit<EventView, "id" | "at">): void;
  facts(cluster: string): ClusterRecord["facts"];
  /** Tells listeners when leases run out; ends with the signal. */
  run(signal: AbortSignal): Promise<void>;
}

const MAX_REVISIONS = 100;

export function createFleetStatus(options: FleetStatusOptions): FleetStatus {
  const { clock, leaseMs } = options;
  const records = new Map<string, ClusterRecord>();
  const sources = new Map<string, SourceView>();
  const events = new EventLog();
  const dates = new ConditionDates();
  const listeners = new Set<(notice: ChangeNotice) => void>();
  const revisions: (Omit<RevisionView, "current" | "clusters">)[] = [];
  let result: PipelineResult | undefined;
  /** Per cluster, the targets of the model. */
  let targetsOf = new Map<string, Target[]>();
  let targetsByKey = new Map<string, Target>();
  let problemsOf = new Map<string, TargetProblem[]>();

  const now = () => new Date(clock.wallMs()).toISOString();
  const notify = (kind: ChangeNotice["kind"], name: string) => {
    for (const listener of listeners) listener({ kind, name });
  };
  const recordOf = (cluster: string): ClusterRecord => {
    const known = records.get(cluster);
    if (known) return known;
    const made = new ClusterRecord(cluster);
    records.set(cluster, made);
    return made;
  };
  const condition = (scope: string, type: string, reason: string, message: string, at?: string): ConditionView => ({
    type, status: "True", reason, message, ...(at && { at }), since: dates.since(`${scope}\n${type}\n${reason}\n${message}`, now()),
  });
  const event: FleetStatus["event"] = (added) => {
    events.add({ ...added, at: now() });
    notify("event", added.type);
  };

  function desiredOf(cluster: string, bundle: string): SliceBundle | undefined {
    return result?.slices.get(cluster)?.bundles.find((entry) => entry.name === bundle);
  }

  function targetView(target: Target): TargetView {
    const cluster = target.cluster.name;
    const bundle = target.bundle.name;
    const record = records.get(cluster);
    const freshness = record?.freshness(clock.monotonicMs(), leaseMs) ?? Freshness.Never;
    const report = record?.bundles.get(bundle);
    const desired = desiredOf(cluster, bundle);
    const wanted = desired?.state === "desired" ? desired.manifestSet.digest : undefined;
    const live = freshness === Freshness.Live;
    const conditions = conditionsOf(cluster, bundle);
    // Synced means: just the digest that the hub wants was reported by the agent, lately (I10).
    const claimed = report?.state ?? SyncState.Progressing;
    const outdated = claimed === SyncState.Synced && report?.applied !== wanted;
    const sync = !live ? "Unknown" : outdated ? SyncState.Progressing : claimed;
    const commits = result?.slices.get(cluster)?.commits;
    return {
      bundle, cluster, labels: target.cluster.labels, sync, freshness,
      health: live ? (report?.health ?? Health.Unknown) : Health.Unknown,
      objects: desired?.state === "desired" ? desired.objects.length : (report?.objects ?? 0),
      drifted: report?.drifted ?? 0,
      failed: report?.failed ?? 0,
      ...(wanted && { desired: wanted }),
      ...(report?.applied && { applied: report.applied }),
      ...(commits && { revision: formatRevision(commits) }),
      ...(report?.reason && { reason: report.reason }),
      ...(report?.message && { message: report.message }),
      conditions,
    };
  }

  function conditionsOf(cluster: string, bundle: string): ConditionView[] {
    const key = `${bundle}/${cluster}`;
    const found = (problemsOf.get(key) ?? []).map((problem) => condition(key, "Held", problem.code, problem.message));
    for (const notice of result?.notices.get(key) ?? []) found.push(condition(key, notice.type, notice.type, notice.message));
    return found;
  }

  const isSynced = (view: TargetView) => view.sync === SyncState.Synced;
  const isHealthy = (view: TargetView) => view.health === Health.Current;

  function tally(views: readonly TargetView[]) {
    return {
      total: views.length,
      synced: views.filter(isSynced).length,
      healthy: views.filter(isHealthy).length,
      drifted: views.filter((view) => view.drifted > 0).length,
      failed: views.filter((view) => view.sync === SyncState.Failed || view.conditions.some((entry) => entry.type === "Held")).length,
    };
  }

  function clusterView(name: string): ClusterView | undefined {
    const definition = result?.model.clusters.get(name);
    if (!definition) return undefined;
    const record = records.get(name);
    const freshness = record?.freshness(clock.monotonicMs(), leaseMs) ?? Freshness.Never;
    const live = freshness === Freshness.Live;
    const views = (targetsOf.get(name) ?? []).map(targetView);
    const slice = result?.slices.get(name);
    const conditions: ConditionView[] = [];
    const failure = result?.failed.get(name);
    if (failure) conditions.push(condition(name, "PublishFailed", failure.code, failure.message));
    const problem = record?.report?.sliceProblem;
    if (problem) conditions.push(condition(name, "SliceRefused", problem.code, problem.message));
    const held = record?.report?.heldDeletion;
    if (held) conditions.push(condition(name, "DeletionHeld", "DELETION_HELD", held.message));
    return {
      name, labels: definition.labels, paused: definition.paused, freshness, connected: record?.connected ?? false,
      ...(record?.heardAtMs !== undefined && { lastHeard: new Date(record.heardWallMs).toISOString() }),
      sync: live ? worstSync(views) : "Unknown",
      health: live ? worstHealth(views.map((view) => view.health)) : Health.Unknown,
      targets: tally(views),
      ...(slice && { desiredGeneration: slice.generation, revision: formatRevision(slice.commits) }),
      ...(record?.report?.applied && { appliedGeneration: record.report.applied.generation }),
      ...(record?.facts?.agentVersion && { agentVersion: record.facts.agentVersion }),
      ...(record?.facts?.kubernetesVersion && { kubernetesVersion: record.facts.kubernetesVersion }),
      ...(held && { heldDeletion: held }),
      ...(problem && { sliceProblem: problem }),
      conditions,
    };
  }

  function bundleView(definition: BundleDefinition): BundleView {
    const views = (result?.model.targets ?? []).filter((target) => target.bundle.name === definition.name).map(targetView);
    const conditions = (result?.model.problems ?? [])
      .filter((problem) => problem.scope.kind === "bundle" && problem.scope.name === definition.name)
      .map((problem) => condition(definition.name, "Held", problem.code, problem.message, problem.at && formatPosition(problem.at)));
    for (const entry of new Map(views.flatMap((view) => view.conditions.map((one) => [`${one.reason}${one.message}`, one] as const))).values()) conditions.push(entry);
    return {
      name: definition.name, source: definition.source, directory: definition.directory,
      targets: { ...tally(views), unknown: views.filter((view) => view.sync === "Unknown").length },
      dependsOn: definition.options.dependsOn, driftMode: definition.options.drift.mode, conditions,
    };
  }

  function fleetView(): FleetView {
    const clusters = [...(result?.model.clusters.keys() ?? [])].flatMap((name) => clusterView(name) ?? []);
    const views = (result?.model.targets ?? []).map(targetView);
    const problems = (result?.model.problems ?? []).map((problem) => condition("fleet", "Invalid", problem.code, problem.message, problem.at && formatPosition(problem.at)));
    if (result?.held) problems.push(condition("fleet", "RevisionHeld", result.held.code, result.held.message));
    // One line per thing that is wrong, however many clusters it holds back.
    for (const [text, list] of groupProblems(result?.problems ?? [])) {
      const [first] = list;
      if (first) problems.push(condition("fleet", "Held", first.code, `${text} (${list.length === 1 ? first.cluster : `${list.length} clusters`})`));
    }
    const sourceViews = [...sources.values()];
    const counts = (freshness: Freshness) => clusters.filter((cluster) => cluster.freshness === freshness).length;
    const targets = { ...tally(views), unknown: views.filter((view) => view.sync === "Unknown").length };
    const synced = clusters.filter((cluster) => cluster.sync === SyncState.Synced).length;
    const healthy = clusters.filter((cluster) => cluster.health === Health.Current && cluster.conditions.length === 0).length;
    const sound = problems.length === 0 && sourceViews.every((source) => source.conditions.length === 0) && sourceViews.length > 0;
    return {
      healthy: result !== undefined && sound && synced === clusters.length && healthy === clusters.length && targets.synced === targets.total,
      ...(result && result.model.commits.length > 0 && { revision: formatRevision(result.model.commits) }),
      clusters: { total: clusters.length, live: counts(Freshness.Live), stale: counts(Freshness.Stale), never: counts(Freshness.Never), synced, healthy },
      targets, sources: sourceViews, problems,
    };
  }

  function targetDetail(target: Target): TargetDetailView {
    const record = records.get(target.cluster.name);
    const exceptions = [...(record?.exceptions.values() ?? [])].filter(({ exception }) => exception.bundle === target.bundle.name).map(({ exception }) => exception);
    return {
      ...targetView(target), exceptions, source: target.bundle.source, directory: target.bundle.directory, driftMode: target.bundle.options.drift.mode,
      layers: target.layers.map((layer) => `${formatPosition(layer.at)}`),
    };
  }

  return {
    record(next) {
      result = next;
      targetsOf = new Map();
      targetsByKey = new Map();
      for (const target of next.model.targets) {
        const list = targetsOf.get(target.cluster.name) ?? [];
        list.push(target);
        targetsOf.set(target.cluster.name, list);
        targetsByKey.set(`${target.bundle.name}/${target.cluster.name}`, target);
      }
      problemsOf = new Map();
      for (const problem of next.problems) {
        const key = `${problem.bundle}/${problem.cluster}`;
        problemsOf.set(key, [...(problemsOf.get(key) ?? []), problem]);
      }
      const revision = formatRevision(next.model.commits);
      if (revisions[0]?.revision !== revision && next.model.commits.length > 0) {
        revisions.unshift({
          revision, at: now(), subject: next.commit?.subject ?? "", author: next.commit?.author ?? "", publishedSlices: next.moved,
          problems: next.problems.length + next.model.problems.length,
        });
        revisions.length = Math.min(revisions.length, MAX_REVISIONS);
        notify("revision", revision);
      } else if (revisions[0] && next.moved > 0) revisions[0] = { ...revisions[0], publishedSlices: revisions[0].publishedSlices + next.moved };
      notify("fleet", "");
    },
    recordSource(view, problem) {
      const before = sources.get(view.name);
      const conditions = problem ? [condition(`source ${view.name}`, "FetchFailed", problem.code, problem.message)] : [];
      sources.set(view.name, { ...view, conditions });
      if (problem && before?.conditions[0]?.reason !== problem.code) event({ type: "SourceFailed", severity: "warning", message: `${view.name}: ${problem.message} [${problem.code}]` });
      if (!problem && (before?.conditions.length ?? 0) > 0) event({ type: "SourceRecovered", severity: "info", message: `${view.name} can be fetched again` });
    },
    event,
    facts: (cluster) => records.get(cluster)?.facts,
    connected(cluster, _instance, facts, highWater: Generation | undefined) {
      const record = recordOf(cluster);
      record.connected = true;
      record.facts = facts;
      record.heard(clock.monotonicMs(), clock.wallMs());
      event({ type: "AgentConnected", severity: "info", cluster, message: `Agent ${facts.agentVersion} on Kubernetes ${facts.kubernetesVersion}${highWater ? `, at generation ${highWater.generation}` : ""}` });
      notify("cluster", cluster);
    },
    disconnected(cluster) {
      recordOf(cluster).connected = false;
      event({ type: "AgentDisconnected", severity: "warning", cluster, message: "The agent's stream ended" });
      notify("cluster", cluster);
    },
    heard(cluster) {
      recordOf(cluster).heard(clock.monotonicMs(), clock.wallMs());
    },
    status(cluster, update) {
      const record = recordOf(cluster);
      const problem = record.report?.sliceProblem?.code;
      record.apply(update, clock.wallMs());
      for (const reported of update.events) {
        const severity = /^(DriftDetected|DeletionHeld)$/.test(reported.type) ? "warning" : "info";
        events.add({ at: now(), type: reported.type, severity, cluster, message: reported.message, ...(reported.bundle && { bundle: reported.bundle }), ...(reported.object && { object: describeObjectRef(reported.object) }) });
        notify("event", reported.type);
      }
      const refused = update.report?.sliceProblem;
      if (refused && refused.code !== problem) event({ type: "SliceRefused", severity: "warning", cluster, message: `${refused.message} [${refused.code}]` });
      notify("cluster", cluster);
      for (const bundle of record.bundles.keys()) notify("target", `${bundle}/${cluster}`);
      if (update.exceptions.length + update.cleared.length > 0) notify("drift", cluster);
    },
    fleet: fleetView,
    clusters: () => [...(result?.model.clusters.keys() ?? [])].sort().flatMap((name) => clusterView(name) ?? []),
    cluster: clusterView,
    bundles: () => [...(result?.model.bundles.values() ?? [])].sort((a, b) => (a.name < b.name ? -1 : 1)).map(bundleView),
    bundle: (name) => {
      const found = result?.model.bundles.get(name);
      return found && bundleView(found);
    },
    targets: ({ cluster, bundle } = {}) =>
      (cluster ? (targetsOf.get(cluster) ?? []) : (result?.model.targets ?? [])).filter((target) => !bundle || target.bundle.name === bundle).map(targetView),
    target: (bundle, cluster) => {
      const found = targetsByKey.get(`${bundle}/${cluster}`);
      return found && targetDetail(found);
    },
    drift() {
      const found: DriftView[] = [];
      for (const record of records.values()) {
        const labels = result?.model.clusters.get(record.name)?.labels;
        if (!labels) continue;
        const freshness = record.freshness(clock.monotonicMs(), leaseMs);
        for (const { exception, sinceMs } of record.exceptions.values()) {
          if (exception.drift) found.push({ ...exception, cluster: record.name, labels, freshness, since: new Date(sinceMs).toISOString() });
        }
      }
      return found;
    },
    revisions: () =>
      revisions.map((revision, index) => {
        const clusters = [...(result?.slices ?? [])].filter(([, slice]) => formatRevision(slice.commits) === revision.revision);
        const applied = clusters.filter(([name, slice]) => records.get(name)?.report?.applied?.generation === slice.generation).length;
        return { ...revision, current: index === 0, clusters: { total: clusters.length, applied } };
      }),
    events: () => events.all(),
    subscribe(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    async run(signal) {
      while (!signal.aborted) {
        await clock.sleep(Math.min(1_000, leaseMs / 4), signal).catch(() => {});
        for (const record of records.values()) {
          const freshness = record.freshness(clock.monotonicMs(), leaseMs);
          if (freshness === record.told) continue;
          if (freshness === Freshness.Stale) event({ type: "AgentStale", severity: "warning", cluster: record.name, message: `Nothing was heard for ${Math.round(leaseMs / 1000)} s` });
          record.told = freshness;
          notify("cluster", record.name);
        }
      }
    },
  };
}

/** The worst of a cluster's targets; Synced for none. */
function worstSync(views: readonly TargetView[]): SyncState {
  const order: readonly SyncState[] = [SyncState.Synced, SyncState.Paused, SyncState.Progressing, SyncState.Pending, SyncState.OutOfSync, SyncState.Failed];
  let worst: SyncState = SyncState.Synced;
  for (const view of views) {
    const state = view.sync === "Unknown" ? SyncState.Progressing : view.sync;
    if (order.indexOf(state) > order.indexOf(worst)) worst = state;
  }
  return worst;
}

function groupProblems(problems: readonly TargetProblem[]): Map<string, TargetProblem[]> {
  const groups = new Map<string, TargetProblem[]>();
  for (const problem of problems) {
    const text = `${problem.bundle}: ${problem.message}`;
    groups.set(text, [...(groups.get(text) ?? []), problem]);
  }
  return groups;
}
