import type { Freshness, Health, HeldDeletion, Labels, ObjectException, SliceCondition, SyncState } from "@muster/shared/model";
import type { OwnershipView } from "./ownership-view.ts";

/** A condition as Kubernetes has them; `type` says what is wrong if `status` is True. */
export interface ConditionView {
  readonly type: string;
  readonly status: "True" | "False";
  /** An error code or a CamelCase word. */
  readonly reason: string;
  readonly message: string;
  /** `file:line` in Git, if there is one. */
  readonly at?: string;
  /** RFC 3339. */
  readonly since: string;
}

/** One cluster as operators see it. */
export interface ClusterView {
  readonly name: string;
  readonly labels: Labels;
  readonly paused: boolean;
  readonly freshness: Freshness;
  /** RFC 3339; absent if never. */
  readonly lastHeard?: string;
  readonly connected: boolean;
  /**
   * Fold over the cluster's targets; Unknown while stale, and from a Hello to the first full report. Synced only if the agent has
   * seen and applied just the slice in force, and nothing that left Git is still to be deleted.
   */
  readonly sync: SyncState | "Unknown";
  readonly health: Health;
  readonly targets: {
    readonly total: number;
    readonly synced: number;
    readonly healthy: number;
    readonly drifted: number;
    readonly failed: number;
  };
  /** Generation that the hub wants, and that the agent has applied. */
  readonly desiredGeneration?: number;
  readonly appliedGeneration?: number;
  readonly revision?: string;
  readonly agentVersion?: string;
  readonly kubernetesVersion?: string;
  readonly heldDeletion?: HeldDeletion;
  readonly sliceProblem?: SliceCondition;
  /**
   * Held, PublishFailed, SliceRefused, DeletionHeld and PruneFailed are trouble; PruneProtected, Pruning and ExceptionsCut are
   * remarks.
   */
  readonly conditions: readonly ConditionView[];
}

/** One (bundle, cluster) pair. */
export interface TargetView {
  readonly bundle: string;
  readonly cluster: string;
  /** Labels of the cluster, so that `-l` works on targets too. */
  readonly labels: Labels;
  /** Unknown while the cluster is. Synced only if the agent reported just the desired digest, for the slice in force. */
  readonly sync: SyncState | "Unknown";
  readonly health: Health;
  readonly freshness: Freshness;
  readonly objects: number;
  readonly drifted: number;
  readonly failed: number;
  /** Digest that the hub wants and that the agent has applied. */
  readonly desired?: string;
  readonly applied?: string;
  readonly revision?: string;
  readonly reason?: string;
  readonly message?: string;
  /** What the bundle waits for on this cluster: bundles, and `bundle: object: expression` for what readiness asks of one. */
  readonly blockedBy?: readonly string[];
  readonly conditions: readonly ConditionView[];
}

/** A target with its exceptional objects, for `describe`. */
export interface TargetDetailView extends TargetView, OwnershipView {
  readonly exceptions: readonly ObjectException[];
  readonly source?: string;
  readonly directory?: string;
  readonly layers: readonly string[];
  readonly driftMode: string;
}

/** One bundle over all of its clusters. */
export interface BundleView extends OwnershipView {
  readonly name: string;
  readonly source: string;
  readonly directory: string;
  readonly targets: {
    readonly total: number;
    readonly synced: number;
    readonly healthy: number;
    readonly drifted: number;
    readonly failed: number;
    readonly unknown: number;
  };
  readonly dependsOn: readonly string[];
  /** What it waits for on some cluster, as targets say it; at most 20. */
  readonly blockedBy?: readonly string[];
  /** Unknown if the bundle is held, and nothing sound was ever seen of it. */
  readonly driftMode: string;
  readonly conditions: readonly ConditionView[];
}

/** One drifted object. */
export interface DriftView extends ObjectException {
  readonly cluster: string;
  readonly labels: Labels;
  readonly freshness: Freshness;
  /** When the hub first heard of it, RFC 3339. */
  readonly since: string;
}

/** What one set of commits meant for the fleet. */
export interface RevisionView {
  readonly revision: string;
  readonly at: string;
  readonly subject: string;
  readonly author: string;
  /** Clusters whose slice this revision moved. */
  readonly publishedSlices: number;
  readonly problems: number;
  readonly current: boolean;
  /** Of the clusters whose current slice is of this revision. */
  readonly clusters: { readonly total: number; readonly applied: number };
}

/** Something that happened, newest first. */
export interface EventView {
  /** Grows by one per event of this hub process; the SSE id. */
  readonly id: number;
  readonly at: string;
  /** CamelCase: Published, DriftDetected, DriftCorrected, AgentConnected, AgentDisconnected, SliceRefused, RenderFailed, SourceFailed, SourceRecovered, DeletionHeld, … */
  readonly type: string;
  readonly severity: "info" | "warning";
  readonly cluster?: string;
  readonly bundle?: string;
  readonly object?: string;
  readonly message: string;
}

/** The state of a source. */
export interface SourceView {
  readonly name: string;
  readonly url: string;
  readonly ref: string;
  readonly commit?: string;
  readonly fetchedAt?: string;
  readonly conditions: readonly ConditionView[];
}

/** The fleet at a glance. */
export interface FleetView {
  readonly healthy: boolean;
  readonly revision?: string;
  readonly clusters: {
    readonly total: number;
    readonly live: number;
    readonly stale: number;
    readonly never: number;
    readonly synced: number;
    readonly healthy: number;
  };
  readonly targets: {
    readonly total: number;
    readonly synced: number;
    readonly healthy: number;
    readonly drifted: number;
    readonly failed: number;
    readonly unknown: number;
  };
  readonly sources: readonly SourceView[];
  /** Everything that is wrong in what people wrote, and in publishing. */
  readonly problems: readonly ConditionView[];
}

/** What a live view hears: that something of a kind changed. Readers then ask for it. */
export interface ChangeNotice {
  readonly kind: "cluster" | "target" | "drift" | "revision" | "event" | "fleet";
  /** `cluster`, `bundle`, or `bundle/cluster`. */
  readonly name: string;
}

/** The questions that the API asks. Every answer is a fresh immutable value. */
export interface FleetQueries {
  fleet(): FleetView;
  clusters(): ClusterView[];
  cluster(name: string): ClusterView | undefined;
  bundles(): BundleView[];
  bundle(name: string): BundleView | undefined;
  targets(filter?: { cluster?: string; bundle?: string }): TargetView[];
  target(bundle: string, cluster: string): TargetDetailView | undefined;
  drift(): DriftView[];
  revisions(): RevisionView[];
  /** Newest first. */
  events(): EventView[];
  /** Calls the listener for every change until the returned function is called. */
  subscribe(listener: (notice: ChangeNotice) => void): () => void;
}
