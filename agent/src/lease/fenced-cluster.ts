import { CodedError } from "@muster/shared/errors";
import { ADMISSION_GROUP, isDenial } from "../kube/admission.ts";
import type { Cluster, ResourceType } from "../kube/cluster.ts";
import type { WriterLease } from "./writer-lease.ts";

/**
 * A cluster that is written only by whoever has the Lease: each write looks first (E268), so that a process that was stopped for a
 * minute does not go on where it was. Reads and dry runs are anybody's. While admission refuses the Lease itself, admission objects
 * are the only ones that are written: they may be what refuses, and nobody else could mend them (E014).
 */
export function fencedCluster(cluster: Cluster, lease: Pick<WriterLease, "ensure" | "doubt">): Cluster {
  async function ensure(type: ResourceType, signal: AbortSignal | undefined): Promise<void> {
    try {
      await lease.ensure(signal);
    } catch (error) {
      if (type.group !== ADMISSION_GROUP || !isDenial(error)) throw error;
    }
  }

  /** A conflict may be with another agent, which has taken over since the last look. */
  const doubting = (error: unknown): never => {
    if (error instanceof CodedError && error.code === "KUBE_CONFLICT") lease.doubt();
    throw error;
  };

  return {
    version: cluster.version,
    discover: cluster.discover,
    get: cluster.get,
    list: cluster.list,
    ...(cluster.mayList && { mayList: cluster.mayList }),
    watch: cluster.watch,
    close: cluster.close,
    as: (account) => fencedCluster(cluster.as(account), lease),
    // Below: the look at the Lease takes its time, too.
    writtenWhile: (isDue) => fencedCluster(cluster.writtenWhile(isDue), lease),
    async apply(type, manifest, options) {
      if (!options.dryRun) await ensure(type, options.signal);
      return cluster.apply(type, manifest, options);
    },
    async delete(type, namespace, name, options) {
      await ensure(type, options.signal);
      return cluster.delete(type, namespace, name, options);
    },
    async create(type, manifest, signal) {
      await ensure(type, signal);
      return cluster.create(type, manifest, signal).catch(doubting);
    },
    async replace(type, manifest, signal) {
      await ensure(type, signal);
      return cluster.replace(type, manifest, signal).catch(doubting);
    },
    async mergePatch(type, namespace, name, patch, signal) {
      await ensure(type, signal);
      return cluster.mergePatch(type, namespace, name, patch, signal);
    },
  };
}
