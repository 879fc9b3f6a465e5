import type { Cluster } from "../api-views.ts";
import { formatAge } from "../output/age.ts";
import { clusterWord, count, formatLabels, healthRank, healthWord, ratio, shortRevision } from "../words.ts";
import { byRank, filterQuery, type Resource } from "./resource.ts";

/** `muster get clusters`. */
export const CLUSTERS: Resource<Cluster> = {
  plural: "clusters",
  singular: "cluster",
  aliases: ["cluster", "cl"],
  summary: "clusters of the fleet",
  nameHelp: "a cluster",
  filters: ["selector"],
  changedBy: ["cluster", "target", "fleet"],
  empty: "No clusters.",
  names: ({ name }) => ({ cluster: name }),
  async fetch(api, request) {
    if (request.name === undefined) return { items: await api.list<Cluster>("/clusters", filterQuery(request)), single: false };
    return { items: [await api.get<Cluster>(`/clusters/${encodeURIComponent(request.name)}`)], single: true };
  },
  key: (cluster) => cluster.name,
  compare: byRank(
    (cluster) => clusterWord(cluster, 0).rank * 10 + healthRank(cluster.health),
    (cluster) => cluster.name,
  ),
  columns: (nowMs) => [
    { title: "NAME", cell: ({ name }) => name },
    { title: "STATE", cell: (cluster) => clusterWord(cluster, nowMs), gone: "Gone" },
    { title: "HEALTH", cell: ({ health }) => healthWord(health) },
    { title: "SYNCED", cell: ({ targets }) => ratio(targets.synced, targets.total) },
    { title: "DRIFTED", align: "right", cell: ({ targets }) => count(targets.drifted, "warn") },
    { title: "FAILED", align: "right", cell: ({ targets }) => count(targets.failed, "bad") },
    { title: "GENERATION", cell: generation, wide: true },
    { title: "REVISION", cell: ({ revision }) => shortRevision(revision), elastic: true },
    { title: "HEARD", cell: ({ lastHeard }) => formatAge(lastHeard, nowMs) },
    { title: "AGENT", cell: ({ agentVersion }) => agentVersion ?? "", wide: true },
    { title: "KUBERNETES", cell: ({ kubernetesVersion }) => kubernetesVersion ?? "", wide: true },
    { title: "LABELS", cell: ({ labels }) => formatLabels(labels), wide: true, elastic: true },
  ],
};

/** `12`, or `11→12` while the agent is behind. */
export function generation({ desiredGeneration: desired, appliedGeneration: applied }: Cluster): string {
  if (desired === undefined || applied === desired) return applied === undefined ? "" : String(applied);
  return `${applied ?? "none"}→${desired}`;
}
