import { type DriftDetail, DriftKind, Health, isJsonObject, type Manifest, type ObjectRefText } from "@muster/shared/model";
import { canonicalJson } from "@muster/shared/wire";
import type { ResourceType } from "../kube/cluster.ts";
import { withEmptyFields } from "./empty-fields.ts";
import { explainDrift } from "./explain-drift.ts";
import { type FieldSet, ignoredPaths, ownedFields, projectionHash, withoutIgnored } from "./field-set.ts";
import { computeHealth } from "./health.ts";
import type { HealthRules } from "./health-rules.ts";
import type { AppliedObject, Observation } from "./observer.ts";

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
  health: Health;
  message: string;
  drift: DriftDetail | undefined;
  /** A Job that has run and removes itself after its time to live: that it is gone then is no drift (E132). */
  expiring: Health | undefined;
  /** Applies of our own that are under way; while there are any, events wait in `waiting`. */
  applying: number;
  waiting: Manifest | "deleted" | undefined;
  /** Grows with every apply; a list that began before it says nothing about absence. */
  appliedAt: number;
}

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
export function recordApplied(object: ObservedObject, applied: AppliedObject, pool: FieldSetPool, rules?: HealthRules): void {
  const fields = comparedFields(applied);
  object.bundle = applied.bundle;
  object.type = applied.type;
  object.uid = applied.dryRun?.uid ?? String(applied.live.metadata["uid"] ?? "");
  object.resourceVersion = versionOf(applied.live);
  object.fields = pool.intern(fields);
  object.hash = projectionHash(applied.live, fields);
  object.drift = undefined;
  const { health, message } = computeHealth(applied.live, rules);
  object.health = health;
  object.message = message;
  object.expiring = expiringHealth(applied.live, health);
  if (!applied.dryRun) return;
  if (applied.dryRun.found) recordLive(object, applied.dryRun.found, { rules });
  else recordMissing(object);
}

function comparedFields({ live, manifest, ignore }: AppliedObject): FieldSet {
  return withEmptyFields(withoutIgnored(ownedFields(live) ?? {}, ignoredPaths(live, ignore)), manifest);
}

/**
 * Compares a live state with what was applied. Returns true if the observation changed. An older state than the known one is left
 * alone, unless it is known to be the newest.
 */
export function recordLive(
  object: ObservedObject,
  live: Manifest,
  { isNewest = false, rules }: { readonly isNewest?: boolean; readonly rules?: HealthRules | undefined } = {},
): boolean {
  if (!isNewest && isOlder(versionOf(live), object.resourceVersion)) return false;
  const before = JSON.stringify([object.health, object.message, object.drift]);
  const uid = String(live.metadata["uid"] ?? "");
  object.resourceVersion = versionOf(live);
  const { health, message } = computeHealth(live, rules);
  object.health = health;
  object.message = message;
  object.expiring = expiringHealth(live, health);
  if (uid !== object.uid) {
    // Somebody deleted our object and made another of that name: not ours, even if it looks the same (E076).
    object.drift = { ...explainDrift(object.fields, live), kind: DriftKind.Unexpected };
  } else {
    object.drift = projectionHash(live, object.fields) === object.hash ? undefined : explainDrift(object.fields, live);
  }
  return before !== JSON.stringify([object.health, object.message, object.drift]);
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

export function toObservation(object: ObservedObject): Observation {
  const { ref, bundle, uid, resourceVersion, health, message, drift, expiring } = object;
  const finished = expiring === Health.Current && { finished: true as const };
  return { ref, bundle, uid, resourceVersion, health, message, ...finished, ...(drift && { drift }) };
}

export function versionOf(manifest: Manifest): string {
  return String(manifest.metadata["resourceVersion"] ?? "");
}

/** Resource versions of one resource type are ordered numbers since KEP-5504; anything else is taken as newer. */
export function isOlder(a: string, b: string): boolean {
  return a.length === b.length ? a < b : /^\d+$/.test(a) && /^\d+$/.test(b) && a.length < b.length;
}
