import {
  type BundleReport,
  compareGenerations,
  Freshness,
  type Generation,
  Health,
  type SliceBundle,
  SyncState,
  worstHealth,
} from "@muster/shared/model";
import type { ClusterRecord } from "./cluster-record.ts";
import { describeRewound } from "./describe-rewound.ts";
import type { DesiredState } from "./desired-state.ts";
import type { KnownTarget } from "./known-fleet.ts";
import { pruneState } from "./prune-conditions.ts";
import type { ClusterView, ConditionView, TargetView } from "./views.ts";

/**
 * A target as it is: what the hub wants, beside what its agent told. Past the lease everything that was told is old, and Synced
 * is only what the agent has reported for just the slice and the digest that the hub wants (I10).
 */
export function viewTarget(
  target: KnownTarget,
  desired: DesiredState,
  record: ClusterRecord | undefined,
  freshness: Freshness,
): TargetView {
  const cluster = target.cluster.name;
  const bundle = target.bundle.name;
  const report = record?.bundles.get(bundle);
  const entry = desired.bundleIn(cluster, bundle);
  const wanted = entry?.state === "desired" ? entry.manifestSet.digest : undefined;
  const revision = desired.revisionOf(cluster);
  const told = isTold(record, freshness);
  const kept =
    entry?.state === "keep"
      ? { reason: entry.reason, message: "what is desired cannot be told; the cluster keeps what it has" }
      : undefined;
  const why = { ...(report?.reason && { reason: report.reason }), ...(report?.message && { message: report.message }) };
  return {
    bundle,
    cluster,
    labels: target.cluster.labels,
    sync: told ? syncOf(entry, report, isSeen(record, desired)) : "Unknown",
    health: told ? (report?.health ?? Health.Unknown) : Health.Unknown,
    freshness,
    objects: entry?.state === "desired" ? entry.objects.length : (report?.objects ?? 0),
    drifted: report?.drifted ?? 0,
    failed: report?.failed ?? 0,
    ...(wanted && { desired: wanted }),
    ...(report?.applied && { applied: report.applied }),
    ...(revision && { revision }),
    ...(kept ?? why),
    ...(told && report?.blockedBy && { blockedBy: report.blockedBy }),
    conditions: desired.targetConditions(bundle, cluster),
  };
}

/** true if what the agent has told can be gone by: it lives, and has told everything since its Hello. */
function isTold(record: ClusterRecord | undefined, freshness: Freshness): record is ClusterRecord & { readonly report: object } {
  return freshness === Freshness.Live && record?.confirmed === true && record.report !== undefined;
}

/** true if the agent goes by the slice in force. A slice moves only with its content, so no other cluster's commit disturbs this. */
function isSeen({ name, report }: ClusterRecord, { result }: DesiredState): boolean {
  return isSame(report?.seen, result.slices.get(name));
}

/** A cluster that never had a bundle has no slice, and its agent has seen none. */
function isSame(one: Generation | undefined, other: Generation | undefined): boolean {
  return one && other ? compareGenerations(one, other) === 0 : one === other;
}

function syncOf(entry: SliceBundle | undefined, report: BundleReport | undefined, seen: boolean): TargetView["sync"] {
  // Without a slice there is nothing to be in sync with, whatever the agent says.
  if (entry === undefined) return "Unknown";
  const claimed = report?.state ?? SyncState.Progressing;
  // Even with the same content the options may be others, or a pause; what is worse than that is so all the same.
  if (!seen) return worseSync(claimed, SyncState.Progressing);
  if (claimed !== SyncState.Synced) return claimed;
  if (entry.state === "keep") return SyncState.Pending;
  return report?.applied === entry.manifestSet.digest ? SyncState.Synced : SyncState.Progressing;
}

/** Counts over targets. */
export interface Tally {
  readonly total: number;
  readonly synced: number;
  readonly healthy: number;
  readonly drifted: number;
  readonly failed: number;
  readonly unknown: number;
}

export function tally(views: Iterable<TargetView>): Tally {
  const counts = { total: 0, synced: 0, healthy: 0, drifted: 0, failed: 0, unknown: 0 };
  for (const view of views) {
    counts.total += 1;
    if (view.sync === SyncState.Synced) counts.synced += 1;
    if (view.health === Health.Current) counts.healthy += 1;
    if (view.drifted > 0) counts.drifted += 1;
    if (view.sync === SyncState.Failed || view.conditions.some((condition) => condition.type === "Held")) counts.failed += 1;
    if (view.sync === "Unknown") counts.unknown += 1;
  }
  return counts;
}

/** A cluster over all of its targets. */
export interface ClusterFold {
  readonly targets: ClusterView["targets"];
  readonly sync: ClusterView["sync"];
  readonly health: Health;
  /** As the agent says. */
  readonly conditions: readonly ConditionView[];
}

const SYNC_ORDER: readonly SyncState[] = [
  SyncState.Synced,
  SyncState.Paused,
  SyncState.Progressing,
  SyncState.Pending,
  SyncState.OutOfSync,
  SyncState.Failed,
];

function worseSync(a: SyncState, b: SyncState): SyncState {
  return SYNC_ORDER.indexOf(a) > SYNC_ORDER.indexOf(b) ? a : b;
}

/**
 * The worst of a cluster's targets, and of what no target shows: that the agent has not seen the slice in force or has not done
 * with it, and objects that left Git and are still there.
 */
export function foldCluster(
  views: readonly TargetView[],
  desired: DesiredState,
  record: ClusterRecord | undefined,
  freshness: Freshness,
): ClusterFold {
  const { unknown, ...targets } = tally(views);
  const prune = record && pruneState(record, desired);
  const conditions = [...reportedConditions(record), ...(prune?.conditions ?? [])];
  if (!isTold(record, freshness)) return { targets, sync: "Unknown", health: Health.Unknown, conditions };
  const health = worstHealth(views.map((view) => view.health));
  if (unknown > 0) return { targets, sync: "Unknown", health, conditions };
  const isDone = isSeen(record, desired) && isSame(record.report.applied, desired.result.slices.get(record.name));
  let sync = prune?.sync ?? SyncState.Synced;
  // What is held may go or may come back: either way the cluster is not as Git says yet.
  if (record.report.heldDeletion) sync = worseSync(sync, SyncState.Pending);
  for (const view of views) if (view.sync !== "Unknown") sync = worseSync(sync, view.sync);
  // A slice that waits, fails or is paused is not applied either, and says more.
  if (!isDone && sync === SyncState.Synced) sync = SyncState.Progressing;
  return { targets, sync, health, conditions };
}

/** Conditions of a cluster that are worth knowing and make nothing unhealthy. */
const REMARKS: ReadonlySet<string> = new Set(["PruneProtected", "Pruning", "Retained", "ExceptionsCut", "StateRewound"]);

/** true if somebody has to do something about it. */
export function isTrouble({ type, status }: ConditionView): boolean {
  return status === "True" && !REMARKS.has(type);
}

/** What is wrong between a cluster and its slice, as its agent says. */
function reportedConditions(record: ClusterRecord | undefined): ConditionView[] {
  const found: ConditionView[] = [];
  const problem = record?.report?.sliceProblem;
  const held = record?.report?.heldDeletion;
  if (problem && record)
    found.push({
      type: "SliceRefused",
      status: "True",
      reason: problem.code,
      message: problem.message,
      since: new Date(record.problemSinceMs).toISOString(),
    });
  if (held && record)
    found.push({
      type: "DeletionHeld",
      status: "True",
      reason: "DELETION_HELD",
      message: held.message,
      since: new Date(record.heldSinceMs).toISOString(),
    });
  if (record?.rewound)
    found.push({
      type: "StateRewound",
      status: "True",
      reason: "AGENT_STATE_REWOUND",
      message: describeRewound(record.rewound),
      since: new Date(record.rewound.sinceMs).toISOString(),
    });
  if (record && record.exceptions.leftOut > 0)
    found.push({
      type: "ExceptionsCut",
      status: "True",
      reason: "TooMany",
      message: `about ${record.exceptions.leftOut} more objects are not in order than the hub keeps of one cluster; all are counted, not all are listed`,
      since: new Date(record.cutSinceMs).toISOString(),
    });
  return found;
}
