import type { FleetModel } from "./fleet/model.ts";

/**
 * Whether an agent's cluster belongs to the fleet. While part of Git cannot be read, absence proves nothing (ADR 0003): a cluster
 * that has a slice in force is taken for declared then, so that it is still seen and steered.
 */
export function isDeclaredCluster(cluster: string, model: FleetModel | undefined, hasSlice: (cluster: string) => boolean): boolean {
  if (!model) return false;
  return model.clusters.has(cluster) || model.heldClusters.has(cluster) || (!model.complete && hasSlice(cluster));
}
