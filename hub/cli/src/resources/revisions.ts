import { CodedError } from "@muster/shared/errors";
import type { Revision } from "../api-views.ts";
import { formatAge } from "../output/age.ts";
import { count, ratio, shortRevision } from "../words.ts";
import type { Resource } from "./resource.ts";

/** `muster get revisions`. */
export const REVISIONS: Resource<Revision> = {
  plural: "revisions",
  singular: "revision",
  aliases: ["revision", "rev"],
  summary: "what Git said, newest first, and how far it has come",
  nameHelp: "a commit (7 or more digits), or the whole revision",
  filters: [],
  changedBy: ["revision", "cluster", "fleet"],
  empty: "No revisions yet.",
  names: () => ({}),
  async fetch(api, request) {
    const all = await api.list<Revision>("/revisions");
    const { name } = request;
    if (name === undefined) return { items: all, single: false };
    const items = all.filter(({ revision }) => revision === name || (/^[0-9a-f]{7,}$/.test(name) && revision.includes(`:${name}`)));
    if (items.length === 0) throw new CodedError("API_NOT_FOUND", `There is no revision ${name}`);
    return { items, single: items.length === 1 };
  },
  key: (revision) => revision.revision,
  compare: () => 0,
  columns: (nowMs) => [
    { title: "REVISION", cell: ({ revision }) => shortRevision(revision), elastic: true },
    {
      title: "STATE",
      cell: ({ current }) => (current ? { text: "Current", tone: "good" } : { text: "Past", tone: "faint" }),
      gone: "Gone",
    },
    { title: "AGE", cell: ({ at }) => formatAge(at, nowMs) },
    { title: "APPLIED", cell: ({ clusters }) => ratio(clusters.applied, clusters.total) },
    { title: "SLICES", align: "right", cell: ({ publishedSlices }) => String(publishedSlices), wide: true },
    { title: "PROBLEMS", align: "right", cell: ({ problems }) => count(problems, "bad") },
    { title: "AUTHOR", cell: ({ author }) => author, elastic: true, optional: true },
    { title: "SUBJECT", cell: ({ subject }) => subject, elastic: true },
  ],
};
