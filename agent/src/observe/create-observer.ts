import { formatError } from "@muster/shared/errors";
import {
  BUNDLE_LABEL,
  formatObjectRef,
  Health,
  type Manifest,
  type ObjectRefText,
  objectRefOf,
  parseObjectRef,
} from "@muster/shared/model";
import { type Clock, type Random, Wakeup } from "@muster/shared/runtime";
import type { Logger } from "@muster/shared/telemetry";
import type { AgentFailpoint } from "../failpoints.ts";
import type { Cluster, ResourceType } from "../kube/cluster.ts";
import { type CrashNotes, NO_CRASH_NOTES } from "./crash-notes.ts";
import type { HealthRules } from "./health-rules.ts";
import {
  describes,
  FieldSetPool,
  isOlder,
  type ObservedObject,
  recordApplied,
  recordLive,
  recordMissing,
  recordUnreadable,
  type TellDrift,
  toObservation,
  versionOf,
} from "./observed-object.ts";
import type { AppliedObject, Observation, Observer } from "./observer.ts";
import { quarantined } from "./quarantine.ts";
import { watchType } from "./watch-type.ts";

/** Options of {@link createObserver}. */
export interface ObserverOptions {
  readonly cluster: Cluster;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Only these namespaces are watched; all of the cluster if absent or empty. */
  readonly watchNamespaces?: readonly string[];
  /** Milliseconds between two full lists of a type, ±20 %. Default 300 000. */
  readonly relistIntervalMs?: number;
  /** An object as Git has it, for telling what of it has drifted. Default: not known. */
  readonly wantedOf?: (bundle: string, ref: ObjectRefText) => Manifest | undefined;
  /** Whether drift is told with values, cut and masked. Default true. */
  readonly driftValues?: boolean;
  /** Default: none. */
  readonly failpoint?: AgentFailpoint;
  /** Default: nothing is noted. */
  readonly crashNotes?: CrashNotes;
}

export function createObserver(options: ObserverOptions): Observer {
  const { cluster, clock, random, logger, watchNamespaces = [], relistIntervalMs = 300_000, failpoint = () => {} } = options;
  const { wantedOf = () => undefined, driftValues = true, crashNotes = NO_CRASH_NOTES } = options;
  const tell: TellDrift = ({ bundle, ref }) => ({ wanted: wantedOf(bundle, ref), tellValues: driftValues });
  const objects = new Map<ObjectRefText, ObservedObject>();
  const byType = new Map<string, Set<ObservedObject>>();
  const started = new Map<string, ResourceType>();
  const listeners: ((observation: Observation) => void)[] = [];
  const pool = new FieldSetPool();
  const loops: Promise<void>[] = [];
  const rules = new Map<string, HealthRules>();
  const relists = new Map<string, Wakeup>();
  /** Objects whose health is by rules that are not in force any more. */
  const unjudged = new Set<ObservedObject>();
  let awaited: ReadonlySet<ObjectRefText> = new Set();
  let running: AbortSignal | undefined;
  let sequence = 0;

  const emit = (object: ObservedObject) => {
    const observation = toObservation(object);
    for (const listener of listeners) listener(observation);
  };
  const keyOf = (type: ResourceType) => `${type.group}/${type.version}/${type.plural}`;

  function track(object: ObservedObject): void {
    const key = keyOf(object.type);
    const set = byType.get(key) ?? new Set();
    set.add(object);
    byType.set(key, set);
    if (!started.has(key)) {
      started.set(key, object.type);
      if (running) startWatching(object.type, running);
    }
  }

  function startWatching(type: ResourceType, signal: AbortSignal): void {
    const scopes = type.namespaced && watchNamespaces.length > 0 ? watchNamespaces.map((namespace) => ({ namespace })) : [{}];
    for (const scope of scopes) {
      const relist = new Wakeup();
      relists.set(`${keyOf(type)} ${"namespace" in scope ? scope.namespace : ""}`, relist);
      loops.push(
        watchType(
          {
            cluster,
            clock,
            random,
            logger,
            type,
            relistIntervalMs,
            relist,
            failpoint,
            crashNotes,
            scope: { ...scope, labelSelector: BUNDLE_LABEL },
            sequence: () => sequence,
            onLive: see,
            onGone: (live) => gone(formatObjectRef(objectRefOf(live))),
            onListed: (versions, at) => void verifyListed(type, scope, versions, at, signal),
            onUnreadable: (message) => unreadable(type, scope, message),
          },
          signal,
        ),
      );
    }
  }

  function see(live: Manifest): void {
    const object = objects.get(formatObjectRef(objectRefOf(live)));
    // The echo of our own apply, and most of what a relist shows.
    if (!object || (object.applying === 0 && describes(object, live) && !unjudged.has(object))) return;
    if (object.applying > 0) {
      if (object.waiting === undefined || object.waiting === "deleted" || !isOlder(versionOf(live), versionOf(object.waiting)))
        object.waiting = live;
    } else if (record(object, live)) emit(object);
  }

  /** Rules may say something else of objects that have not changed: lists show them again. */
  function lookAgain(bundle: string, kinds: ReadonlySet<string>): void {
    for (const [key, set] of byType) {
      const meant = [...set].filter(({ bundle: its, type }) => its === bundle && kinds.has(`${type.group}/${type.kind}`));
      if (meant.length === 0) continue;
      for (const object of meant) unjudged.add(object);
      for (const [watched, relist] of relists) if (watched.startsWith(`${key} `)) relist.wake();
    }
  }

  /** Of an object that our own code fails on nothing is claimed; the watch of its type goes on (E121). */
  function record(object: ObservedObject, live: Manifest, isNewest = false): boolean {
    const before = object.resourceVersion;
    unjudged.delete(object);
    try {
      const changed = recordLive(object, live, tell, { isNewest, health: rules.get(object.bundle) });
      return changed || (awaited.has(object.ref) && object.resourceVersion !== before);
    } catch (error) {
      return recordUnreadable(object, formatError(quarantined(object.ref, error)));
    }
  }

  /** A watch that selects on our label also says “deleted” when the label was taken off: only a read tells. */
  function gone(ref: ObjectRefText): void {
    const object = objects.get(ref);
    if (!object) return;
    if (object.applying > 0) object.waiting = "deleted";
    else void verify(object);
  }

  /** Reads what a list or a watch seems to say of one object. An answer to a read is the newest there is, by definition. */
  async function verify(object: ObservedObject): Promise<void> {
    const { namespace, name } = parseObjectRef(object.ref);
    const { appliedAt: at, resourceVersion } = object;
    try {
      const live = await cluster.get(object.type, namespace, name, running);
      if (objects.get(object.ref) !== object || object.appliedAt !== at || object.applying > 0) return;
      // Nothing newer came meanwhile: an older version is the truth then, after a restore of etcd from a backup.
      const isNewest = object.resourceVersion === resourceVersion;
      if (live ? record(object, live, isNewest) : recordMissing(object)) emit(object);
    } catch (error) {
      // The next relist asks again; until then nothing is claimed.
      if (!running?.aborted) logger.debug({ object: object.ref, err: error }, "could not read an object that left its watch");
    }
  }

  /** Looks at what a list lacks, and at what it shows in an older version than the known one. */
  async function verifyListed(
    type: ResourceType,
    scope: { namespace?: string },
    listed: ReadonlyMap<ObjectRefText, string>,
    at: number,
    signal: AbortSignal,
  ): Promise<void> {
    for (const object of [...(byType.get(keyOf(type)) ?? [])]) {
      if (signal.aborted) return;
      if (object.appliedAt > at || object.applying > 0 || !inScope(object, scope)) continue;
      const version = listed.get(object.ref);
      if (version === undefined || isOlder(version, object.resourceVersion)) await verify(object);
    }
    pool.retain(new Set([...objects.values()].map((object) => object.fields)));
  }

  function unreadable(type: ResourceType, scope: { namespace?: string }, message: string): void {
    for (const object of byType.get(keyOf(type)) ?? []) {
      if (inScope(object, scope) && recordUnreadable(object, message)) emit(object);
    }
  }

  function inScope(object: ObservedObject, scope: { namespace?: string }): boolean {
    return scope.namespace === undefined || parseObjectRef(object.ref).namespace === scope.namespace;
  }

  function settle(object: ObservedObject): void {
    object.applying = Math.max(0, object.applying - 1);
    if (object.applying > 0) return;
    const waiting = object.waiting;
    object.waiting = undefined;
    if (waiting === "deleted") void verify(object);
    else if (waiting && record(object, waiting)) emit(object);
  }

  return {
    expectApply(ref) {
      const object = objects.get(ref);
      if (object) object.applying += 1;
    },
    applied(applied: AppliedObject) {
      const known = objects.get(applied.ref);
      const object = known ?? blank(applied);
      if (known && keyOf(known.type) !== keyOf(applied.type)) byType.get(keyOf(known.type))?.delete(known);
      object.appliedAt = ++sequence;
      try {
        recordApplied(object, applied, pool, tell, rules.get(applied.bundle));
      } catch (error) {
        // What was known stays, and events are heard again.
        if (known) settle(known);
        throw error;
      }
      objects.set(applied.ref, object);
      track(object);
      emit(object);
      settle(object);
    },
    applyFailed(ref) {
      const object = objects.get(ref);
      if (object) settle(object);
    },
    judgeBy(bundle, next) {
      const kinds = new Set([...(rules.get(bundle)?.keys() ?? []), ...next.keys()]);
      if (next.size > 0) rules.set(bundle, next);
      else rules.delete(bundle);
      lookAgain(bundle, kinds);
    },
    tellEveryChangeOf: (refs) => {
      awaited = refs;
    },
    forget(ref) {
      const object = objects.get(ref);
      if (!object) return;
      objects.delete(ref);
      unjudged.delete(object);
      byType.get(keyOf(object.type))?.delete(object);
    },
    get(ref) {
      const object = objects.get(ref);
      return object && toObservation(object);
    },
    *all() {
      for (const object of objects.values()) yield toObservation(object);
    },
    onChange: (listener) => void listeners.push(listener),
    async run(signal) {
      running = signal;
      for (const type of started.values()) startWatching(type, signal);
      await new Promise<void>((resolve) => {
        if (signal.aborted) resolve();
        else signal.addEventListener("abort", () => resolve(), { once: true });
      });
      await Promise.allSettled(loops);
    },
  };
}

function blank(applied: AppliedObject): ObservedObject {
  return {
    ref: applied.ref,
    bundle: applied.bundle,
    type: applied.type,
    uid: "",
    resourceVersion: "",
    fields: {},
    hash: "",
    loose: undefined,
    ruleProblem: undefined,
    health: Health.Unknown,
    message: "",
    drift: undefined,
    sharedWith: [],
    expiring: undefined,
    applying: 0,
    waiting: undefined,
    appliedAt: 0,
  };
}
