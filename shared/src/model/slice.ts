import type { ObjectRefText } from "./object-ref.ts";

/** A digest as `sha256:<64 hex>`. */
export type Digest = `sha256:${string}`;

/** What an agent does with drift of a bundle's objects. */
export const DriftMode = {
  /** Put desired fields back as soon as drift is seen. */
  Correct: "correct",
  /** Only report; the next revision that changes the object applies it. */
  Report: "report",
  /** Neither correct nor report: what others do to an object between two revisions is their affair. */
  Off: "off",
} as const;
export type DriftMode = (typeof DriftMode)[keyof typeof DriftMode];

/** Whether a bundle takes over objects that are in the cluster already. */
export const Adoption = {
  /** Not at all: what was there before is an error. */
  Never: "never",
  /** Those that no other tool claims. */
  IfUnowned: "ifUnowned",
  /** Also those that another tool claims. */
  Always: "always",
} as const;
export type Adoption = (typeof Adoption)[keyof typeof Adoption];

/** What becomes of a bundle's objects when the bundle as a whole leaves the cluster. */
export const OnRemoval = {
  /** They are deleted, within the budget of deletions. */
  Delete: "delete",
  /** They stay and are nobody's. */
  Orphan: "orphan",
} as const;
export type OnRemoval = (typeof OnRemoval)[keyof typeof OnRemoval];

/** Fields that Muster neither owns nor corrects, for objects that match. */
export interface DriftIgnore {
  /** Any kind if absent. */
  readonly kind?: string;
  /** API group; any if absent. */
  readonly group?: string;
  readonly namespace?: string;
  readonly name?: string;
  /** A CEL expression over `object` (live): the rule counts only while it is true. Default: always. */
  readonly when?: string;
  /** JSON pointers (RFC 6901) into the object, for example `/spec/replicas`. Empty only where `managers` says which fields. */
  readonly paths: readonly string[];
  /** Names of field managers: fields that one of them owns live, and of these only those below `paths` if there are any. Default: whoever owns them. */
  readonly managers?: readonly string[];
}

/** What makes an object of a kind healthy, in CEL over `object` (live), in place of what is built in for the kind. */
export interface HealthRule {
  readonly group: string;
  readonly kind: string;
  /** Current if true. */
  readonly current: string;
  /** Failed if true; asked before `current`. */
  readonly failed?: string;
  /** Gives a sentence for people while the object is not Current. */
  readonly message?: string;
}

/** An object of a bundle that must be as an expression says before a dependent bundle is applied. */
export interface ReadinessRule {
  /** One of the bundles that are depended on. */
  readonly bundle: string;
  readonly group: string;
  readonly kind: string;
  readonly namespace?: string;
  readonly name?: string;
  /** CEL over `object` (live), true for every object of the bundle that matches; with none that matches the bundle is not ready. */
  readonly expression: string;
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

/** An identity of a cluster's own. */
export interface ServiceAccountRef {
  readonly namespace: string;
  readonly name: string;
}

/** How the agent treats one bundle. What is absent stands in no slice, so that a slice only needs an agent that knows what it uses. */
export interface BundleOptions {
  readonly drift: { readonly mode: DriftMode; readonly ignore: readonly DriftIgnore[] };
  /** false: objects that leave the bundle, or leave with it, stay in the cluster and leave the inventory. */
  readonly prune: boolean;
  /** true: the agent creates the namespaces that objects need and nobody declares. Such namespaces are never pruned. */
  readonly createNamespace: boolean;
  /** Bundles of this cluster that must be healthy before this one is applied. */
  readonly dependsOn: readonly string[];
  /** What bundles of `dependsOn` must fulfil beside their health. Default: nothing. */
  readonly ready?: readonly ReadinessRule[];
  /** Default: what is built in. */
  readonly health?: readonly HealthRule[];
  /** true: nothing of the bundle is applied, corrected or deleted. */
  readonly paused?: true;
  /** Default {@link Adoption.IfUnowned}. */
  readonly adoption?: Adoption;
  /** Default {@link OnRemoval.Delete}, as far as `prune` allows; what leaves a bundle that stays goes by `prune` alone. */
  readonly onRemoval?: OnRemoval;
  /** The ServiceAccount in whose name everything of the bundle is done. Default: the agent's own. */
  readonly serviceAccount?: ServiceAccountRef;
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
  /** What Git says of a pause, if that much can be told. Default: as it was when the bundle was known. */
  readonly paused?: boolean;
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
