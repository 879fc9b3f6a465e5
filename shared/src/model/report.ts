import type { DriftKind, Health } from "./health.ts";
import type { ObjectRef } from "./object-ref.ts";
import type { Digest, Generation } from "./slice.ts";

/** Where a bundle of one cluster stands, as its agent sees it. */
export const SyncState = {
  /** Every object of the slice was applied and none has drifted. */
  Synced: "Synced",
  /** Being applied, or waiting to be. */
  Progressing: "Progressing",
  /** Waits for a bundle that it depends on, for a kind to appear, or for a person. */
  Pending: "Pending",
  /** At least one object has drifted and is not (yet) corrected. */
  OutOfSync: "OutOfSync",
  /** At least one object could not be applied or pruned. */
  Failed: "Failed",
  /** Paused in Git. */
  Paused: "Paused",
} as const;
export type SyncState = (typeof SyncState)[keyof typeof SyncState];

/** Who changed what, from managedFields of the live object. */
export interface DriftDetail {
  readonly kind: DriftKind;
  /** Field manager of the change, if known: `kubectl-edit`. */
  readonly manager?: string;
  /** RFC 3339, by the cluster's clock, if known. */
  readonly at?: string;
  /** Paths for people, for example `.spec.replicas`. At most 20. */
  readonly paths: readonly string[];
  /** Values of the first of them, at most 10. Absent where the agent is to tell none, and where there are none. */
  readonly fields?: readonly FieldChange[];
}

/** One field that differs. Values are JSON of at most 120 characters, `…` where they are cut, and masked where they may be secret. */
export interface FieldChange {
  /** One of the drift's `paths`. */
  readonly path: string;
  /** As Git has it; absent: not at all, or in another form. */
  readonly wanted?: string;
  /** As it is; absent: not at all. */
  readonly got?: string;
  /** Who changed this one and when, where it was not as with the drift as a whole. */
  readonly manager?: string;
  readonly at?: string;
}

/** Another field manager that owns fields of ours, too. */
export interface FieldOwner {
  readonly manager: string;
  /** A few of them, for people. */
  readonly paths: readonly string[];
}

/** An object that is not plainly healthy and in sync. Healthy ones are only counted. */
export interface ObjectException {
  readonly ref: ObjectRef;
  readonly bundle: string;
  readonly health: Health;
  /** Error code if the object could not be applied, pruned or read. */
  readonly code?: string;
  /** For people; no values of Secrets. */
  readonly message?: string;
  readonly drift?: DriftDetail;
}

/** Summary of one bundle in one cluster. */
export interface BundleReport {
  readonly bundle: string;
  readonly state: SyncState;
  readonly health: Health;
  /** The manifest set that was last applied completely; absent if none was. */
  readonly applied?: Digest;
  readonly objects: number;
  readonly drifted: number;
  readonly failed: number;
  /** Error code or short reason, if the state is not Synced. */
  readonly reason?: string;
  readonly message?: string;
}

/** Deletions that wait for an approval in Git. */
export interface HeldDeletion {
  /** What to write under `spec.deletion.approvals` of the Fleet document. */
  readonly id: string;
  readonly objects: number;
  /** A few of them, for people. */
  readonly sample: readonly ObjectRef[];
  readonly message: string;
}

/** Why an agent takes no slice. */
export interface SliceCondition {
  readonly code: string;
  readonly message: string;
}

/** All that an agent tells of its cluster apart from objects and events. */
export interface ClusterReport {
  /** Last slice that was verified; absent before the first. */
  readonly seen?: Generation;
  /** Last slice of which every bundle was applied. */
  readonly applied?: Generation;
  readonly bundles: readonly BundleReport[];
  readonly heldDeletion?: HeldDeletion;
  /** Present while the last slice message was refused. */
  readonly sliceProblem?: SliceCondition;
}

/** Facts about a cluster that its agent reports. They never steer targeting (Fleet issue 5605). */
export interface ClusterFacts {
  readonly agentVersion: string;
  /** For example `v1.36.3`. */
  readonly kubernetesVersion: string;
  /** `group/version` and `group/version/Kind` strings, for Helm capabilities. Sorted. */
  readonly apiVersions: readonly string[];
  /** Kinds without a namespace, as `group/Kind` (core: `/Namespace`). Sorted. */
  readonly clusterScopedKinds: readonly string[];
}

/** Something that happened once, for the event history. */
export interface ReportedEvent {
  /** RFC 3339 by the agent's clock. */
  readonly at: string;
  readonly type: string;
  readonly bundle?: string;
  readonly object?: ObjectRef;
  readonly message: string;
}
