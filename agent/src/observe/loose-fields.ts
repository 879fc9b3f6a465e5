import { hash } from "node:crypto";
import type { CodedError } from "@muster/shared/errors";
import { type DriftIgnore, isJsonObject, type JsonValue, type Manifest } from "@muster/shared/model";
import { canonicalJson } from "@muster/shared/wire";
import { type FieldSet, ownedFields, pointerTokens, project, withoutIgnored } from "./field-set.ts";
import { type FieldKeys, fieldsAt, fieldsOf, leavesOf, pick, union, valueAt } from "./field-set-parts.ts";
import { isLoose, keyOf, leavesOfOthers, rulesInForce } from "./ignore-rules.ts";

/** Fields that an apply has left to others, with a hash of what Git says of each. */
export interface LeftOut {
  readonly fields: FieldSet;
  /** In the order of {@link leavesOf}. */
  readonly hashes: readonly string[];
}

/**
 * What is kept of an object that loose rules are about. Which of the fields below their paths count depends on how it is each time, so one
 * hash of all of them tells nothing: each leaf has its own.
 */
export interface LooseFields {
  readonly rules: readonly DriftIgnore[];
  /** Those of our fields after the apply that a rule may leave to others. */
  readonly fields: FieldSet;
  /** In the order of {@link leavesOf}. */
  readonly hashes: readonly string[];
  /** What Git sets and the apply has left to others; it is Git's again as soon as no rule leaves it to them. */
  readonly leftOut: LeftOut | undefined;
}

/** Parts our fields of an object: those that always count, and those that loose rules may leave to others. */
export function splitFields(
  fields: FieldSet,
  rules: readonly DriftIgnore[],
  live: Manifest,
  leftOut: LeftOut | undefined,
): { readonly fixed: FieldSet; readonly loose: LooseFields | undefined } {
  const loose = rules.filter(isLoose);
  if (loose.length === 0) return { fixed: fields, loose: undefined };
  const anywhere = loose.some(({ paths }) => paths.length === 0);
  const paths = loose.flatMap((rule) => rule.paths);
  const may = anywhere ? fields : paths.map((path) => pick(fields, pointerTokens(path), true)).reduce(union, {});
  const fixed = anywhere ? {} : withoutIgnored(fields, paths);
  return { fixed, loose: { rules: loose, fields: may, hashes: leafHashes(live, may), leftOut } };
}

/** Hashes of what an object has at each leaf of a field set. */
export function leafHashes(object: Manifest, fields: FieldSet): string[] {
  const own = ownedFields(object);
  return leavesOf(fields).map((keys) => {
    const value = project(valueAt(object, keys), fieldsAt(fields, keys) ?? {}, ownAt(own, keys));
    return hash("sha256", canonicalJson(value), "base64");
  });
}

/** The loose fields that are not as they were applied, without those that rules leave to others as the object is now. Empty: no drift. */
export function looseDrift(
  { rules, fields, hashes, leftOut }: LooseFields,
  live: Manifest,
  onError: (error: CodedError) => void,
): FieldSet {
  const inForce = rulesInForce(rules, live, onError);
  // A field that we own still and that was left to others holds their value: what counts is what Git says of it.
  const ours = changed(fields, hashes).filter((keys) => fieldsAt(leftOut?.fields, keys) === undefined);
  return fieldsOf([...ours, ...(leftOut ? changed(leftOut.fields, leftOut.hashes) : [])]);

  function changed(of: FieldSet, before: readonly string[]): FieldKeys[] {
    const now = leafHashes(live, of);
    if (now.every((one, index) => one === before[index])) return [];
    const others = leavesOfOthers(of, inForce, live);
    return leavesOf(of).filter((keys, index) => now[index] !== before[index] && !others.has(keyOf(keys)));
  }
}

function ownAt(own: FieldSet | undefined, keys: FieldKeys): JsonValue | undefined {
  let at: JsonValue | undefined = own;
  for (const key of keys) at = isJsonObject(at) ? at[key] : undefined;
  return at;
}
