/** kstatus, as sigs.k8s.io/cli-utils defines it, plus NotFound. */
export const Health = {
  /** The object's controller has done all that its spec asks. */
  Current: "Current",
  /** The controller is working on it. */
  InProgress: "InProgress",
  /** The controller has failed or given up. */
  Failed: "Failed",
  /** Deletion was asked for; finalizers are outstanding. */
  Terminating: "Terminating",
  /** Desired, but not in the cluster. */
  NotFound: "NotFound",
  /** Could not be told. */
  Unknown: "Unknown",
} as const;
export type Health = (typeof Health)[keyof typeof Health];

/** Worst last. The one place that orders health. */
const ORDER: readonly Health[] = [Health.Current, Health.InProgress, Health.Terminating, Health.Unknown, Health.NotFound, Health.Failed];

/** The worst of many; Current for none (an empty set waits for nothing). */
export function worstHealth(all: Iterable<Health>): Health {
  let worst: Health = Health.Current;
  for (const health of all) if (ORDER.indexOf(health) > ORDER.indexOf(worst)) worst = health;
  return worst;
}

/** Whether the hub has heard lately. */
export const Freshness = {
  /** Within the lease. */
  Live: "Live",
  /** Past the lease: everything known of the cluster is old, and never shown as healthy. */
  Stale: "Stale",
  /** No agent of this cluster was ever heard by this hub. */
  Never: "Never",
} as const;
export type Freshness = (typeof Freshness)[keyof typeof Freshness];

/** What an apply did to one object. */
export const Action = {
  Created: "created",
  Configured: "configured",
  Unchanged: "unchanged",
  Deleted: "deleted",
  Skipped: "skipped",
  Failed: "failed",
} as const;
export type Action = (typeof Action)[keyof typeof Action];

/** How live differs from desired. */
export const DriftKind = {
  /** A field that we own has another value. */
  Modified: "modified",
  /** The object is gone. */
  Missing: "missing",
  /** A foreign object stands where ours should be. */
  Unexpected: "unexpected",
} as const;
export type DriftKind = (typeof DriftKind)[keyof typeof DriftKind];
