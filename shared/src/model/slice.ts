import type { ObjectRefText } from "./object-ref.ts";

/** A digest as `sha256:<64 hex>`. */
export type Digest = `sha256:${string}`;

/** What an agent does with drift of a bundle's objects. */
export const DriftMode = {
  /** Put desired fields back as soon as drift is seen. */
  Correct: "correct",
  /** Only report; the next revision that changes the object applies it. */
  Report: "report",
} as const;
export type DriftMode = (typeof DriftMode)[keyof typeof DriftMode];

/** Fields that Muster neither owns nor corrects, for objects that match. */
export interface DriftIgnore {
  /** Any kind if absent. */
  readonly kind?: string;
  /** API group; any if absent. */
  readonly group?: string;
  readonly namespace?: string;
  readonly name?: string;
  /** JSON pointers (RFC 6901) into the object, for example `/spec/replicas`. */
  readonly paths: readonly string[];
}

/** How many objects one revision may delete in one cluster before a person must approve. */
export interface DeletionBudget {
  /** More deletions than this are held. */
  readonly objects: number;
  /** More than this share of the bundle inventory of the cluster is held, once it is more than {@link MIN_PERCENT_DELETIONS} objects. */
  readonly percent: number;
}

/** Below this number of deletions the percentage does not count: one of three objects is not a mass deletion. */
export const MIN_PERCENT_DELETIONS = 10;

/** Used where no Fleet document says otherwise. */
export const DEFAULT_DELETION_BUDGET: DeletionBudget = { objects: 50, percent: 20 };

/** How the agent treats one bundle. */
export interface BundleOptions {
  readonly drift: { readonly mode: DriftMode; readonly ignore: readonly DriftIgnore[] };
  /** false: objects that leave the bundle stay in the cluster and leave the inventory. */
  readonly prune: boolean;
  /** true: the agent creates the namespaces that objects need and nobody declares. Such namespaces are never pruned. */
  readonly createNamespace: boolean;
  /** Bundles of this cluster that must be healthy before this one is applied. */
  readonly dependsOn: readonly string[];
}

/** Where the bytes of a manifest set are: a content-addressed blob in chunks. */
export interface ManifestSetRef {
  /** Digest of the canonical bytes. */
  readonly digest: Digest;
  /** Blob name: the hex part of the digest of the compressed bytes. A NATS subject token. */
  readonly blob: string;
  /** Number of chunks, numbered from 0. */
  readonly chunks: number;
  /** Length of the canonical bytes. */
  readonly bytes: number;
}

/** A bundle that the slice desires, with its content. */
export interface DesiredBundle {
  readonly name: string;
  readonly state: "desired";
  readonly manifestSet: ManifestSetRef;
  /** Every object of the manifest set: the positive statement that prune relies on. Sorted. */
  readonly objects: readonly ObjectRefText[];
  readonly options: BundleOptions;
}

/**
 * A bundle that the slice neither changes nor removes, because its desired state cannot be known (a render failed and
 * the hub has lost the last good one). The agent keeps what it has: no apply of anything new, no prune.
 */
export interface KeptBundle {
  readonly name: string;
  readonly state: "keep";
  /** An error code. */
  readonly reason: string;
}

export type SliceBundle = DesiredBundle | KeptBundle;

/** A commit that a revision was made from. */
export interface CommitRef {
  /** Name of the source. */
  readonly source: string;
  /** Branch, tag or commit as configured. */
  readonly ref: string;
  /** Full commit id, hexadecimal. */
  readonly commit: string;
}

/** What a slice says, without its place in the order. Two slices with equal content are the same desired state. */
export interface SliceContent {
  readonly cluster: string;
  /** true: the agent neither applies nor prunes nor corrects. */
  readonly paused: boolean;
  /** In the order in which they are applied. */
  readonly bundles: readonly SliceBundle[];
  readonly deletionBudget: DeletionBudget;
  /**
   * Objects that left their bundle while another bundle of the cluster is held: they may be on their way there, so they are
   * neither applied nor pruned. Sorted; absent if there are none.
   */
  readonly retained?: readonly ObjectRefText[];
  /** Ids of held deletions that a person approved in Git; see `deletionApprovalId`. Sorted. */
  readonly approvedDeletions: readonly string[];
}

/** The part of a revision for one cluster, as it is signed. */
export interface Slice extends SliceContent {
  /** Format of this document. */
  readonly version: 1;
  readonly trustDomain: string;
  /** Only an operator raises it; orders before the generation. */
  readonly epoch: number;
  readonly generation: number;
  /** The commits that this content was first made from. A later commit that changes nothing here does not move the slice. */
  readonly commits: readonly CommitRef[];
}

/** The order of slices. */
export interface Generation {
  readonly epoch: number;
  readonly generation: number;
}

/** Negative if a is older than b, 0 if equal, positive if newer. */
export function compareGenerations(a: Generation, b: Generation): number {
  return a.epoch !== b.epoch ? a.epoch - b.epoch : a.generation - b.generation;
}

/** A revision for people: `main@sha1:<commit>`; with several sources `app:main@sha1:…, base:v1@sha1:…`. */
export function formatRevision(commits: readonly CommitRef[]): string {
  const [only] = commits;
  if (commits.length === 1 && only) return `${only.ref}@sha1:${only.commit}`;
  return commits.map((commit) => `${commit.source}:${commit.ref}@sha1:${commit.commit}`).join(", ");
}
