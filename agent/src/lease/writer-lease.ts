import { randomUUID } from "node:crypto";
import { CodedError } from "@muster/shared/errors";
import { isJsonObject, type Manifest } from "@muster/shared/model";
import { type Clock, createBackoff, type Random } from "@muster/shared/runtime";
import type { Logger } from "@muster/shared/telemetry";
import { isDenial } from "../kube/admission.ts";
import type { Cluster, ResourceType } from "../kube/cluster.ts";

/** Options of {@link createWriterLease}. */
export interface WriterLeaseOptions {
  readonly cluster: Pick<Cluster, "get" | "list" | "create" | "replace" | "watch">;
  /** The agent's own namespace. */
  readonly namespace: string;
  /** Of this process; nobody else's. */
  readonly instance: string;
  /** Milliseconds between two questions of a waiting agent. Default 15 000, ±20 %. */
  readonly askEveryMs?: number;
  /** Milliseconds that the writer has to answer. Default 10 000. */
  readonly answerMs?: number;
  /** Called once for every other instance that turns out to run. */
  readonly onQuestion?: (message: string) => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/**
 * Who of several agents with one identity writes (E186, I16): a Lease in the agent's own namespace names it.
 *
 * Whoever starts last takes it over, so that a new pod works at once and does not wait for what an old one may still do. The one
 * before stands by; it asks the writer now and then by a question in the Lease, and takes over if no answer comes. So a lone agent
 * writes the Lease once and never renews it: at rest nothing is written (I9).
 */
export interface WriterLease {
  /** Takes it over, whoever has it. Throws KUBE_*; of these, KUBE_DENIED stands in the way of every write until it succeeds. */
  take(signal: AbortSignal): Promise<void>;
  /**
   * Resolves if this instance has the Lease, as of at most {@link FRESH_MS} ago. Throws AGENT_STANDBY, KUBE_DENIED
   * while admission does not let it be taken, or another KUBE_*.
   */
  ensure(signal?: AbortSignal): Promise<void>;
  /** A person has paused the agent in its cluster, as of the last look: the annotation `muster.dev/paused` is `true`. */
  readonly isPaused: boolean;
  /** Somebody else has written what is ours: the next {@link ensure} looks. */
  doubt(): void;
  /** Answers questions; resolves with the name of the instance that has taken over. */
  hold(signal: AbortSignal): Promise<string>;
  /** Resolves when the writer does not answer, or there is none. */
  standBy(signal: AbortSignal): Promise<void>;
}

/**
 * Milliseconds for which a look at the Lease is good. A stopped process that goes on within it may still write what it was about to:
 * an apply of the same or of an older slice, which the writer mends, or a deletion, which carries the object's UID.
 */
const FRESH_MS = 1_000;

/** Milliseconds after which an answer about the Lease is too old to go by: this process was stopped meanwhile, or asks again. */
const ANSWER_MS = 5_000;

/** Other instances that are told of. */
const MAX_TOLD = 16;

const NAME = "muster-agent";
/** Watches select by it. */
const LABEL = "muster.dev/lease";
const QUESTION = "muster.dev/question";
const ANSWER = "muster.dev/answer";
/** Set by people, in the cluster itself, and heeded whatever hub and NATS say. */
const PAUSED = "muster.dev/paused";

const LEASES: ResourceType = {
  group: "coordination.k8s.io",
  version: "v1",
  kind: "Lease",
  plural: "leases",
  namespaced: true,
  verbs: ["watch"],
};

export function createWriterLease(options: WriterLeaseOptions): WriterLease {
  const { cluster, namespace, instance, clock, random, logger, askEveryMs = 15_000, answerMs = 10_000 } = options;
  let verifiedMs = Number.NEGATIVE_INFINITY;
  let doubtedMs = Number.NEGATIVE_INFINITY;
  let lostTo: string | undefined;
  let isPaused = false;
  /** Admission has refused that this instance takes it. */
  let refusal: unknown;
  /** Instances that have asked, so that each is told of once; only the last few, which is enough for people. */
  const told = new Set<string>();

  /** Notes who has the Lease, as of a question at `askedMs`. Gives true if it is this instance. */
  function note(lease: Manifest | undefined, askedMs = Number.NEGATIVE_INFINITY): boolean {
    const holder = lease && holderOf(lease);
    if (lease) isPaused = annotation(lease, PAUSED) === "true";
    if (holder !== instance) lostTo ??= holder ?? "nobody";
    // Whoever was stopped between answer and hearing must not take the answer for a new one.
    if (lostTo === undefined && askedMs > doubtedMs) verifiedMs = Math.max(verifiedMs, askedMs);
    return lostTo === undefined;
  }

  const read = (signal?: AbortSignal) => cluster.get(LEASES, namespace, NAME, signal);

  /** Writes it if nobody else has since it was read. Gives undefined if somebody has. */
  async function write(before: Manifest | undefined, change: Change, signal?: AbortSignal): Promise<Manifest | undefined> {
    const manifest = leaseOf(before, change, namespace);
    try {
      return before ? await cluster.replace(LEASES, manifest, signal) : await cluster.create(LEASES, manifest, signal);
    } catch (error) {
      if (error instanceof CodedError && (error.code === "KUBE_CONFLICT" || error.code === "KUBE_NOT_FOUND")) return undefined;
      throw error;
    }
  }

  const now = () => microTime(clock.wallMs());

  function tellOf(other: string): void {
    if (told.has(other) || told.size >= MAX_TOLD) return;
    told.add(other);
    const message = `Another agent with this cluster's identity runs (instance ${other}) and stands by; one of the two must be stopped`;
    logger.warn({ code: "AGENT_STANDBY" }, message);
    options.onQuestion?.(message);
  }

  async function answer(lease: Manifest, signal: AbortSignal): Promise<void> {
    const question = annotation(lease, QUESTION);
    if (question === undefined || question === annotation(lease, ANSWER)) return;
    tellOf(question.split(" ")[0] ?? "");
    // Whoever writes meanwhile makes another event.
    await write(lease, { annotations: { [ANSWER]: question }, spec: { renewTime: now() } }, signal);
  }

  /** true if the writer lives, as far as can be told. */
  async function ask(signal: AbortSignal): Promise<boolean> {
    const lease = await read(signal);
    const holder = lease && holderOf(lease);
    if (!lease || holder === undefined || holder === instance) return false;
    const question = `${instance} ${randomUUID()}`;
    const asked = await write(lease, { annotations: { [QUESTION]: question } }, signal);
    // Somebody has written: it lives.
    if (!asked) return true;
    const untilMs = clock.monotonicMs() + answerMs;
    while (clock.monotonicMs() < untilMs) {
      await clock.sleep(Math.min(500, answerMs / 4), signal);
      const later = await read(signal);
      if (!later) return false;
      // Answered, taken over, or asked by another one that stands by, which is waited for.
      const isOpen = holderOf(later) === holder && annotation(later, QUESTION) === question && annotation(later, ANSWER) !== question;
      if (!isOpen) return true;
    }
    return false;
  }

  /** What a list shows: is it ours still, was it deleted, does somebody ask? Gives false if another one has it. */
  async function look(lease: Manifest | undefined, signal: AbortSignal): Promise<boolean> {
    if (lease) {
      if (!note(lease)) return false;
      await answer(lease, signal);
    } else if (lostTo === undefined) {
      // Deleted by somebody: it is still ours, and is made again before the next one takes it.
      await write(undefined, { spec: { holderIdentity: instance, acquireTime: now(), renewTime: now() } }, signal);
    }
    return true;
  }

  /** Answers until another one has it (false), or the watch ends. */
  async function follow(signal: AbortSignal): Promise<boolean> {
    const scope = { namespace, labelSelector: LABEL };
    const { items, resourceVersion } = await cluster.list(LEASES, scope, signal);
    if (!(await look(items[0], signal))) return false;
    for await (const event of cluster.watch(LEASES, { ...scope, resourceVersion }, signal)) {
      if (event.type === "bookmark") continue;
      if (event.type === "deleted") return true;
      if (!(await look(event.object, signal))) return false;
    }
    return true;
  }

  return {
    async take(signal) {
      for (;;) {
        const before = await read(signal);
        if (before) isPaused = annotation(before, PAUSED) === "true";
        const previous = before && holderOf(before);
        const transitions = Number((before?.["spec"] as { leaseTransitions?: number } | undefined)?.leaseTransitions ?? -1) + 1;
        const spec = { holderIdentity: instance, acquireTime: now(), renewTime: now(), leaseTransitions: transitions };
        const askedMs = clock.monotonicMs();
        const taken = await write(before, { spec, annotations: {} }, signal).catch((error: unknown) => {
          if (isDenial(error)) refusal = error;
          throw error;
        });
        if (!taken) continue;
        [lostTo, refusal] = [undefined, undefined];
        note(taken, askedMs);
        if (previous !== undefined && previous !== instance) logger.info({ previous }, "took over from the agent that wrote before");
        return;
      }
    },
    async ensure(signal) {
      if (refusal) throw refusal;
      if (lostTo === undefined && clock.monotonicMs() - verifiedMs < FRESH_MS) return;
      while (lostTo === undefined) {
        const askedMs = clock.monotonicMs();
        if (note(await read(signal), askedMs) && clock.monotonicMs() - askedMs < ANSWER_MS) return;
      }
      throw new CodedError("AGENT_STANDBY", `The agent instance ${lostTo} writes this cluster; this one stands by`);
    },
    get isPaused() {
      return isPaused;
    },
    doubt() {
      verifiedMs = Number.NEGATIVE_INFINITY;
      doubtedMs = clock.monotonicMs();
    },
    async hold(signal) {
      const backoff = createBackoff({ random });
      while (!signal.aborted) {
        try {
          if (!(await follow(signal))) break;
          backoff.reset();
        } catch (error) {
          if (signal.aborted) break;
          logger.debug({ err: error }, "the lease could not be watched; trying again");
          await clock.sleep(backoff.next(), signal).catch(() => {});
        }
      }
      return lostTo ?? "";
    },
    async standBy(signal) {
      while (!signal.aborted) {
        await clock.sleep(askEveryMs * (0.8 + 0.4 * random()), signal);
        try {
          if (!(await ask(signal))) return;
        } catch (error) {
          if (signal.aborted) throw error;
          // Whether the writer lives cannot be told now.
          logger.debug({ err: error }, "the writer could not be asked; trying again");
        }
      }
    },
  };
}

/** What a write of the Lease changes; `annotations` replaces question and answer. */
interface Change {
  readonly spec?: Readonly<Record<string, string | number>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

function leaseOf(before: Manifest | undefined, { spec, annotations }: Change, namespace: string): Manifest {
  const known = before ? annotationsOf(before) : {};
  const { [QUESTION]: question, [ANSWER]: _, ...others } = known;
  const kept = annotations && !(QUESTION in annotations) && ANSWER in annotations && question !== undefined ? { [QUESTION]: question } : {};
  const version = before?.metadata["resourceVersion"];
  return {
    apiVersion: "coordination.k8s.io/v1",
    kind: "Lease",
    metadata: {
      name: NAME,
      namespace,
      labels: { [LABEL]: "agent", "app.kubernetes.io/managed-by": "muster-agent" },
      annotations: { ...others, ...kept, ...annotations },
      ...(version !== undefined && { resourceVersion: String(version) }),
    },
    spec: { ...(isJsonObject(before?.["spec"]) ? before["spec"] : {}), ...spec },
  };
}

function holderOf(lease: Manifest): string | undefined {
  const spec = lease["spec"];
  const holder = isJsonObject(spec) ? spec["holderIdentity"] : undefined;
  return typeof holder === "string" && holder !== "" ? holder : undefined;
}

function annotationsOf(lease: Manifest): Record<string, string> {
  const value = lease.metadata["annotations"];
  return isJsonObject(value) ? (value as Record<string, string>) : {};
}

function annotation(lease: Manifest, key: string): string | undefined {
  return annotationsOf(lease)[key];
}

/** RFC 3339 with microseconds, as a Lease wants it (metav1.MicroTime). */
function microTime(wallMs: number): string {
  return new Date(wallMs).toISOString().replace("Z", "000Z");
}
