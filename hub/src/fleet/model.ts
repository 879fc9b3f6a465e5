import type { ErrorCode, InputPosition } from "@muster/shared/errors";
import type { BundleOptions, CommitRef, DeletionBudget, JsonObject, LabelSelector, Labels } from "@muster/shared/model";

/** A value of a `${VARIABLE}`. Its type survives where the variable is the whole scalar: `replicas: ${REPLICAS}` stays a number. */
export type VariableValue = string | number | boolean;
export type Variables = Readonly<Record<string, VariableValue>>;

/** A Cluster document. */
export interface ClusterDefinition {
  readonly name: string;
  readonly labels: Labels;
  readonly variables: Variables;
  readonly paused: boolean;
  /** The only agent that may act for it. Absent: whoever enrols with a token, or is approved. */
  readonly identity?: AgentIdentityInGit;
  readonly at: InputPosition;
}

/** Public keys of an agent: base64, and a NATS key. */
export interface AgentIdentityInGit {
  readonly tls: string;
  readonly nats: string;
  readonly encryption: string;
}

/** One entry of `spec.targets`: exactly one of the three. */
export type TargetRule = { readonly selector: LabelSelector } | { readonly clusters: readonly string[] } | { readonly all: true };

/** How a bundle is rendered with Helm, as the bundle or one layer says it. Values of later layers win, maps merge deeply. */
export interface HelmSpec {
  /** Directory of the chart, relative to the bundle. Default `.`; only the bundle itself may set it. */
  readonly chart?: string;
  readonly values?: JsonObject;
  /** Relative to the bundle; applied before `values` of the same layer, in order. */
  readonly valuesFiles?: readonly string[];
  /** Default: the bundle's name. */
  readonly releaseName?: string;
  /** Default: the bundle's namespace, else `default`. */
  readonly releaseNamespace?: string;
}

/** A patch on rendered objects: a list is JSON 6902, a map is a JSON merge patch (RFC 7386). */
export interface PatchSpec {
  /** All given parts must match; absent parts match anything. */
  readonly target: { readonly group?: string; readonly kind?: string; readonly namespace?: string; readonly name?: string };
  readonly patch: readonly JsonObject[] | JsonObject;
  readonly at: InputPosition;
}

/** One selector's overrides. */
export interface LayerDefinition {
  readonly selector: LabelSelector | { readonly clusters: readonly string[] } | { readonly all: true };
  readonly variables: Variables;
  readonly helm?: HelmSpec;
  /** Path of a kustomization, relative to the bundle, used in place of the bundle's. The last matching layer's wins. */
  readonly kustomize?: { readonly path: string };
  readonly namespace?: string;
  readonly patches: readonly PatchSpec[];
  readonly at: InputPosition;
}

/** A Bundle document. */
export interface BundleDefinition {
  readonly name: string;
  readonly source: string;
  /** Directory of bundle.yaml relative to the source's path; empty for the root. */
  readonly directory: string;
  readonly targets: readonly TargetRule[];
  readonly namespace?: string;
  readonly variables: Variables;
  /** Exactly one renderer; undefined: decided by the files (Chart.yaml, then kustomization.yaml, then plain YAML). */
  readonly helm?: HelmSpec;
  readonly kustomize?: { readonly path: string };
  readonly patches: readonly PatchSpec[];
  readonly layers: readonly LayerDefinition[];
  readonly options: BundleOptions;
  readonly at: InputPosition;
}

/** A (bundle, cluster) pair with its resolved layers. */
export interface Target {
  readonly cluster: ClusterDefinition;
  readonly bundle: BundleDefinition;
  /** The layers that match, in declared order. */
  readonly layers: readonly LayerDefinition[];
}

/** Something wrong in what people wrote. It holds back what it names and nothing else. */
export interface FleetProblem {
  readonly code: ErrorCode;
  readonly message: string;
  readonly at?: InputPosition;
  /** What is held: a cluster or bundle by name; a document whose name could not be read; or everything. */
  readonly scope:
    | { readonly kind: "cluster"; readonly name: string }
    | { readonly kind: "bundle"; readonly name: string }
    | { readonly kind: "document" }
    | { readonly kind: "fleet" };
}

/** What the Git sources say, resolved. */
export interface FleetModel {
  readonly commits: readonly CommitRef[];
  /** Sound clusters by name. */
  readonly clusters: ReadonlyMap<string, ClusterDefinition>;
  /** Sound bundles by name. */
  readonly bundles: ReadonlyMap<string, BundleDefinition>;
  /** Sorted by cluster, then in dependency order, then by bundle name. */
  readonly targets: readonly Target[];
  readonly problems: readonly FleetProblem[];
  /** Names of bundles that exist but are not sound: what is published of them stays as it is. */
  readonly heldBundles: ReadonlySet<string>;
  /** Names of clusters that exist but are not sound. */
  readonly heldClusters: ReadonlySet<string>;
  /**
   * false if any document could not be read so far that its name is known, or a source had no snapshot: then the
   * absence of a bundle or cluster proves nothing, and nothing is removed.
   */
  readonly complete: boolean;
  readonly deletionBudget: DeletionBudget;
  /** Approved ids of held deletions, sorted. */
  readonly approvedDeletions: readonly string[];
}

/** true if what is not in the model has left Git. A fleet that says nothing at all proves as little as one that cannot be read. */
export function provesAbsence({ complete, problems }: Pick<FleetModel, "complete" | "problems">): boolean {
  return complete && problems.every(({ scope }) => scope.kind !== "fleet");
}
