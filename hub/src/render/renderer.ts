import type { Manifest } from "@muster/shared/model";
import type { Target } from "../fleet/model.ts";
import type { CommitSnapshot } from "../source/snapshot.ts";

/** What the hub knows of a cluster's API, for Helm's capabilities and for scopes. */
export interface ClusterCapabilities {
  /** For example `v1.36.3`; undefined while no agent has reported: the default of the configuration is used. */
  readonly kubernetesVersion?: string;
  /** `group/version` and `group/version/Kind`. */
  readonly apiVersions: readonly string[];
  /** `group/Kind` of kinds without a namespace, beyond the built-in ones. */
  readonly clusterScopedKinds: ReadonlySet<string>;
  /**
   * true while the cluster's agent has not told any of this: what depends on it is then not rendered (CAPABILITIES_UNKNOWN), for
   * what a guess leaves out would be deleted. Default false: the lists above are all there is to know, as in an offline render.
   */
  readonly unreported?: boolean;
}

/** A remark that does not stop anything, for example a Helm hook that is skipped. */
export interface RenderNotice {
  readonly type:
    | "HelmHookSkipped"
    | "HelmTestSkipped"
    | "HelmKeepIgnored"
    | "LookupEmpty"
    | "ScopeUnknown"
    | "IgnoredFieldSet"
    | "DuplicateDropped"
    | "CaBundleDropped";
  readonly message: string;
}

/** Rendered and bound objects of one target; never empty. */
export interface RenderedTarget {
  readonly manifests: readonly Manifest[];
  /** Where an object came from, for messages: `apps/web/deploy.yaml` or `templates/deploy.yaml`. Same order as manifests. */
  readonly origins: readonly string[];
  readonly notices: readonly RenderNotice[];
}

/** Renders targets. Equal inputs are rendered once. */
export interface Renderer {
  /**
   * Throws a CodedError (RENDER_*, CAPABILITIES_UNKNOWN, YAML_*, VARIABLE_*, PATCH_*, OBJECT_*, BUNDLE_*); a failure is never an empty result.
   * Concurrent calls are limited inside.
   */
  render(target: Target, snapshot: CommitSnapshot, capabilities: ClusterCapabilities, signal?: AbortSignal): Promise<RenderedTarget>;
}
