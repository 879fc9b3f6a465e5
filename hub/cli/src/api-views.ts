import type {
  DriftDetail,
  FieldOwner,
  Freshness,
  Health,
  HeldDeletion,
  Labels,
  ObjectException,
  ObjectRef,
  SliceCondition,
  SyncState,
} from "@muster/shared/model";

/*
 * What the HTTP API answers. The CLI is a client like any other, so it states what it relies on; a test holds this
 * together with what the hub gives.
 */

/** Something that is wrong, or worth knowing. */
export interface Condition {
  readonly type: string;
  readonly status: "True" | "False";
  readonly reason: string;
  readonly message: string;
  /** `file:line` in Git. */
  readonly at?: string;
  /** RFC 3339. */
  readonly since: string;
}

/** GET /agents/{cluster}. */
export interface Agent {
  readonly cluster: string;
  readonly state: "Enrolled" | "Pending" | "Invited" | "None";
  readonly fingerprint?: string;
  readonly identity?: { readonly tls: string; readonly nats: string; readonly encryption: string };
  readonly origin?: "token" | "approval" | "git" | "certificate" | "renewal";
  readonly since?: string;
  readonly certificateEndsAt?: string;
  readonly pending?: { readonly fingerprint: string; readonly reason: "another-identity" | "expired"; readonly since: string };
  readonly token?: { readonly expiresAt: string; readonly createdBy: string };
  readonly revoked: number;
  readonly connected: boolean;
}

/** POST /agents/{cluster}/token. */
export interface Join {
  readonly cluster: string;
  readonly token: string;
  readonly expiresAt: string;
  readonly trustDomain: string;
  readonly hubAddress: string;
  readonly enrolAddress: string;
  readonly natsUrl: string;
  readonly ca: string;
  readonly natsCa?: string;
  readonly signingKeys: string;
}

/** Numbers of targets. */
export interface TargetCounts {
  readonly total: number;
  readonly synced: number;
  readonly healthy: number;
  readonly drifted: number;
  readonly failed: number;
}

/** GET /clusters/{name}. */
export interface Cluster {
  readonly name: string;
  readonly labels: Labels;
  readonly paused: boolean;
  readonly freshness: Freshness;
  readonly lastHeard?: string;
  readonly connected: boolean;
  readonly sync: SyncState | "Unknown";
  readonly health: Health;
  readonly targets: TargetCounts;
  readonly desiredGeneration?: number;
  readonly appliedGeneration?: number;
  readonly revision?: string;
  readonly agentVersion?: string;
  readonly kubernetesVersion?: string;
  readonly heldDeletion?: HeldDeletion;
  readonly sliceProblem?: SliceCondition;
  readonly conditions: readonly Condition[];
}

/** GET /targets: one bundle on one cluster. */
export interface Target {
  readonly bundle: string;
  readonly cluster: string;
  readonly labels: Labels;
  readonly sync: SyncState | "Unknown";
  readonly health: Health;
  readonly freshness: Freshness;
  readonly objects: number;
  readonly drifted: number;
  readonly failed: number;
  readonly desired?: string;
  readonly applied?: string;
  readonly revision?: string;
  readonly reason?: string;
  readonly message?: string;
  readonly blockedBy?: readonly string[];
  readonly conditions: readonly Condition[];
}

/** Whose the objects of a bundle are, where that is not as usual. */
export interface Ownership {
  readonly adoption?: string;
  readonly onRemoval?: string;
  /** `namespace/name`. */
  readonly serviceAccount?: string;
}

/** GET /targets/{bundle}/{cluster}. */
export interface TargetDetail extends Target, Ownership {
  readonly exceptions: readonly ObjectException[];
  readonly source?: string;
  readonly directory?: string;
  readonly layers: readonly string[];
  readonly driftMode: string;
}

/** GET /targets/{bundle}/{cluster}/objects. */
export interface Inspection {
  readonly items: readonly LiveObject[];
  /** What the agent says of those that found no place in its answer. */
  readonly truncated?: string;
}

/** One object, as its agent sees it now. */
export interface LiveObject {
  readonly ref: ObjectRef;
  readonly bundle: string;
  readonly health: Health;
  readonly message: string;
  readonly uid: string;
  readonly lastAction: string;
  /** Managers that own fields of it together with Muster. Absent: none. */
  readonly sharedWith?: readonly FieldOwner[];
  readonly drift?: DriftDetail;
}

/** GET /bundles/{name}. */
export interface Bundle extends Ownership {
  readonly name: string;
  readonly source: string;
  readonly directory: string;
  readonly targets: TargetCounts & { readonly unknown: number };
  readonly dependsOn: readonly string[];
  readonly blockedBy?: readonly string[];
  readonly driftMode: string;
  readonly conditions: readonly Condition[];
}

/** GET /drift. */
export interface Drift extends ObjectException {
  readonly cluster: string;
  readonly labels: Labels;
  readonly freshness: Freshness;
  readonly since: string;
}

/** GET /revisions. */
export interface Revision {
  readonly revision: string;
  readonly at: string;
  readonly subject: string;
  readonly author: string;
  readonly publishedSlices: number;
  readonly problems: number;
  readonly current: boolean;
  readonly clusters: { readonly total: number; readonly applied: number };
}

/** GET /events. */
export interface FleetEvent {
  readonly id: number;
  readonly at: string;
  readonly type: string;
  readonly severity: "info" | "warning";
  readonly cluster?: string;
  readonly bundle?: string;
  readonly object?: string;
  readonly message: string;
}

/** One Git source. */
export interface SourceState {
  readonly name: string;
  readonly url: string;
  readonly ref: string;
  readonly commit?: string;
  readonly fetchedAt?: string;
  readonly conditions: readonly Condition[];
}

/** GET /fleet. */
export interface Fleet {
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
  readonly targets: TargetCounts & { readonly unknown: number };
  readonly sources: readonly SourceState[];
  readonly problems: readonly Condition[];
}

/** `data` of GET /watch. */
export interface ChangeNotice {
  readonly kind: "cluster" | "target" | "drift" | "revision" | "event" | "fleet";
  readonly name: string;
}
