import { CodedError } from "@muster/shared/errors";
import { type Manifest, objectRefOf } from "@muster/shared/model";
import type { Cluster, ResourceType } from "../kube/cluster.ts";
import type { DeletionWindow } from "./deletion-window.ts";
import type { AgentPolicy } from "./policy.ts";

/** Options of {@link policedCluster}. */
export interface PolicedClusterOptions {
  readonly policy: Pick<AgentPolicy, "check">;
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
    if (isPaused())
      throw new CodedError(
        "AGENT_PAUSED",
        "Somebody has paused the agent in this cluster: the annotation muster.dev/paused of its Lease says so",
      );
    policy.check({ group: type.group, kind: type.kind, namespace: type.namespaced ? namespace : "", name }, manifest);
  }
  const checkManifest = (type: ResourceType, manifest: Manifest) => {
    const { namespace, name } = objectRefOf(manifest);
    check(type, namespace, name, manifest);
  };

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
      return cluster.apply(type, manifest, how);
    },
    async delete(type, namespace, name, how) {
      check(type, namespace, name);
      await deletions.spend();
      return cluster.delete(type, namespace, name, how);
    },
    async create(type, manifest, signal) {
      checkManifest(type, manifest);
      return cluster.create(type, manifest, signal);
    },
    async replace(type, manifest, signal) {
      checkManifest(type, manifest);
      return cluster.replace(type, manifest, signal);
    },
    async mergePatch(type, namespace, name, patch, signal) {
      check(type, namespace, name, { apiVersion: "", kind: type.kind, ...patch } as unknown as Manifest);
      return cluster.mergePatch(type, namespace, name, patch, signal);
    },
  };
}
