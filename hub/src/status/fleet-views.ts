import { Freshness, formatRevision, Health, SyncState } from "@muster/shared/model";
import type { Clock } from "@muster/shared/runtime";
import type { ClusterRecord } from "./cluster-record.ts";
import type { DesiredState } from "./desired-state.ts";
import type { EventLog } from "./event-log.ts";
import type { KnownTarget } from "./known-fleet.ts";
import { ownershipOf } from "./ownership-view.ts";
import { type ClusterFold, foldCluster, isTrouble, tally, viewTarget } from "./reported-views.ts";
import type { RevisionLog } from "./revision-log.ts";
import type {
  BundleView,
  ClusterView,
  ConditionView,
  DriftView,
  FleetQueries,
  FleetView,
  SourceView,
  TargetDetailView,
  TargetView,
} from "./views.ts";

/** What a bundle waits for is told of up to here, over all of its clusters. */
const MAX_BLOCKERS = 20;

/** What the answers are made of. All of it changes while the hub runs; nothing is changed here. */
export interface FleetState {
  readonly records: ReadonlyMap<string, ClusterRecord>;
  readonly sources: ReadonlyMap<string, SourceView>;
  readonly events: EventLog;
  readonly revisions: RevisionLog;
  /** undefined until the pipeline has told of a first result. */
  readonly desired: DesiredState | undefined;
  /** Why NATS cannot be used, if it cannot. */
  readonly transport: ConditionView | undefined;
  /** Milliseconds without a message after which a cluster is Stale. */
  readonly leaseMs: number;
  readonly clock: Clock;
}

/** Answers of {@link FleetQueries} but for the subscription. */
export interface FleetViews extends Omit<FleetQueries, "subscribe"> {
  freshnessOf(record: ClusterRecord | undefined): Freshness;
  /** Forgets what was remembered of clusters that are gone. */
  forgetAllBut(clusters: { has(name: string): boolean }): void;
}

interface Cached<T> {
  readonly desired: DesiredState;
  readonly version: number;
  readonly freshness: Freshness;
  readonly value: T;
}

/** Answers the operators' questions from desired and reported state. */
export function createFleetViews(fleet: FleetState): FleetViews {
  const { records, sources, events, revisions, clock, leaseMs } = fleet;
  const targetViews = new WeakMap<KnownTarget, Cached<TargetView>>();
  const folds = new Map<string, Cached<ClusterFold>>();
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

  function targetView(target: KnownTarget, state: DesiredState, record: ClusterRecord | undefined, freshness: Freshness): TargetView {
    const entry = cached(targetViews.get(target), record, freshness, state, () => viewTarget(target, state, record, freshness));
    targetViews.set(target, entry);
    return entry.value;
  }

  function viewsOf(targets: readonly KnownTarget[], state: DesiredState): TargetView[] {
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
    const definition = fleet.desired?.known.clusters.get(name);
    if (!definition || !fleet.desired) return undefined;
    const state = fleet.desired;
    const record = records.get(name);
    const freshness = freshnessOf(record);
    const fold = cached(folds.get(name), record, freshness, state, () =>
      foldCluster(viewsOf(state.targetsOfCluster.get(name) ?? [], state), state, record, freshness),
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
      conditions: [...state.clusterConditions(name), ...fold.value.conditions],
    };
  }

  function bundleView(name: string): BundleView | undefined {
    const definition = fleet.desired?.known.bundles.get(name);
    if (!definition || !fleet.desired) return undefined;
    const targets = viewsOf(fleet.desired.targetsOfBundle.get(name) ?? [], fleet.desired);
    const blockedBy = [...new Set(targets.flatMap((target) => target.blockedBy ?? []))].sort();
    return {
      name,
      source: definition.source,
      directory: definition.directory,
      targets: tally(targets),
      dependsOn: definition.options.dependsOn,
      ...(blockedBy.length > 0 && { blockedBy: blockedBy.slice(0, MAX_BLOCKERS) }),
      driftMode: definition.options.drift.mode,
      ...ownershipOf(definition.options),
      conditions: fleet.desired.bundleConditions(name),
    };
  }

  function fleetView(): FleetView {
    const clusters = clusterNames().flatMap((name) => clusterView(name) ?? []);
    const targets = tally(fleet.desired ? viewsOf(fleet.desired.known.targets, fleet.desired) : []);
    const problems = [...(fleet.desired?.troubles.values() ?? [])].map(({ condition }) => condition);
    if (fleet.transport) problems.push(fleet.transport);
    const sourceViews = [...sources.values()];
    const count = (holds: (cluster: ClusterView) => boolean) => clusters.filter(holds).length;
    // What is desired of a cluster whose document is held is not known: it is in sync with what was desired before.
    const synced = count((cluster) => cluster.sync === SyncState.Synced && !cluster.conditions.some(({ type }) => type === "Held"));
    const healthy = count((cluster) => cluster.health === Health.Current && !cluster.conditions.some(isTrouble));
    const sound = problems.length === 0 && sourceViews.length > 0 && sourceViews.every((source) => source.conditions.length === 0);
    const commits = fleet.desired?.result.model.commits ?? [];
    return {
      healthy:
        fleet.desired !== undefined &&
        sound &&
        synced === clusters.length &&
        healthy === clusters.length &&
        targets.synced === targets.total,
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
    return [...(fleet.desired?.known.clusters.keys() ?? [])].sort();
  }

  function targetDetail(target: KnownTarget, state: DesiredState): TargetDetailView {
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
      ...ownershipOf(bundle.options),
    };
  }

  return {
    freshnessOf,
    forgetAllBut(clusters) {
      for (const name of folds.keys()) if (!clusters.has(name)) folds.delete(name);
    },
    fleet: fleetView,
    clusters: () => clusterNames().flatMap((name) => clusterView(name) ?? []),
    cluster: clusterView,
    bundles: () => [...(fleet.desired?.known.bundles.keys() ?? [])].sort().flatMap((name) => bundleView(name) ?? []),
    bundle: bundleView,
    targets({ cluster, bundle } = {}) {
      if (!fleet.desired) return [];
      const among = cluster
        ? fleet.desired.targetsOfCluster.get(cluster)
        : bundle
          ? fleet.desired.targetsOfBundle.get(bundle)
          : fleet.desired.known.targets;
      return viewsOf(
        (among ?? []).filter((target) => !bundle || target.bundle.name === bundle),
        fleet.desired,
      );
    },
    target(bundle, cluster) {
      const found = fleet.desired?.known.target.get(`${bundle}/${cluster}`);
      return found && fleet.desired && targetDetail(found, fleet.desired);
    },
    drift() {
      const found: DriftView[] = [];
      for (const record of records.values()) {
        const labels = fleet.desired?.known.clusters.get(record.name)?.labels;
        if (!labels) continue;
        const freshness = freshnessOf(record);
        for (const { exception, sinceMs } of record.exceptions.values()) {
          if (exception.drift)
            found.push({ ...exception, cluster: record.name, labels, freshness, since: new Date(sinceMs).toISOString() });
        }
      }
      return found;
    },
    revisions: () => revisions.views(fleet.desired?.result.slices ?? new Map(), (cluster) => records.get(cluster)?.report?.applied),
    events: () => events.all(),
  };
}
