import type { CodedError } from "@muster/shared/errors";
import { type DriftIgnore, isJsonObject, type JsonValue, type Manifest } from "@muster/shared/model";
import { canonicalJson, digestBytes } from "@muster/shared/wire";
import { type FieldSet, ownedFields, project } from "./field-set.ts";
import { type FieldKeys, fieldsAt, fieldsOf, leavesOf, valueAt } from "./field-set-parts.ts";
import { isLoose, keyOf, leavesOfOthers, rulesInForce } from "./ignore-rules.ts";

/** Fields that an apply has left to others, with a hash of what Git says of each. */
export interface LeftOut {
  readonly fields: FieldSet;
  /** In the order of {@link leavesOf}. */
  readonly hashes: readonly string[];
}

/**
 * What is kept of an object that loose rules are about. Which of its fields count depends on how it is each time, so one hash of all of
 * them tells nothing: each leaf has its own.
 */
export interface LooseFields {
  readonly rules: readonly DriftIgnore[];
  /** Of our fields after the apply, in the order of {@link leavesOf}. */
  readonly hashes: readonly string[];
  /** What Git sets and the apply has left to others; it is Git's again as soon as no rule leaves it to them. */
  readonly leftOut: LeftOut | undefined;
}

/** undefined if no loose rule is about the object. */
export function looseFields(
  rules: readonly DriftIgnore[],
  live: Manifest,
  fields: FieldSet,
  leftOut: LeftOut | undefined,
): LooseFields | undefined {
  const loose = rules.filter(isLoose);
  return loose.length === 0 ? undefined : { rules: loose, hashes: leafHashes(live, fields), leftOut };
}

/** Hashes of what an object has at each leaf of a field set. */
export function leafHashes(object: Manifest, fields: FieldSet): string[] {
  const own = ownedFields(object);
  return leavesOf(fields).map((keys) => {
    const value = project(valueAt(object, keys), fieldsAt(fields, keys) ?? {}, ownAt(own, keys));
    return digestBytes(canonicalJson(value)).slice("sha256:".length, "sha256:".length + 16);
  });
}

/** The fields that are not as they were applied, without those that rules leave to others as the object is now. Empty: no drift. */
export function looseDrift(
  fields: FieldSet,
  { rules, hashes, leftOut }: LooseFields,
  live: Manifest,
  onError: (error: CodedError) => void,
): FieldSet {
  const inForce = rulesInForce(rules, live, onError);
  // A field that we own still and that was left to others holds their value: what counts is what Git says of it.
  const ours = changed(fields, hashes).filter((keys) => fieldsAt(leftOut?.fields, keys) === undefined);
  return fieldsOf([...ours, ...(leftOut ? changed(leftOut.fields, leftOut.hashes) : [])]);

  function changed(of: FieldSet, before: readonly string[]): FieldKeys[] {
    const now = leafHashes(live, of);
    if (now.every((hash, index) => hash === before[index])) return [];
    const others = leavesOfOthers(of, inForce, live);
    return leavesOf(of).filter((keys, index) => now[index] !== before[index] && !others.has(keyOf(keys)));
  }
}

function ownAt(own: FieldSet | undefined, keys: FieldKeys): JsonValue | undefined {
  let at: JsonValue | undefined = own;
  for (const key of keys) at = isJsonObject(at) ? at[key] : undefined;
  return at;
}
