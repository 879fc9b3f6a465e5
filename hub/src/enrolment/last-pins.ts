import type { FleetModel } from "../fleet/model.ts";
import type { PublicKeysInGit } from "./cluster-access.ts";

/**
 * The keys that Git names for a cluster's agent. While its document is held by a mistake, or its source cannot be read, what it said last holds on:
 * missing is never empty.
 */
export function lastPins(model: () => Pick<FleetModel, "clusters"> | undefined): (cluster: string) => PublicKeysInGit | undefined {
  const pins = new Map<string, PublicKeysInGit>();
  return (cluster) => {
    const definition = model()?.clusters.get(cluster);
    if (!definition) return pins.get(cluster);
    if (definition.identity) pins.set(cluster, definition.identity);
    else pins.delete(cluster);
    return definition.identity;
  };
}
