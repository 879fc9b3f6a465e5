import type { ClusterFacts } from "@muster/shared/model";
import type { ClusterCapabilities } from "./render/renderer.ts";

/** While no agent of a cluster has reported since the hub started. */
const UNKNOWN: ClusterCapabilities = { apiVersions: [], clusterScopedKinds: new Set(), unreported: true };

/** Capabilities of clusters, out of what their agents report. The same facts give the same object, which renderers cache by. */
export function capabilitiesFrom(factsOf: (cluster: string) => ClusterFacts | undefined): (cluster: string) => ClusterCapabilities {
  const made = new WeakMap<ClusterFacts, ClusterCapabilities>();
  return (cluster) => {
    const facts = factsOf(cluster);
    // No API server serves nothing at all.
    if (!facts || facts.apiVersions.length === 0) return UNKNOWN;
    let known = made.get(facts);
    if (!known) {
      known = {
        ...(facts.kubernetesVersion && { kubernetesVersion: facts.kubernetesVersion }),
        apiVersions: facts.apiVersions,
        clusterScopedKinds: new Set(facts.clusterScopedKinds),
      };
      made.set(facts, known);
    }
    return known;
  };
}

/** true if both render the same. */
export function sameCapabilities(a: ClusterFacts | undefined, b: ClusterFacts): boolean {
  const said = (facts: ClusterFacts | undefined) =>
    JSON.stringify([facts?.kubernetesVersion ?? "", facts?.apiVersions ?? [], facts?.clusterScopedKinds ?? []]);
  return said(a) === said(b);
}
