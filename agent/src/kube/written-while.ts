import { CodedError } from "@muster/shared/errors";
import type { Cluster } from "./cluster.ts";

/** Throws SLICE_STALE. */
export function refuseUndue(isDue: () => boolean): void {
  if (!isDue()) throw new CodedError("SLICE_STALE", "what was to be written is of a slice that is not in force any more");
}

/**
 * A view of a cluster that is written only while what is done is still to be done: a read that hung for a minute must not be followed by
 * a write that a newer slice, or a pause, has made wrong (I3, I7). Asked last, when a write is handed to the connections, an apply or a
 * deletion also before it is sent once more; what is on its way, or waits for a free connection, is not called back. Reads and dry runs are always let through.
 */
export function writtenWhile(cluster: Cluster, isDue: () => boolean): Cluster {
  const onlyIfDue = () => refuseUndue(isDue);
  return {
    ...cluster,
    as: (account) => writtenWhile(cluster.as(account), isDue),
    writtenWhile: (isDueToo) => writtenWhile(cluster, () => isDue() && isDueToo()),
    async apply(type, manifest, options) {
      if (!options.dryRun) onlyIfDue();
      return cluster.apply(type, manifest, options.dryRun ? options : { ...options, isDue });
    },
    async delete(type, namespace, name, options) {
      onlyIfDue();
      return cluster.delete(type, namespace, name, { ...options, isDue });
    },
    async create(type, manifest, signal) {
      onlyIfDue();
      return cluster.create(type, manifest, signal);
    },
    async replace(type, manifest, signal) {
      onlyIfDue();
      return cluster.replace(type, manifest, signal);
    },
    async mergePatch(type, namespace, name, patch, signal) {
      onlyIfDue();
      return cluster.mergePatch(type, namespace, name, patch, signal);
    },
    // The connections are others' too.
    close: async () => {},
  };
}
