import { Freshness, Health, SyncState } from "@muster/shared/model";
import type { Bundle, Cluster, Condition, Target } from "./api-views.ts";
import { formatAge } from "./output/age.ts";
import type { Tone } from "./output/style.ts";

/** What stands in a STATE column. `rank` orders: the higher, the more it needs somebody. */
export interface StateWord {
  readonly text: string;
  readonly tone: Tone;
  readonly rank: number;
}

const SYNC_WORDS: Readonly<Record<string, StateWord>> = {
  [SyncState.Failed]: { text: "Failed", tone: "bad", rank: 9 },
  Held: { text: "Held", tone: "bad", rank: 8 },
  Refused: { text: "Refused", tone: "bad", rank: 8 },
  [SyncState.OutOfSync]: { text: "OutOfSync", tone: "warn", rank: 6 },
  [SyncState.Pending]: { text: "Pending", tone: "warn", rank: 4 },
  [SyncState.Progressing]: { text: "Progressing", tone: "warn", rank: 3 },
  [SyncState.Paused]: { text: "Paused", tone: "warn", rank: 2 },
  [SyncState.Synced]: { text: "Synced", tone: "good", rank: 0 },
};

const UNKNOWN: StateWord = { text: "Unknown", tone: "warn", rank: 5 };
const NO_TARGETS: StateWord = { text: "NoTargets", tone: "plain", rank: 1 };

function word(name: string): StateWord {
  return SYNC_WORDS[name] ?? UNKNOWN;
}

function staleWord(freshness: Freshness, lastHeard: string | undefined, nowMs: number): StateWord {
  if (freshness === Freshness.Never) return { text: "NeverHeard", tone: "warn", rank: 5 };
  return { text: lastHeard === undefined ? "Stale" : `Stale ${formatAge(lastHeard, nowMs)}`, tone: "bad", rank: 7 };
}

/** A condition that holds something back, in contrast to a remark such as a skipped Helm hook. */
export function isHolding(condition: Condition): boolean {
  return (
    condition.status === "True" &&
    [
      "Held",
      "Invalid",
      "RevisionHeld",
      "PublishFailed",
      "SliceRefused",
      "DeletionHeld",
      "PruneFailed",
      "FetchFailed",
      "TransportFailed",
    ].includes(condition.type)
  );
}

/** One word for a cluster: what most needs a person, first. */
export function clusterWord(cluster: Cluster, nowMs: number): StateWord {
  if (cluster.freshness !== Freshness.Live) return staleWord(cluster.freshness, cluster.lastHeard, nowMs);
  if (cluster.sliceProblem) return word("Refused");
  if (cluster.sync === SyncState.Failed) return word(cluster.sync);
  if (cluster.heldDeletion || cluster.conditions.some(isHolding)) return word("Held");
  if (cluster.paused) return word(SyncState.Paused);
  if (cluster.targets.total === 0 && cluster.sync === SyncState.Synced) return NO_TARGETS;
  return word(cluster.sync);
}

/** One word for a target. `lastHeard` is the cluster's. */
export function targetWord(target: Target, lastHeard: string | undefined, nowMs: number): StateWord {
  if (target.freshness !== Freshness.Live) return staleWord(target.freshness, lastHeard, nowMs);
  if (target.sync === SyncState.Failed) return word(target.sync);
  if (target.conditions.some(isHolding)) return word("Held");
  return word(target.sync);
}

/** One word for a bundle over all of its clusters. */
export function bundleWord(bundle: Bundle): StateWord {
  const { total, synced, healthy, drifted, failed, unknown } = bundle.targets;
  if (bundle.conditions.some(isHolding)) return word("Held");
  if (failed > 0) return word(SyncState.Failed);
  if (drifted > 0) return word(SyncState.OutOfSync);
  if (total === 0) return NO_TARGETS;
  if (unknown > 0) return UNKNOWN;
  if (synced < total) return word(SyncState.Progressing);
  return healthy < total ? { text: "Unhealthy", tone: "warn", rank: 3 } : word(SyncState.Synced);
}

const HEALTH_TONES: Readonly<Record<Health, Tone>> = {
  [Health.Current]: "good",
  [Health.InProgress]: "warn",
  [Health.Terminating]: "warn",
  [Health.Unknown]: "faint",
  [Health.NotFound]: "bad",
  [Health.Failed]: "bad",
};

/** A health with its tone; `Current` is what kubectl users know as healthy. */
export function healthWord(health: Health): { text: string; tone: Tone } {
  return { text: health === Health.Current ? "Healthy" : health, tone: HEALTH_TONES[health] ?? "plain" };
}

/** How much a health needs somebody; for ordering. */
export function healthRank(health: Health): number {
  return (
    { [Health.Current]: 0, [Health.InProgress]: 1, [Health.Terminating]: 1, [Health.Unknown]: 2, [Health.NotFound]: 3, [Health.Failed]: 4 }[
      health
    ] ?? 2
  );
}

/** Shortens the commits of a revision: `main@sha1:<40 hex>` to `main@3f2a1b9`. */
export function shortRevision(revision: string | undefined): string {
  return (revision ?? "").replaceAll(/@sha\d+:([0-9a-f]{7})[0-9a-f]*/g, "@$1");
}

/** Shortens a digest to 12 hexadecimal digits. */
export function shortDigest(digest: string | undefined): string {
  return (digest ?? "").replace(/^sha256:/, "").slice(0, 12);
}

/** `env=prod,region=eu`. */
export function formatLabels(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .sort()
    .join(",");
}

/** A number that only draws the eye if it is not zero. */
export function count(value: number, tone: Tone): { text: string; tone: Tone } {
  return value === 0 ? { text: "-", tone: "faint" } : { text: String(value), tone };
}

/** `3/4`, in a tone that says whether that is all of them. */
export function ratio(part: number, whole: number, tone: Tone = "warn"): { text: string; tone: Tone } {
  return { text: `${part}/${whole}`, tone: part < whole ? tone : "plain" };
}

/** `1 cluster`, `2 clusters`. */
export function plural(value: number, noun: string): string {
  return `${value} ${noun}${value === 1 ? "" : "s"}`;
}
