import { createPublicKey, type KeyObject } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type ObjectRefText, parseObjectRef, type Slice } from "@muster/shared/model";
import { clusterOfSliceSubject, decodeSlice, HUB_INBOX_PREFIX, SLICE_STREAM, SLICE_SUBJECTS, sliceSubject } from "@muster/shared/wire";
import { connect, credsAuthenticator, Events, type NatsConnection } from "nats";
import type { AuditEntry } from "./audit-log.ts";
import type { Clusters } from "./clusters.ts";

/** What the deletions of a fleet's agents were. */
export interface DeletionReport {
  /** Deletions that an API server has granted to an agent. */
  readonly total: number;
  /** Those that no verified slice explains, as `cluster: Kind namespace/name (verb at time)`. Always empty, or Muster has lost something. */
  readonly unexplained: readonly string[];
}

/** Holds the deletions in the audit logs against the slices that were published (invariants I1 to I3). */
export interface DeleteOracle {
  report(): Promise<DeletionReport>;
  stop(): Promise<void>;
}

/** A slice as it was heard. */
export interface RecordedSlice {
  /** Milliseconds since 1970. */
  readonly atMs: number;
  /** What must live under it. */
  readonly covered: ReadonlySet<ObjectRefText>;
}

/** The test's process may be busy while an agent in its own process already acts. */
const TOLERANCE_MS = 2_000;
/** How long an agent may still be at work on a slice after a newer one was published. */
const LAG_MS = 10_000;

/**
 * Listens to every slice from now on, as the hub does, and believes only those that the hub has signed. A deletion is explained if
 * the agent had applied the object before (what it owns stands in its inventory), if an earlier slice of its cluster had the object,
 * and if a slice that may have been in force at the time of the deletion had it no more.
 */
export async function startDeleteOracle(options: {
  readonly natsUrl: string;
  readonly hubDataDir: string;
  readonly clusters: Clusters;
  /** Tells agents by their user name in the audit logs. */
  readonly isAgent: (user: string) => boolean;
}): Promise<DeleteOracle> {
  const pinned = [createPublicKey(readFileSync(join(options.hubDataDir, "signing-key.pub.pem")))];
  const history = new Map<string, RecordedSlice[]>();
  const connection = await connect({
    servers: options.natsUrl,
    authenticator: credsAuthenticator(readFileSync(join(options.hubDataDir, "nats/hub.creds"))),
    inboxPrefix: HUB_INBOX_PREFIX,
    reconnectTimeWait: 50,
    maxReconnectAttempts: -1,
  });
  const take = (subject: string, message: string) => {
    const slice = verified(message, pinned);
    if (!slice || slice.cluster !== clusterOfSliceSubject(subject)) return;
    const known = history.get(slice.cluster) ?? [];
    history.set(slice.cluster, [...known, { atMs: Date.now(), covered: coveredBy(slice, known) }]);
  };
  connection.subscribe(SLICE_SUBJECTS, { callback: (error, message) => error ?? take(message.subject, message.string()) });
  const catchUp = () => lastSlices(connection, options.clusters, take);
  void (async () => {
    for await (const status of connection.status()) if (status.type === Events.Reconnect) await catchUp();
  })();
  await connection.flush();
  await catchUp();
  return {
    async report() {
      const deleted = options.clusters.all.flatMap((apiserver) => {
        const { granted, unexplained } = judgeDeletions(
          apiserver.audit().filter((entry) => options.isAgent(entry.user)),
          history.get(apiserver.name) ?? [],
        );
        return granted.map((entry) => ({ cluster: apiserver.name, entry, isExplained: !unexplained.includes(entry) }));
      });
      return {
        total: deleted.length,
        unexplained: deleted
          .filter((deletion) => !deletion.isExplained)
          .map(({ cluster, entry }) => `${cluster}: ${entry.resource} ${entry.namespace}/${entry.name} (${entry.verb} at ${entry.at})`),
      };
    },
    stop: () => connection.close(),
  };
}

function verified(message: string, pinned: readonly KeyObject[]): Slice | undefined {
  try {
    return decodeSlice(message, pinned).slice;
  } catch {
    // Tests forge slices; no deletion may be explained by one.
    return undefined;
  }
}

/** What must live under a slice: the objects of its bundles, what is retained, and all that a kept bundle ever had. */
function coveredBy(slice: Slice, before: readonly RecordedSlice[]): Set<ObjectRefText> {
  const covered = new Set<ObjectRefText>(slice.retained ?? []);
  for (const bundle of slice.bundles) if (bundle.state === "desired") for (const ref of bundle.objects) covered.add(ref);
  // A kept bundle names no object, so nothing of the slice before may go.
  if (slice.bundles.some((bundle) => bundle.state === "keep")) for (const ref of before.at(-1)?.covered ?? []) covered.add(ref);
  return covered;
}

async function lastSlices(connection: NatsConnection, clusters: Clusters, take: (subject: string, message: string) => void): Promise<void> {
  const manager = await connection.jetstreamManager({ checkAPI: false, timeout: 1_000 });
  for (const { name } of clusters.all) {
    const subject = sliceSubject(name);
    // None yet, or the server is away again: what is published later is heard.
    const last = await manager.streams.getMessage(SLICE_STREAM, { last_by_subj: subject }).catch(() => undefined);
    if (last) take(subject, last.string());
  }
}

function isGrantedDeletion(entry: AuditEntry): boolean {
  // The agent's own state in its own namespace is no object of anybody's.
  const own = entry.resource === "secrets" && entry.name.startsWith("muster-state-");
  return entry.verb.startsWith("delete") && !entry.dryRun && entry.code < 400 && !own;
}

/** The deletions among one agent's audit entries, and those that nothing explains, given every slice of its cluster in order. */
export function judgeDeletions(
  entries: readonly AuditEntry[],
  slices: readonly RecordedSlice[],
): { readonly granted: readonly AuditEntry[]; readonly unexplained: readonly AuditEntry[] } {
  const granted = entries.filter(isGrantedDeletion);
  return { granted, unexplained: granted.filter((entry) => !wasApplied(entry, entries) || !isExplained(entry, slices)) };
}

/** The agent, and nobody else, has written the object before: a deletion is of what it owns. */
function wasApplied(deletion: AuditEntry, entries: readonly AuditEntry[]): boolean {
  return entries.some(
    (entry) =>
      entry.verb === "patch" &&
      entry.code < 400 &&
      !entry.dryRun &&
      entry.at <= deletion.at &&
      entry.group === deletion.group &&
      entry.resource === deletion.resource &&
      entry.namespace === deletion.namespace &&
      entry.name === deletion.name,
  );
}

function isExplained(entry: AuditEntry, slices: readonly RecordedSlice[]): boolean {
  const atMs = Date.parse(entry.at);
  const published = slices.filter((slice) => slice.atMs <= atMs + TOLERANCE_MS);
  const first = published.findIndex((slice) => holds(slice, entry));
  if (first < 0) return false;
  const until = (index: number) => published[index + 1]?.atMs ?? Number.POSITIVE_INFINITY;
  return published.some((slice, index) => index > first && until(index) > atMs - LAG_MS && !holds(slice, entry));
}

function holds({ covered }: RecordedSlice, entry: AuditEntry): boolean {
  for (const text of covered) {
    const { group, kind, namespace, name } = parseObjectRef(text);
    // A namespace is its own `namespace` in the audit log.
    const sameNamespace = namespace === entry.namespace || (kind === "Namespace" && entry.namespace === name);
    if (name === entry.name && group === entry.group && sameNamespace && resourceOf(kind) === entry.resource) return true;
  }
  return false;
}

/** As apimachinery's `meta.UnsafeGuessKindToResource` does; true for every kind that Kubernetes has, and for our tests' own. */
function resourceOf(kind: string): string {
  const lower = kind.toLowerCase();
  if (lower === "endpoints") return lower;
  if (lower.endsWith("s")) return `${lower}es`;
  if (lower.endsWith("y")) return `${lower.slice(0, -1)}ies`;
  return `${lower}s`;
}
