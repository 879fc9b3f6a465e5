import { CodedError } from "@muster/shared/errors";
import { isJsonObject, type Manifest, objectRefOf } from "@muster/shared/model";
import type { ApplyOptions, Cluster, ResourceType } from "../kube/cluster.ts";
import { PRUNE_ANNOTATION } from "../plan/prune-policy.ts";
import type { DeletionWindow } from "./deletion-window.ts";
import { type AgentPolicy, podSecurityLabels } from "./policy.ts";

/** Options of {@link policedCluster}. */
export interface PolicedClusterOptions {
  readonly policy: Pick<AgentPolicy, "check" | "deletions" | "podSecurityLabels">;
  readonly deletions: DeletionWindow;
  /** A person of this cluster has stopped the agent; see `muster.dev/paused` in the lease. */
  readonly isPaused: () => boolean;
}

/**
 * A cluster in which nothing is written that this cluster's own policy does not allow. It stands below everything that goes by a slice, so
 * that a hub which is wholly hostile, and whatever mistake of ours above, reaches no further (security.md, section 7).
 */
export function policedCluster(cluster: Cluster, options: PolicedClusterOptions): Cluster {
  const { policy, deletions, isPaused } = options;

  function check(type: ResourceType, namespace: string, name: string, manifest?: Manifest): void {
    if (isPaused()) throw paused();
    policy.check({ group: type.group, kind: type.kind, namespace: type.namespaced ? namespace : "", name }, manifest);
  }
  const checkManifest = (type: ResourceType, manifest: Manifest) => {
    const { namespace, name } = objectRefOf(manifest);
    check(type, namespace, name, manifest);
  };

  /** What was given up for a pause is told as one: it is tried again after it. */
  const told = (error: unknown) => (error instanceof CodedError && error.code === "SLICE_STALE" && isPaused() ? paused() : error);
  const telling = <T>(writing: Promise<T>): Promise<T> => writing.catch((error: unknown) => Promise.reject(told(error)));
  // The annotation may have come since: asked again when a write is handed to the connections.
  const unpaused = cluster.writtenWhile(() => !isPaused());

  /** Server-side apply also takes away what the agent once owned: what counts is what would come of it. */
  async function refuseOtherPodSecurity(type: ResourceType, manifest: Manifest, how: ApplyOptions): Promise<void> {
    if (policy.podSecurityLabels || type.group !== "" || type.kind !== "Namespace") return;
    const [now, then] = [
      await cluster.get(type, "", manifest.metadata.name, how.signal),
      await cluster.apply(type, manifest, { ...how, dryRun: true }),
    ];
    if (now && podSecurityLabels(now) !== podSecurityLabels(then))
      throw forbidden(manifest.metadata.name, "would have other labels of Pod Security");
  }

  /** What is in a Namespace, or of a kind that is defined, goes with it and is counted by nobody. */
  async function refuseUncounted(type: ResourceType, name: string, signal: AbortSignal | undefined): Promise<void> {
    const isNamespace = type.group === "" && type.kind === "Namespace";
    if (!isNamespace && type.kind !== "CustomResourceDefinition") return;
    const live = await cluster.get(type, "", name, signal);
    if (isNamespace && !policy.podSecurityLabels && podSecurityLabels(live) !== "[]") throw forbidden(name, "has labels of Pod Security");
    const annotations = live?.metadata["annotations"];
    if (policy.deletions.max > 0 && isJsonObject(annotations) && annotations[PRUNE_ANNOTATION] === "cascade")
      throw forbidden(name, "would take with it what is in it, which no window counts (policy.deletions)");
  }

  return {
    version: cluster.version,
    discover: cluster.discover,
    get: cluster.get,
    list: cluster.list,
    ...(cluster.mayList && { mayList: cluster.mayList }),
    watch: cluster.watch,
    close: cluster.close,
    as: (account) => policedCluster(cluster.as(account), options),
    writtenWhile: (isDue) => policedCluster(cluster.writtenWhile(isDue), options),
    async apply(type, manifest, how) {
      // A dry run stores nothing, and admission sees it all the same.
      checkManifest(type, manifest);
      await refuseOtherPodSecurity(type, manifest, how);
      return telling(unpaused.apply(type, manifest, how));
    },
    async delete(type, namespace, name, how) {
      check(type, namespace, name);
      await refuseUncounted(type, name, how.signal);
      await deletions.spend();
      try {
        return await unpaused.delete(type, namespace, name, how);
      } catch (error) {
        // A refusal has deleted nothing; of everything else, a lost answer or an error of the server, nobody knows.
        if (error instanceof CodedError && REFUSALS.has(error.code)) deletions.giveBack();
        throw told(error);
      }
    },
    async create(type, manifest, signal) {
      checkManifest(type, manifest);
      return telling(unpaused.create(type, manifest, signal));
    },
    async replace(type, manifest, signal) {
      checkManifest(type, manifest);
      return telling(unpaused.replace(type, manifest, signal));
    },
    async mergePatch(type, namespace, name, patch, signal) {
      check(type, namespace, name, { apiVersion: "", kind: type.kind, metadata: {}, ...patch } as unknown as Manifest);
      return telling(unpaused.mergePatch(type, namespace, name, patch, signal));
    },
  };
}

const REFUSALS: ReadonlySet<string> = new Set([
  "KUBE_CONFLICT",
  "KUBE_FORBIDDEN",
  "KUBE_DENIED",
  "ACCOUNT_FORBIDDEN",
  "IMPERSONATION_FORBIDDEN",
  "AGENT_STANDBY",
]);

function paused(): CodedError {
  return new CodedError(
    "AGENT_PAUSED",
    "Somebody has paused the agent in this cluster: the annotation muster.dev/paused of its Lease says so",
  );
}

function forbidden(name: string, why: string): CodedError {
  return new CodedError("POLICY_FORBIDDEN", `${name} ${why}: this cluster's policy for its agent does not allow it`);
}
