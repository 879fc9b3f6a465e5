import type { FleetEvent } from "../api-views.ts";
import { formatAge } from "../output/age.ts";
import { shortRevision } from "../words.ts";
import { filterQuery, type Resource } from "./resource.ts";

/** `muster get events`. */
export const EVENTS: Resource<FleetEvent> = {
  plural: "events",
  singular: "event",
  aliases: ["event", "ev"],
  summary: "what happened, the newest last",
  nameHelp: "a cluster",
  filters: ["cluster", "bundle"],
  changedBy: ["event"],
  empty: "No events since the hub has started.",
  happened: true,
  names: ({ name, cluster = name, bundle }) => ({ cluster, bundle }),
  async fetch(api, request) {
    const cluster = request.cluster ?? request.name;
    return {
      items: await api.list<FleetEvent>("/events", filterQuery({ ...request, ...(cluster !== undefined && { cluster }) })),
      single: false,
    };
  },
  key: ({ id }) => String(id),
  // Where the eye and the prompt are.
  compare: (a, b) => a.id - b.id,
  columns: (nowMs) => [
    { title: "AGE", cell: ({ at }) => formatAge(at, nowMs) },
    {
      title: "LEVEL",
      cell: ({ severity }) => (severity === "warning" ? { text: "Warning", tone: "warn" } : { text: "Info", tone: "faint" }),
      optional: true,
    },
    { title: "TYPE", cell: ({ type }) => type },
    { title: "CLUSTER", cell: ({ cluster }) => cluster ?? "" },
    { title: "BUNDLE", cell: ({ bundle }) => bundle ?? "" },
    { title: "OBJECT", cell: ({ object }) => object ?? "", wide: true },
    { title: "MESSAGE", cell: ({ message }) => shortRevision(message), elastic: true },
  ],
};
