import type { Cluster } from "../kube/cluster.ts";
import type { WriterLease } from "./writer-lease.ts";

/**
 * A cluster that is written only by whoever has the Lease: each write looks first (E268), so that a process that was stopped for a
 * minute does not go on where it was. Reads and dry runs are anybody's.
 */
export function fencedCluster(cluster: Cluster, lease: Pick<WriterLease, "ensure">): Cluster {
  return {
    version: cluster.version,
    discover: cluster.discover,
    get: cluster.get,
    list: cluster.list,
    ...(cluster.mayList && { mayList: cluster.mayList }),
    watch: cluster.watch,
    close: cluster.close,
    async apply(type, manifest, options) {
      if (!options.dryRun) await lease.ensure(options.signal);
      return cluster.apply(type, manifest, options);
    },
    async delete(type, namespace, name, options) {
      await lease.ensure(options.signal);
      return cluster.delete(type, namespace, name, options);
    },
    async create(type, manifest, signal) {
      await lease.ensure(signal);
      return cluster.create(type, manifest, signal);
    },
    async replace(type, manifest, signal) {
      await lease.ensure(signal);
      return cluster.replace(type, manifest, signal);
    },
    async mergePatch(type, namespace, name, patch, signal) {
      await lease.ensure(signal);
      return cluster.mergePatch(type, namespace, name, patch, signal);
    },
  };
}
