import { CodedError } from "@muster/shared/errors";
import { Freshness } from "@muster/shared/model";
import type { ApiClient } from "../api-client.ts";
import type { Cluster, Target } from "../api-views.ts";
import { count, formatLabels, healthRank, healthWord, isHolding, shortDigest, shortRevision, targetWord } from "../words.ts";
import { byRank, filterQuery, type Resource } from "./resource.ts";

/** A target, and when its cluster was last heard, if that is of interest. */
export interface TargetRow extends Target {
  readonly lastHeard?: string;
}

/** `muster get targets`. */
export const TARGETS: Resource<TargetRow> = {
  plural: "targets",
  singular: "target",
  aliases: ["target", "tg"],
  summary: "bundle and cluster pairs, the worst first",
  nameHelp: "a bundle, or BUNDLE/CLUSTER",
  filters: ["selector", "cluster", "bundle"],
  changedBy: ["target", "cluster", "fleet"],
  empty: "No targets.",
  names: ({ name, cluster, bundle = name }) => ({ cluster, bundle }),
  async fetch(api, request) {
    const [bundle, cluster] = request.name?.split("/") ?? [];
    if (bundle !== undefined && cluster !== undefined) {
      const target = await api.get<Target>(`/targets/${encodeURIComponent(bundle)}/${encodeURIComponent(cluster)}`);
      return { items: await withLastHeard(api, [target]), single: true };
    }
    if (bundle !== undefined && request.bundle !== undefined)
      throw new CodedError("CLI_USAGE", "Name the bundle once: as the argument, or with --bundle");
    const targets = await api.list<Target>("/targets", filterQuery({ ...request, ...(bundle !== undefined && { bundle }) }));
    return { items: await withLastHeard(api, targets), single: false };
  },
  key: (target) => `${target.bundle}/${target.cluster}`,
  compare: byRank(
    (target) => targetWord(target, undefined, 0).rank * 10 + healthRank(target.health),
    (target) => `${target.bundle}/${target.cluster}`,
  ),
  columns: (nowMs) => [
    { title: "BUNDLE", cell: ({ bundle }) => bundle },
    { title: "CLUSTER", cell: ({ cluster }) => cluster },
    { title: "STATE", cell: (target) => targetWord(target, target.lastHeard, nowMs), gone: "Gone" },
    { title: "HEALTH", cell: ({ health }) => healthWord(health) },
    { title: "OBJECTS", align: "right", cell: ({ objects }) => String(objects) },
    { title: "DRIFTED", align: "right", cell: ({ drifted }) => count(drifted, "warn"), wide: true },
    { title: "FAILED", align: "right", cell: ({ failed }) => count(failed, "bad"), wide: true },
    { title: "REVISION", cell: ({ revision }) => shortRevision(revision), wide: true },
    { title: "DESIRED", cell: ({ desired }) => shortDigest(desired), wide: true },
    { title: "APPLIED", cell: ({ applied }) => shortDigest(applied), wide: true },
    { title: "BLOCKED BY", cell: ({ blockedBy = [] }) => blockedBy.join("; "), wide: true, elastic: true },
    { title: "LABELS", cell: ({ labels }) => formatLabels(labels), wide: true, elastic: true },
    { title: "WHY", cell: targetReason, elastic: true },
  ],
};

/** What holds a target back, in a few words: a condition of the hub, else what its agent says. */
export function targetReason(target: Target): string {
  const holding = target.conditions.find(isHolding);
  const parts: string[] = [];
  if (holding) parts.push(holding.reason, holding.message);
  else {
    if (target.reason) parts.push(target.reason);
    if (target.message) parts.push(target.message);
    else if (target.drifted > 0 && target.reason === undefined) parts.push(`${target.drifted} drifted`);
  }
  return parts.join(": ");
}

/** Asks for the clusters only if something is stale: then the age of what is shown matters. */
async function withLastHeard(api: ApiClient, targets: readonly Target[]): Promise<readonly TargetRow[]> {
  const stale = new Set(targets.filter((target) => target.freshness === Freshness.Stale).map((target) => target.cluster));
  if (stale.size === 0) return targets;
  const [only = ""] = stale;
  const clusters =
    stale.size === 1 ? [await api.get<Cluster>(`/clusters/${encodeURIComponent(only)}`)] : await api.list<Cluster>("/clusters");
  const heard = new Map(clusters.map((cluster) => [cluster.name, cluster.lastHeard]));
  return targets.map((target) => {
    const lastHeard = stale.has(target.cluster) ? heard.get(target.cluster) : undefined;
    return lastHeard === undefined ? target : { ...target, lastHeard };
  });
}
