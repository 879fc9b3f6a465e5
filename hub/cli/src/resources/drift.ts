import { describeObjectRef, type FieldChange, Freshness, type ObjectException } from "@muster/shared/model";
import type { Drift } from "../api-views.ts";
import { formatAge } from "../output/age.ts";
import { byRank, filterQuery, type Resource } from "./resource.ts";

/** `muster get drift`. */
export const DRIFT: Resource<Drift> = {
  plural: "drift",
  singular: "drift",
  aliases: ["drifts", "dr"],
  summary: "objects that differ from Git, and who changed them",
  nameHelp: "a cluster",
  filters: ["selector", "cluster", "bundle"],
  changedBy: ["drift", "cluster", "fleet"],
  empty: "No drift: every object that was heard of is as Git says.",
  names: ({ name, cluster = name, bundle }) => ({ cluster, bundle }),
  async fetch(api, request) {
    const cluster = request.cluster ?? request.name;
    const items = await api.list<Drift>("/drift", filterQuery({ ...request, ...(cluster !== undefined && { cluster }) }));
    return { items, single: false };
  },
  key: (drift) => `${drift.cluster}/${describeObjectRef(drift.ref).replace(" ", "/")}`,
  compare: byRank(
    (drift) => Date.parse(drift.since),
    (drift) => `${drift.cluster}/${describeObjectRef(drift.ref)}`,
  ),
  columns: (nowMs) => [
    { title: "CLUSTER", cell: ({ cluster }) => cluster },
    { title: "BUNDLE", cell: ({ bundle }) => bundle, optional: true },
    { title: "OBJECT", cell: ({ ref }) => describeObjectRef(ref), elastic: true },
    {
      title: "CHANGE",
      cell: (drift) => ({ text: `${drift.drift?.kind ?? "drifted"}${drift.freshness === Freshness.Live ? "" : " (stale)"}`, tone: "warn" }),
      gone: "resolved",
    },
    { title: "FIELD", cell: (drift) => driftFields(drift), elastic: true, wide: true },
    { title: "WANTED", cell: ({ drift }) => valueText(drift?.fields?.[0], "wanted"), elastic: true, wide: true },
    { title: "GOT", cell: ({ drift }) => valueText(drift?.fields?.[0], "got"), elastic: true, wide: true },
    { title: "BY", cell: ({ drift }) => drift?.fields?.[0]?.manager ?? drift?.manager ?? "", elastic: true, wide: true },
    { title: "BY", cell: ({ drift }) => drift?.manager ?? "", elastic: true, narrow: true },
    { title: "WHEN", cell: ({ drift, since }) => formatAge(drift?.fields?.[0]?.at ?? drift?.at ?? since, nowMs), wide: true },
    { title: "SINCE", cell: ({ since }) => formatAge(since, nowMs), narrow: true },
    { title: "FIELDS", cell: (drift) => driftFields(drift), elastic: true, narrow: true },
  ],
  spread: (item) => {
    const { drift } = item;
    if (!drift || drift.paths.length === 0) return [item];
    return drift.paths.map((path) => {
      const { fields, ...rest } = drift;
      const field = fields?.find((one) => one.path === path);
      return { ...item, drift: { ...rest, paths: [path], ...(field && { fields: [field] }) } };
    });
  },
};

/** The paths that differ, joined. */
export function driftFields({ drift }: ObjectException): string {
  return drift?.paths.join(", ") ?? "";
}

/** A value of a field; empty if nothing is told of it. */
export function valueText(field: FieldChange | undefined, which: "wanted" | "got"): string {
  return field ? (field[which] ?? "(none)") : "";
}
