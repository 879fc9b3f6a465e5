import {
  type DriftDetail,
  DriftKind,
  type FieldOwner,
  Health,
  isJsonObject,
  type Manifest,
  type ObjectRefText,
} from "@muster/shared/model";
import { canonicalJson } from "@muster/shared/wire";
import type { ResourceType } from "../kube/cluster.ts";
import { withEmptyFields } from "./empty-fields.ts";
import { type DriftContext, explainDrift } from "./explain-drift.ts";
import { type FieldSet, ownedFields, projectionHash, withoutIgnored } from "./field-set.ts";
import { computeHealth } from "./health.ts";
import type { HealthRules } from "./health-rules.ts";
import { fixedPaths } from "./ignore-rules.ts";
import { type LooseFields, looseDrift, splitFields } from "./loose-fields.ts";
import type { AppliedObject, Observation } from "./observer.ts";
import { sharedFields } from "./shared-fields.ts";

/** What is kept of one object: a few hundred bytes, never the object. */
export interface ObservedObject {
  readonly ref: ObjectRefText;
  bundle: string;
  type: ResourceType;
  uid: string;
  /** Of the state that the rest describes. */
  resourceVersion: string;
  /** Fields that our last apply owned, less ignored ones; shared between objects of the same shape. */
  fields: FieldSet;
  /** Hash of our fields as the server normalised them. */
  hash: string;
  /** Where rules leave fields to others that depend on how the object is. */
  loose: LooseFields | undefined;
  /** A condition of such a rule that could not be told. */
  ruleProblem: string | undefined;
  health: Health;
  message: string;
  drift: DriftDetail | undefined;
  sharedWith: readonly FieldOwner[];
  /** A Job that has run and removes itself after its time to live: that it is gone then is no drift (E132). */
  expiring: Health | undefined;
  /** Applies of our own that are under way; while there are any, events wait in `waiting`. */
  applying: number;
  waiting: Manifest | "deleted" | undefined;
  /** Grows with every apply; a list that began before it says nothing about absence. */
  appliedAt: number;
}

/** What an object's drift is explained with. */
export type TellDrift = (object: ObservedObject) => DriftContext;

/** Field sets by their text, so that a thousand objects of one shape share one. */
export class FieldSetPool {
  readonly #pool = new Map<string, FieldSet>();

  intern(fields: FieldSet): FieldSet {
    const key = canonicalJson(fields);
    const known = this.#pool.get(key);
    if (known) return known;
    this.#pool.set(key, fields);
    return fields;
  }

  /** Forgets sets that nobody uses any more. */
  retain(used: ReadonlySet<FieldSet>): void {
    for (const [key, fields] of this.#pool) if (!used.has(fields)) this.#pool.delete(key);
  }

  get size(): number {
    return this.#pool.size;
  }
}

/** Takes the answer to an apply of ours as what “not drifted” looks like. */
export function recordApplied(
  object: ObservedObject,
  applied: AppliedObject,
  pool: FieldSetPool,
  tell: TellDrift,
  rules?: HealthRules,
): void {
  const { fixed, loose } = splitFields(comparedFields(applied), applied.rules, applied.live, applied.leftOut);
  object.bundle = applied.bundle;
  object.type = applied.type;
  object.uid = applied.dryRun?.uid ?? String(applied.live.metadata["uid"] ?? "");
  object.resourceVersion = versionOf(applied.live);
  object.fields = pool.intern(fixed);
  object.hash = projectionHash(applied.live, fixed);
  object.loose = loose;
  object.ruleProblem = undefined;
  object.drift = undefined;
  object.sharedWith = sharedFields(applied.live);
  const { health, message } = computeHealth(applied.live, rules);
  object.health = health;
  object.message = message;
  object.expiring = expiringHealth(applied.live, health);
  if (!applied.dryRun) {
    // What it says of conditions that cannot be told; drift it is none, right after an apply.
    if (object.loose) driftOf(object, applied.live, tell);
  } else if (applied.dryRun.found) {
    // Older than the answer to the dry run or not: it is what was compared, and a list that shows another version compares again.
    recordLive(object, applied.dryRun.found, tell, { isNewest: true, health: rules });
  } else recordMissing(object);
}

function comparedFields({ live, manifest, rules }: AppliedObject): FieldSet {
  return withEmptyFields(withoutIgnored(ownedFields(live) ?? {}, fixedPaths(rules)), manifest);
}

/** Notes also which conditions of ignore rules could not be told. */
function driftOf(object: ObservedObject, live: Manifest, tell: TellDrift): DriftDetail | undefined {
  const isFixedSame = projectionHash(live, object.fields) === object.hash;
  if (!object.loose) return isFixedSame ? undefined : explainDrift(object.fields, live, tell(object));
  object.ruleProblem = undefined;
  const certain = looseDrift(object.loose, live, (error) => {
    object.ruleProblem ??= error.message;
  });
  if (isFixedSame && Object.keys(certain).length === 0) return undefined;
  return explainDrift(isFixedSame ? {} : object.fields, live, { ...tell(object), certain });
}

/** Options of {@link recordLive}. */
interface RecordOptions {
  /** It is known to be the newest state there is. Default false. */
  readonly isNewest?: boolean;
  /** Rules of health of the object's bundle. Default: none. */
  readonly health?: HealthRules | undefined;
}

/**
 * Compares a live state with what was applied. Returns true if the observation changed. An older state than the known one is left
 * alone, unless it is known to be the newest.
 */
export function recordLive(object: ObservedObject, live: Manifest, tell: TellDrift, options: RecordOptions = {}): boolean {
  if (!options.isNewest && isOlder(versionOf(live), object.resourceVersion)) return false;
  const before = JSON.stringify([object.health, object.message, object.drift, object.ruleProblem]);
  const uid = String(live.metadata["uid"] ?? "");
  object.resourceVersion = versionOf(live);
  object.sharedWith = sharedFields(live);
  const { health, message } = computeHealth(live, options.health);
  object.health = health;
  object.message = message;
  object.expiring = expiringHealth(live, health);
  if (uid !== object.uid) {
    // Somebody deleted our object and made another of that name: not ours, even if it looks the same (E076).
    object.drift = { ...explainDrift(object.fields, live, tell(object)), kind: DriftKind.Unexpected };
  } else {
    object.drift = driftOf(object, live, tell);
  }
  return before !== JSON.stringify([object.health, object.message, object.drift, object.ruleProblem]);
}

/** How a Job has ended that removes itself after its time to live; undefined for anything else. */
function expiringHealth(live: Manifest, health: Health): Health | undefined {
  const { spec, status } = live;
  if (live.kind !== "Job" || !live.apiVersion.startsWith("batch/") || !isJsonObject(spec) || !isJsonObject(status)) return undefined;
  if (typeof spec["ttlSecondsAfterFinished"] !== "number" || !Array.isArray(status["conditions"])) return undefined;
  const hasEnded = status["conditions"].some(
    (one) => isJsonObject(one) && (one["type"] === "Complete" || one["type"] === "Failed") && one["status"] === "True",
  );
  return hasEnded ? (health === Health.Terminating ? Health.Current : health) : undefined;
}

/** The object is gone. Returns true if that is new. */
export function recordMissing(object: ObservedObject): boolean {
  if (object.expiring !== undefined) {
    const message = "It has run, and was removed after its time to live";
    const isNew = object.message !== message;
    Object.assign(object, { health: object.expiring, message, drift: undefined });
    return isNew;
  }
  if (object.drift?.kind === DriftKind.Missing && object.health === Health.NotFound) return false;
  object.drift = { kind: DriftKind.Missing, paths: [] };
  object.health = Health.NotFound;
  object.message = "The object was deleted";
  return true;
}

/** Its kind cannot be read: nothing is claimed about it. Returns true if that is new. */
export function recordUnreadable(object: ObservedObject, message: string): boolean {
  if (object.health === Health.Unknown && object.message === message) return false;
  object.health = Health.Unknown;
  object.message = message;
  return true;
}

/** True if just this state was looked at already, and nothing has put in doubt since what was found. */
export function describes({ uid, resourceVersion, health }: ObservedObject, { metadata }: Manifest): boolean {
  const isSure = health !== Health.Unknown && health !== Health.NotFound;
  return isSure && resourceVersion !== "" && metadata["resourceVersion"] === resourceVersion && metadata["uid"] === uid;
}

export function toObservation(object: ObservedObject): Observation {
  const { ref, bundle, uid, resourceVersion, health, message, drift, expiring, ruleProblem, sharedWith } = object;
  // Asked for each object in every pass and every report: no spreading.
  const observation: Writable<Observation> = { ref, bundle, uid, resourceVersion, health, message, sharedWith };
  if (expiring === Health.Current) observation.finished = true;
  if (ruleProblem !== undefined) observation.ruleProblem = ruleProblem;
  if (drift) observation.drift = drift;
  return observation;
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };

export function versionOf(manifest: Manifest): string {
  return String(manifest.metadata["resourceVersion"] ?? "");
}

/** Resource versions of one resource type are ordered numbers since KEP-5504; anything else is taken as newer. */
export function isOlder(a: string, b: string): boolean {
  return a.length === b.length ? a < b : /^\d+$/.test(a) && /^\d+$/.test(b) && a.length < b.length;
}
