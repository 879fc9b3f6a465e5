import { type FleetModel, provesAbsence } from "./fleet/model.ts";

/**
 * Whether an agent's cluster belongs to the fleet. While absence proves nothing (ADR 0003), a cluster that has a slice in force is
 * taken for declared, so that it is still seen and steered.
 */
export function isDeclaredCluster(cluster: string, model: FleetModel | undefined, hasSlice: (cluster: string) => boolean): boolean {
  if (!model) return false;
  return model.clusters.has(cluster) || model.heldClusters.has(cluster) || (!provesAbsence(model) && hasSlice(cluster));
}
