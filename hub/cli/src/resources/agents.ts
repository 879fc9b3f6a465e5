import type { Agent } from "../api-views.ts";
import { formatAge } from "../output/age.ts";
import type { Cell } from "../output/table.ts";
import { byRank, type Resource } from "./resource.ts";

const RANKS: Readonly<Record<Agent["state"], number>> = { Pending: 3, Invited: 2, None: 1, Enrolled: 0 };
const TONES = { Pending: "bad", Invited: "warn", None: "warn", Enrolled: "good" } as const;
/** Characters of a fingerprint that are enough to compare by eye. */
const SHORT = 16;

/** `muster get agents`. */
export const AGENTS: Resource<Agent> = {
  plural: "agents",
  singular: "agent",
  aliases: ["agent", "ag"],
  summary: "who acts for which cluster, and who waits for an approval",
  nameHelp: "a cluster",
  filters: [],
  changedBy: ["cluster", "fleet"],
  empty: "No clusters.",
  names: ({ name }) => ({ cluster: name }),
  async fetch(api, request) {
    if (request.name === undefined) return { items: await api.list<Agent>("/agents"), single: false };
    return { items: [await api.get<Agent>(`/agents/${encodeURIComponent(request.name)}`)], single: true };
  },
  key: ({ cluster }) => cluster,
  compare: byRank(
    ({ state }) => RANKS[state],
    ({ cluster }) => cluster,
  ),
  columns: (nowMs) => [
    { title: "CLUSTER", cell: ({ cluster }) => cluster },
    { title: "STATE", cell: ({ state }) => ({ text: state, tone: TONES[state] }) },
    { title: "CONNECTED", cell: ({ connected }) => (connected ? "yes" : "no") },
    { title: "FINGERPRINT", cell: ({ fingerprint }) => fingerprint?.slice(0, SHORT) ?? "" },
    { title: "SINCE", cell: ({ since }) => formatAge(since, nowMs) },
    { title: "CERTIFICATE", cell: (agent) => certificate(agent, nowMs) },
    { title: "WAITING", cell: ({ pending }) => (pending ? `${pending.fingerprint.slice(0, SHORT)} (${pending.reason})` : "") },
    { title: "FROM", cell: ({ origin }) => origin ?? "", wide: true },
    { title: "REVOKED", align: "right", cell: ({ revoked }) => (revoked > 0 ? String(revoked) : ""), wide: true },
  ],
};

function certificate({ certificateEndsAt }: Agent, nowMs: number): Cell {
  if (certificateEndsAt === undefined) return "";
  const days = Math.floor((Date.parse(certificateEndsAt) - nowMs) / 86_400_000);
  return days < 0 ? { text: "ended", tone: "bad" } : { text: `${days} days`, tone: days < 5 ? "warn" : "plain" };
}
