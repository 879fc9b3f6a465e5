import type { ServiceAccountRef } from "@muster/shared/model";
import type { Cluster } from "./cluster.ts";

/**
 * One of something for each account in whose name the cluster is written, made when it is first needed; without an account, over our own
 * rights. What works for a bundle is given no other cluster, so that it cannot fall back to ours.
 */
export function perAccount<T>(cluster: Cluster, make: (cluster: Cluster) => T): (account: ServiceAccountRef | undefined) => T {
  const own = make(cluster);
  const made = new Map<string, T>();
  return (account) => {
    if (!account) return own;
    const key = `${account.namespace}/${account.name}`;
    const known = made.get(key) ?? make(cluster.as(account));
    made.set(key, known);
    return known;
  };
}
