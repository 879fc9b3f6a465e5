import { hash } from "node:crypto";
import { FIELD_MANAGER, isJsonObject, type JsonObject, type JsonValue, type Manifest } from "@muster/shared/model";
import { canonicalJson } from "@muster/shared/wire";

/**
 * The fields that our applies own, in the form of managedFields' `fieldsV1`: `f:<name>` a member, `k:{…}` a list item by
 * its keys, `v:<json>` a set member, `i:<n>` an index, `.` the thing itself.
 */
export type FieldSet = JsonObject;

/** The field set of our own apply in an object's managedFields; undefined if we own nothing. */
export function ownedFields(live: Manifest): FieldSet | undefined {
  for (const entry of managedFields(live)) {
    if (entry["manager"] === FIELD_MANAGER && entry["operation"] === "Apply" && !entry["subresource"] && isJsonObject(entry["fieldsV1"]))
      return entry["fieldsV1"];
  }
  return undefined;
}

/**
 * True if the object was made, or written last, by an apply of ours. Of one that has another UID than the inventory says, this tells what we
 * made anew right before a crash, which was not noted any more, from what somebody else has made under its name (E048, E098).
 */
export function isAppliedByUs(live: Manifest): boolean {
  return ownedFields(live) !== undefined;
}

export function managedFields(live: Manifest): JsonObject[] {
  const entries = live.metadata["managedFields"];
  return Array.isArray(entries) ? entries.filter(isJsonObject) : [];
}

/** A field set without what ignore rules cover. `paths` are JSON pointers. */
export function withoutIgnored(fields: FieldSet, paths: readonly string[]): FieldSet {
  let result = fields;
  for (const path of paths) result = drop(result, pointerTokens(path));
  return result;
}

/** The tokens of a JSON pointer (RFC 6901). */
export function pointerTokens(pointer: string): string[] {
  return pointer
    .split("/")
    .slice(1)
    .map((token) => token.replaceAll("~1", "/").replaceAll("~0", "~"));
}

function drop(fields: FieldSet, tokens: readonly string[]): FieldSet {
  const [head, ...rest] = tokens;
  if (head === undefined) return {};
  const kept: FieldSet = {};
  for (const [key, inner] of Object.entries(fields)) {
    const fits = key === `f:${head}` || (key.startsWith("k:") && (head === "*" || /^\d+$/.test(head)));
    if (!fits) kept[key] = inner;
    else if (rest.length > 0 && isJsonObject(inner)) {
      const remaining = drop(inner, rest);
      if (Object.keys(remaining).some((name) => name !== ".")) kept[key] = remaining;
    }
  }
  return kept;
}

/** True for `{}` and `[]`. */
export function isEmptyContainer(value: JsonValue | undefined): boolean {
  return typeof value === "object" && value !== null && Object.keys(value).length === 0;
}

/** A marker for a field that the object does not have, so that absence and null differ. */
const ABSENT = " absent";

/** Projects an object onto a field set and hashes it: equal hashes mean that every field we own has the value it had. */
export function projectionHash(object: Manifest, fields: FieldSet): string {
  const projected = project(object, fields, ownedFields(object));
  // Whole and short: a part of a longer text would keep all of it in memory.
  return hash("sha256", canonicalJson(projected ?? null), "base64");
}

/** What an object has of a field set, as a value that can be compared; `own` is what the API server says that we own there. */
export function project(value: JsonValue | undefined, fields: FieldSet, own: JsonValue | undefined): JsonValue {
  if (value === undefined) return ABSENT;
  const children = Object.entries(fields).filter(([key]) => key !== ".");
  if (children.length === 0) {
    // A leaf: the whole value is ours. With `.` alone it is the container's existence, for as long as the API server says so.
    const existence = Object.hasOwn(fields, ".") && (isEmptyContainer(value) || (typeof value === "object" && own !== undefined));
    return existence ? {} : value;
  }
  const result: JsonObject = {};
  for (const [key, inner] of children) {
    result[key] = project(step(value, key), isJsonObject(inner) ? inner : {}, isJsonObject(own) ? own[key] : undefined);
  }
  return result;
}

/** The member of a value that one key of a field set names. */
export function step(value: JsonValue, key: string): JsonValue | undefined {
  const prefix = key.slice(0, 2);
  const rest = key.slice(2);
  if (prefix === "f:") return isJsonObject(value) && Object.hasOwn(value, rest) ? value[rest] : undefined;
  if (!Array.isArray(value)) return undefined;
  if (prefix === "i:") return value[Number(rest)];
  if (prefix === "v:") return value.find((item) => canonicalJson(item) === canonicalJson(JSON.parse(rest) as JsonValue));
  if (prefix === "k:") {
    const keys = JSON.parse(rest) as JsonObject;
    return value.find((item) => isJsonObject(item) && Object.entries(keys).every(([name, want]) => keyMatches(item[name], want)));
  }
  return undefined;
}

/** A list key that was defaulted (`protocol: TCP`) may be absent in what a server shows; absent fits only null. */
function keyMatches(have: JsonValue | undefined, want: JsonValue): boolean {
  return have === want || (have === undefined && want === null);
}

/** A leaf's path for people, from the keys that lead to it: `.spec.template.spec.containers[name=web].image`. */
export function fieldPath(keys: readonly string[]): string {
  return keys.map(formatStep).join("");
}

function formatStep(key: string): string {
  const rest = key.slice(2);
  if (key.startsWith("f:")) return /^[\w-]+$/.test(rest) ? `.${rest}` : `[${rest}]`;
  if (key.startsWith("k:")) {
    const keys = Object.entries(JSON.parse(rest) as JsonObject).map(([name, value]) => `${name}=${String(value)}`);
    return `[${keys.join(",")}]`;
  }
  return `[${rest}]`;
}

/** The part of a field set that another one also names. */
export function intersect(a: FieldSet, b: FieldSet): FieldSet {
  const both: FieldSet = {};
  for (const [key, inner] of Object.entries(a)) {
    const other = b[key];
    if (key === "." || other === undefined) continue;
    if (!isJsonObject(inner) || !isJsonObject(other)) continue;
    const innerKeys = Object.keys(inner).filter((name) => name !== ".");
    const otherKeys = Object.keys(other).filter((name) => name !== ".");
    // Either side may own the whole (a leaf): the finer one tells more.
    if (innerKeys.length === 0) both[key] = other;
    else if (otherKeys.length === 0) both[key] = inner;
    else {
      const below = intersect(inner, other);
      if (Object.keys(below).length > 0) both[key] = below;
    }
  }
  return both;
}

/** The part of `fields` that the object does not have at all. */
export function missingIn(object: JsonValue | undefined, fields: FieldSet): FieldSet {
  const missing: FieldSet = {};
  for (const [key, inner] of Object.entries(fields)) {
    if (key === "." || !isJsonObject(inner)) continue;
    const value = object === undefined ? undefined : step(object, key);
    if (value === undefined) missing[key] = {};
    else {
      const below = missingIn(value, inner);
      if (Object.keys(below).length > 0) missing[key] = below;
    }
  }
  return missing;
}
