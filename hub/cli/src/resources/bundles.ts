import type { Bundle } from "../api-views.ts";
import { bundleWord, count, ratio } from "../words.ts";
import { byRank, filterQuery, type Resource } from "./resource.ts";

/** `muster get bundles`. */
export const BUNDLES: Resource<Bundle> = {
  plural: "bundles",
  singular: "bundle",
  aliases: ["bundle", "bu"],
  summary: "bundles over all of their clusters",
  nameHelp: "a bundle",
  filters: [],
  changedBy: ["target", "cluster", "fleet"],
  empty: "No bundles.",
  names: ({ name }) => ({ bundle: name }),
  async fetch(api, request) {
    if (request.name === undefined) return { items: await api.list<Bundle>("/bundles", filterQuery(request)), single: false };
    return { items: [await api.get<Bundle>(`/bundles/${encodeURIComponent(request.name)}`)], single: true };
  },
  key: (bundle) => bundle.name,
  compare: byRank(
    (bundle) => bundleWord(bundle).rank,
    (bundle) => bundle.name,
  ),
  columns: () => [
    { title: "NAME", cell: ({ name }) => name },
    { title: "STATE", cell: bundleWord, gone: "Gone" },
    { title: "SYNCED", cell: ({ targets }) => ratio(targets.synced, targets.total) },
    { title: "HEALTHY", cell: ({ targets }) => ratio(targets.healthy, targets.total) },
    { title: "DRIFTED", align: "right", cell: ({ targets }) => count(targets.drifted, "warn") },
    { title: "FAILED", align: "right", cell: ({ targets }) => count(targets.failed, "bad") },
    { title: "UNKNOWN", align: "right", cell: ({ targets }) => count(targets.unknown, "warn") },
    { title: "DIRECTORY", cell: (bundle) => bundlePlace(bundle), elastic: true, optional: true },
    { title: "DRIFT MODE", cell: ({ driftMode }) => driftMode, wide: true },
    { title: "DEPENDS ON", cell: ({ dependsOn }) => dependsOn.join(","), wide: true, elastic: true },
    { title: "BLOCKED BY", cell: ({ blockedBy = [] }) => blockedBy.join("; "), wide: true, elastic: true },
  ],
};

/** `fleet:apps/web`: the source and the directory in it. */
export function bundlePlace(bundle: { readonly source?: string; readonly directory?: string }): string {
  return `${bundle.source ?? ""}:${bundle.directory || "."}`;
}
