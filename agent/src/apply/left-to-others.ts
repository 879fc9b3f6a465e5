import { cloneJson, type DriftIgnore, isJsonObject, type JsonObject, type JsonValue, type Manifest } from "@muster/shared/model";
import { type FieldSet, ownedFields, pointerTokens, step, withoutIgnored } from "../observe/field-set.ts";
import { type FieldKeys, fieldsAt, fieldsOf, isLeaf, valueAt } from "../observe/field-set-parts.ts";
import { fixedPaths, managedBy, rulesInForce } from "../observe/ignore-rules.ts";
import { type LeftOut, leafHashes } from "../observe/loose-fields.ts";
import { keepBundleLabel, leaveIgnoredFields } from "./ignored-fields.ts";

/** What is sent of a manifest, and what of it is left to others as the object is now. */
export interface Sent {
  readonly manifest: Manifest;
  readonly leftOut?: LeftOut;
}

/**
 * The manifest to apply onto a live object that ignore rules are about. Fields by path and by condition are dealt with as
 * {@link leaveIgnoredFields} says. Fields by manager are left out as long as one of the managers owns them: what another one owns, the server
 * keeps when we let go. As forced ownership would take from a manager what it takes between our look and our apply, a manifest
 * that has fields which one of them may take carries the resource version. All carry the UID: made anew, the object would lack what
 * was left to others, who are gone with it (an apply with a UID and no such object is a conflict, apiserver `patch.go`).
 */
export function leaveToOthers(wanted: Manifest, live: Manifest, rules: readonly DriftIgnore[]): Sent {
  const inForce = rulesInForce(rules, live);
  const byCondition = inForce.filter((rule) => !rule.managers).flatMap((rule) => rule.paths);
  const pointers = [...fixedPaths(rules), ...byCondition];
  const manifest = pointers.length > 0 ? leaveIgnoredFields(wanted, live, pointers) : cloneJson(wanted);
  const left: FieldKeys[] = byCondition.flatMap((path) => keysBelow(wanted, pointerTokens(path)));
  const owned = ownedFields(live);
  let guarded = false;
  for (const rule of inForce) {
    if (!rule.managers) continue;
    const found = strip(manifest, managedBy(rule, live), owned);
    left.push(...found);
    guarded ||= found.some((keys) => fieldsAt(owned, keys) !== undefined) || mayTake(rule, manifest);
  }
  keepBundleLabel(manifest, wanted);
  if (guarded) manifest.metadata["resourceVersion"] = live.metadata["resourceVersion"] ?? "";
  const { uid } = live.metadata;
  if (uid !== undefined) manifest.metadata["uid"] = uid;
  // What is left to others in any case never comes back.
  const fields = withoutIgnored(fieldsOf(left), fixedPaths(rules));
  if (Object.keys(fields).length === 0) return { manifest };
  return { manifest, leftOut: { fields, hashes: leafHashes(wanted, fields) } };
}

/** Takes out of a value what a field set names. Gives the keys of what it has taken. */
function strip(value: JsonValue, theirs: FieldSet, ours: FieldSet | undefined, at: FieldKeys = []): FieldKeys[] {
  return Object.entries(theirs).flatMap(([key, inner]) => {
    const member = key === "." ? undefined : step(value, key);
    if (member === undefined || !isJsonObject(inner)) return [];
    const own = ours?.[key];
    const here = [...at, key];
    if (Object.keys(inner).length > 0) return stripMember(value, key, member, inner, isJsonObject(own) ? own : undefined, here);
    // Of a map that we own members of, it says only that the map exists.
    if (isJsonObject(own) && !isLeaf(own)) return [];
    remove(value, key, member);
    return [here];
  });
}

function stripMember(
  value: JsonValue,
  key: string,
  member: JsonValue,
  theirs: FieldSet,
  ours: FieldSet | undefined,
  at: FieldKeys,
): FieldKeys[] {
  const keys = key.startsWith("k:") ? (JSON.parse(key.slice(2)) as JsonObject) : {};
  // What an item is found by stays as long as the item does.
  const below = Object.fromEntries(Object.entries(theirs).filter(([name]) => !Object.hasOwn(keys, name.slice(2))));
  const left = strip(member, below, ours, at);
  // Of an item only the keys are left, of a map nothing: what remains would be a shell.
  const isShell = typeof member === "object" && member !== null && Object.keys(member).every((name) => Object.hasOwn(keys, name));
  if (left.length > 0 && isShell && (!key.startsWith("k:") || Object.hasOwn(theirs, "."))) remove(value, key, member);
  return left;
}

function remove(value: JsonValue, key: string, member: JsonValue): void {
  if (Array.isArray(value)) value.splice(value.indexOf(member), 1);
  else if (isJsonObject(value)) delete value[key.slice(2)];
}

function mayTake({ paths }: DriftIgnore, manifest: Manifest): boolean {
  return paths.length === 0 || paths.some((path) => keysBelow(manifest, pointerTokens(path)).length > 0);
}

/** The keys of what a pointer names in a manifest; items of lists by their name, which is what most lists are keyed by. */
function keysBelow(value: JsonValue | undefined, tokens: readonly string[], at: FieldKeys = []): FieldKeys[] {
  const [head, ...rest] = tokens;
  if (value === undefined) return [];
  if (head === undefined) return at.length === 0 ? [] : [at];
  if (!Array.isArray(value)) {
    const key = `f:${head}`;
    return keysBelow(valueAt(value, [key]), rest, [...at, key]);
  }
  return value.flatMap((item, index) => {
    if (head !== "*" && head !== String(index)) return [];
    const name = isJsonObject(item) ? item["name"] : undefined;
    return keysBelow(item, rest, [...at, typeof name === "string" ? `k:${JSON.stringify({ name })}` : `i:${index}`]);
  });
}
