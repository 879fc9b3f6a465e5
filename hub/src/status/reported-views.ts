import { Freshness, Health, SyncState, worstHealth } from "@muster/shared/model";
import type { Target } from "../fleet/model.ts";
import type { ClusterRecord } from "./cluster-record.ts";
import type { DesiredState } from "./desired-state.ts";
import type { ClusterView, ConditionView, TargetView } from "./views.ts";

/**
 * A target as it is: what the hub wants, beside what its agent told. Past the lease everything that was told is old, and Synced
 * is only what the agent has reported for just the digest that the hub wants (I10).
 */
export function viewTarget(target: Target, desired: DesiredState, record: ClusterRecord | undefined, freshness: Freshness): TargetView {
  const cluster = target.cluster.name;
  const bundle = target.bundle.name;
  const report = record?.bundles.get(bundle);
  const entry = desired.bundleIn(cluster, bundle);
  const wanted = entry?.state === "desired" ? entry.manifestSet.digest : undefined;
  const revision = desired.revisionOf(cluster);
  const live = freshness === Freshness.Live;
  const kept =
    entry?.state === "keep"
      ? { reason: entry.reason, message: "what is desired cannot be told; the cluster keeps what it has" }
      : undefined;
  const told = { ...(report?.reason && { reason: report.reason }), ...(report?.message && { message: report.message }) };
  return {
    bundle,
    cluster,
    labels: target.cluster.labels,
    sync: live ? syncOf(entry?.state, report, wanted) : "Unknown",
    health: live ? (report?.health ?? Health.Unknown) : Health.Unknown,
    freshness,
    objects: entry?.state === "desired" ? entry.objects.length : (report?.objects ?? 0),
    drifted: report?.drifted ?? 0,
    failed: report?.failed ?? 0,
    ...(wanted && { desired: wanted }),
    ...(report?.applied && { applied: report.applied }),
    ...(revision && { revision }),
    ...(kept ?? told),
    conditions: desired.targetConditions(bundle, cluster),
  };
}

function syncOf(
  state: "desired" | "keep" | undefined,
  report: { readonly state: SyncState; readonly applied?: string } | undefined,
  wanted: string | undefined,
): TargetView["sync"] {
  // Without a slice there is nothing to be in sync with, whatever the agent says.
  if (state === undefined) return "Unknown";
  const claimed = report?.state ?? SyncState.Progressing;
  if (claimed !== SyncState.Synced) return claimed;
  if (state === "keep") return SyncState.Pending;
  return report?.applied === wanted ? SyncState.Synced : SyncState.Progressing;
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
}

const SYNC_ORDER: readonly SyncState[] = [
  SyncState.Synced,
  SyncState.Paused,
  SyncState.Progressing,
  SyncState.Pending,
  SyncState.OutOfSync,
  SyncState.Failed,
];

/** The worst of a cluster's targets; Synced and Current for none. */
export function foldCluster(views: readonly TargetView[], freshness: Freshness): ClusterFold {
  const { unknown: _, ...targets } = tally(views);
  if (freshness !== Freshness.Live) return { targets, sync: "Unknown", health: Health.Unknown };
  let worst: ClusterView["sync"] = SyncState.Synced;
  for (const { sync } of views) {
    if (sync === "Unknown") return { targets, sync, health: worstHealth(views.map((view) => view.health)) };
    if (SYNC_ORDER.indexOf(sync) > SYNC_ORDER.indexOf(worst)) worst = sync;
  }
  return { targets, sync: worst, health: worstHealth(views.map((view) => view.health)) };
}

/** What is wrong between a cluster and its slice, as its agent says. */
export function reportedConditions(record: ClusterRecord | undefined): ConditionView[] {
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
  return found;
}
