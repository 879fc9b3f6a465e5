import { CodedError } from "@muster/shared/errors";
import { formatObjectRef, type Manifest, type ObjectRefText, objectRefOf } from "@muster/shared/model";
import { type Clock, createBackoff, jitter, type Random, type Wakeup } from "@muster/shared/runtime";
import type { Logger } from "@muster/shared/telemetry";
import type { AgentFailpoint } from "../failpoints.ts";
import { type Cluster, type ListScope, listEach, type ResourceType } from "../kube/cluster.ts";
import { askedDelayMs } from "../kube/map-error.ts";
import type { CrashNotes } from "./crash-notes.ts";
import { versionOf } from "./observed-object.ts";

/** What one resource type's loops need. */
export interface WatchTypeOptions {
  readonly cluster: Cluster;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly type: ResourceType;
  readonly scope: ListScope;
  readonly relistIntervalMs: number;
  /** Woken: the next relist begins now. */
  readonly relist: Wakeup;
  /** The number of the last apply; what a list lacks counts only for applies before it. */
  readonly sequence: () => number;
  readonly onLive: (live: Manifest) => void;
  readonly onGone: (live: Manifest) => void;
  /** After a full list: what is in it with its resource version, and the sequence when it began. */
  readonly onListed: (versions: ReadonlyMap<ObjectRefText, string>, at: number) => void;
  /** The type cannot be read, for good or for {@link UNREADABLE_MS} already. */
  readonly onUnreadable: (message: string) => void;
  readonly failpoint: AgentFailpoint;
  readonly crashNotes: CrashNotes;
}

/** Milliseconds for which lists may fail before what was last seen counts for nothing: longer than a restart of an API server's replica. */
const UNREADABLE_MS = 5_000;

/**
 * Watches one type until the signal aborts. Two loops that do not know each other: the watch, which is fast and may miss,
 * and the relist, which is slow and right (reliability lesson 3).
 */
export async function watchType(options: WatchTypeOptions, signal: AbortSignal): Promise<void> {
  await Promise.all([options.type.verbs.includes("watch") ? watchLoop(options, signal) : undefined, relistLoop(options, signal)]);
}

async function watchLoop(options: WatchTypeOptions, signal: AbortSignal): Promise<void> {
  const { cluster, clock, random, logger, type, scope } = options;
  const backoff = createBackoff({ initialMs: 250, maxMs: 30_000, random });
  const failing = trackFailing(options);
  let resourceVersion: string | undefined;
  while (!signal.aborted) {
    const began = clock.monotonicMs();
    let askedMs = 0;
    try {
      resourceVersion ??= await list(options, signal);
      failing.ended();
      for await (const event of cluster.watch(type, { ...scope, resourceVersion }, signal)) {
        failing.ended();
        if (event.type === "bookmark") {
          resourceVersion = event.resourceVersion;
          continue;
        }
        resourceVersion = String(event.object.metadata["resourceVersion"] ?? resourceVersion);
        if (event.type === "deleted") options.onGone(event.object);
        else options.onLive(event.object);
      }
    } catch (error) {
      if (signal.aborted) return;
      // 410 Gone: our place in history was compacted away. Any other failure may also have hidden events: list again.
      resourceVersion = undefined;
      const coded = CodedError.from(error);
      logger.debug({ kind: type.kind, code: coded.code, err: coded }, "watch ended, listing again");
      failing.because(coded);
      askedMs = askedDelayMs(coded, random);
    }
    // A watch that lasted was healthy; one that ends at once must not become a storm (E265).
    if (clock.monotonicMs() - began > 60_000) backoff.reset();
    else await clock.sleep(Math.max(backoff.next(), askedMs), signal).catch(() => {});
  }
}

/** For how long one of the loops has been failing, and what that means for what is known. */
function trackFailing({ clock, onUnreadable }: WatchTypeOptions) {
  let sinceMs: number | undefined;
  return {
    ended() {
      sinceMs = undefined;
    },
    because({ code, message }: CodedError) {
      sinceMs ??= clock.monotonicMs();
      const isLasting = code === "KUBE_FORBIDDEN" || code === "KUBE_UNAUTHORIZED" || code === "OBJECT_QUARANTINED";
      if (isLasting || clock.monotonicMs() - sinceMs > UNREADABLE_MS) onUnreadable(message);
    },
  };
}

async function relistLoop(options: WatchTypeOptions, signal: AbortSignal): Promise<void> {
  const { random, logger, type, relistIntervalMs } = options;
  const backoff = createBackoff({ initialMs: 2_000, maxMs: Math.min(60_000, relistIntervalMs), random });
  const failing = trackFailing(options);
  let waitMs = jitter(relistIntervalMs, random, 0.2);
  while (!signal.aborted) {
    await rest(options, waitMs, signal);
    if (signal.aborted) return;
    try {
      await list(options, signal);
      failing.ended();
      backoff.reset();
      waitMs = jitter(relistIntervalMs, random, 0.2);
    } catch (error) {
      if (signal.aborted) return;
      const coded = CodedError.from(error);
      logger.debug({ kind: type.kind, code: coded.code, err: coded }, "relist failed, trying again");
      // The list is what is right: while it fails, a watch that is merely open and silent proves nothing (E006, E115).
      failing.because(coded);
      waitMs = Math.max(backoff.next(), askedDelayMs(coded, random));
    }
  }
}

/** Until the time has passed, or somebody asks for a relist. */
async function rest({ clock, relist }: WatchTypeOptions, ms: number, signal: AbortSignal): Promise<void> {
  const awake = new AbortController();
  clock.sleep(ms, AbortSignal.any([signal, awake.signal])).then(
    () => relist.wake(),
    () => {},
  );
  await relist.wait(undefined, signal);
  awake.abort();
}

async function list(options: WatchTypeOptions, signal: AbortSignal): Promise<string> {
  const { group, kind } = options.type;
  const { namespace = "" } = options.scope;
  const what = `All objects of the kind ${kind}${group && ` (${group})`}${namespace && ` in ${namespace}`}`;
  const over = await options.crashNotes.begin(`list:${group}/${kind}/${namespace}`, what, signal);
  try {
    return await listNoted(options, signal);
  } finally {
    over();
  }
}

async function listNoted(options: WatchTypeOptions, signal: AbortSignal): Promise<string> {
  const at = options.sequence();
  const versions = new Map<ObjectRefText, string>();
  let isAnswered = false;
  const answered = () => {
    if (!isAnswered) options.failpoint("agent.duringRelist");
    isAnswered = true;
  };
  const see = (item: Manifest) => {
    answered();
    versions.set(formatObjectRef(objectRefOf(item)), versionOf(item));
    options.onLive(item);
  };
  const resourceVersion = await listEach(
    options.cluster,
    options.type,
    { ...options.scope, onRestart: () => versions.clear() },
    see,
    signal,
  );
  answered();
  options.onListed(versions, at);
  return resourceVersion;
}
