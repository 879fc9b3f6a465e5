import { CodedError } from "@muster/shared/errors";
import { type DriftIgnore, FIELD_MANAGER, isJsonObject, type Manifest } from "@muster/shared/model";
import { conditionHolds } from "./condition.ts";
import { type FieldSet, managedFields, pointerTokens } from "./field-set.ts";
import { type FieldKeys, fieldsAt, isLeaf, leavesOf, pick, union } from "./field-set-parts.ts";

/** The rules of a bundle that are about an object. */
export function rulesFor(object: Manifest, ignore: readonly DriftIgnore[]): readonly DriftIgnore[] {
  if (ignore.length === 0) return ignore;
  const slash = object.apiVersion.indexOf("/");
  const group = slash < 0 ? "" : object.apiVersion.slice(0, slash);
  return ignore.filter((rule) => {
    if (rule.kind !== undefined && rule.kind !== object.kind) return false;
    if (rule.group !== undefined && rule.group !== group) return false;
    if (rule.namespace !== undefined && rule.namespace !== object.metadata["namespace"]) return false;
    return rule.name === undefined || rule.name === object.metadata.name;
  });
}

/** True of a rule whose fields depend on how the object is: on a condition, or on who owns what. */
export function isLoose(rule: DriftIgnore): boolean {
  return rule.when !== undefined || rule.managers !== undefined;
}

/** The JSON pointers of rules that always count. */
export function fixedPaths(rules: readonly DriftIgnore[]): string[] {
  return rules.filter((rule) => !isLoose(rule)).flatMap((rule) => rule.paths);
}

/** The loose rules that count on a live object. What cannot be told counts as false, so that nothing is ignored by mistake. */
export function rulesInForce(
  rules: readonly DriftIgnore[],
  live: Manifest,
  onError: (error: CodedError) => void = () => {},
): readonly DriftIgnore[] {
  return rules.filter((rule) => {
    if (!isLoose(rule)) return false;
    if (rule.when === undefined) return true;
    try {
      return conditionHolds(rule.when, live);
    } catch (error) {
      onError(CodedError.from(error, "DRIFT_IGNORE_FAILED"));
      return false;
    }
  });
}

/** What the managers that a rule names own of a live object, by any subresource, below the rule's paths. */
export function managedBy({ managers = [], paths }: DriftIgnore, live: Manifest): FieldSet {
  let fields: FieldSet = {};
  for (const entry of managedFields(live)) {
    if (!managers.includes(String(entry["manager"])) || !isJsonObject(entry["fieldsV1"])) continue;
    if (entry["manager"] === FIELD_MANAGER && entry["operation"] === "Apply") continue;
    const owned = entry["fieldsV1"];
    for (const part of paths.length === 0 ? [owned] : paths.map((path) => pick(owned, pointerTokens(path), false)))
      fields = union(fields, part);
  }
  return fields;
}

/** Those leaves of our fields that rules in force leave to others. */
export function leavesOfOthers(fields: FieldSet, rules: readonly DriftIgnore[], live: Manifest): ReadonlySet<string> {
  const left = new Set<string>();
  for (const rule of rules) {
    if (rule.managers) {
      const theirs = managedBy(rule, live);
      for (const keys of leavesOf(fields)) if (holdsLeaf(theirs, fields, keys)) left.add(keyOf(keys));
    } else {
      for (const path of rule.paths) for (const keys of leavesOf(pick(fields, pointerTokens(path), true))) left.add(keyOf(keys));
    }
  }
  return left;
}

/** One leaf as a text, to look it up by. */
export const keyOf = (keys: FieldKeys): string => keys.join("\u0000");

/** True if another manager's fields have a leaf of ours. Of a map that we own members of, an empty field set says only that it exists. */
export function holdsLeaf(theirs: FieldSet, ours: FieldSet, keys: FieldKeys): boolean {
  for (let length = 1; length < keys.length; length += 1) {
    const above = fieldsAt(theirs, keys.slice(0, length));
    if (above && Object.keys(above).length === 0 && !isLeaf(fieldsAt(ours, keys.slice(0, length)))) return false;
  }
  const at = fieldsAt(theirs, keys);
  return at !== undefined && !(Object.hasOwn(at, ".") && isLeaf(at));
}
