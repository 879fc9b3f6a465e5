import { isJsonObject, type JsonObject, type JsonValue } from "@muster/shared/model";
import { type FieldSet, step } from "./field-set.ts";

/** The keys that lead to one leaf of a field set. */
export type FieldKeys = readonly string[];

/** True where a field set names a whole value. A lone `.` is a leaf, too: the existence of a map or list. */
export function isLeaf(fields: JsonValue | undefined): fields is FieldSet {
  return isJsonObject(fields) && Object.keys(fields).every((key) => key === ".");
}

/** All leaves of a field set, always in the same order. */
export function leavesOf(fields: FieldSet, at: FieldKeys = []): FieldKeys[] {
  return Object.entries(fields).flatMap(([key, inner]) => {
    if (key === "." || !isJsonObject(inner)) return [];
    return isLeaf(inner) ? [[...at, key]] : leavesOf(inner, [...at, key]);
  });
}

/** The field set of some leaves. */
export function fieldsOf(leaves: readonly FieldKeys[]): FieldSet {
  const fields: FieldSet = {};
  for (const keys of leaves) {
    let at: FieldSet = fields;
    for (const key of keys) {
      const known = at[key];
      const inner: JsonObject = isJsonObject(known) ? known : {};
      at[key] = inner;
      at = inner;
    }
  }
  return fields;
}

/** What stands at the end of some keys, undefined if nothing does. */
export function valueAt(value: JsonValue | undefined, keys: FieldKeys): JsonValue | undefined {
  let at = value;
  for (const key of keys) at = at === undefined ? undefined : step(at, key);
  return at;
}

/** What a field set says at the end of some keys: a leaf on the way there stands for all below it; the empty set says nothing. */
export function fieldsAt(fields: FieldSet | undefined, keys: FieldKeys): FieldSet | undefined {
  let at: JsonValue | undefined = fields;
  for (const [index, key] of keys.entries()) {
    if (!isJsonObject(at)) return undefined;
    if (index > 0 && Object.keys(at).length === 0) return at;
    at = at[key];
  }
  return isJsonObject(at) ? at : undefined;
}

/**
 * The part of a field set below one pointer, given as its tokens; `*` and numbers stand for every item of a list. Of a value that is owned as a
 * whole a part cannot be told apart: with `wholes` it counts, else it does not.
 */
export function pick(fields: FieldSet, tokens: readonly string[], wholes: boolean): FieldSet {
  const [head, ...rest] = tokens;
  if (head === undefined) return fields;
  const picked: FieldSet = {};
  for (const [key, inner] of Object.entries(fields)) {
    const fits = key === `f:${head}` || (/^[kiv]:/.test(key) && (head === "*" || /^\d+$/.test(head)));
    if (!fits || !isJsonObject(inner)) continue;
    if (rest.length === 0 || (isLeaf(inner) && wholes)) picked[key] = inner;
    else {
      const below = pick(inner, rest, wholes);
      if (Object.keys(below).length > 0) picked[key] = below;
    }
  }
  return picked;
}

export function union(a: FieldSet, b: FieldSet): FieldSet {
  const both: FieldSet = { ...a };
  for (const [key, inner] of Object.entries(b)) {
    const other = both[key];
    both[key] = isJsonObject(other) && isJsonObject(inner) ? union(other, inner) : inner;
  }
  return both;
}
