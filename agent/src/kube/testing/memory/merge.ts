import { isDeepStrictEqual } from "node:util";
import { isJsonObject, type JsonObject, type JsonValue } from "@muster/shared/model";
import { canonicalJson } from "@muster/shared/wire";
import { EMPTY, type FieldTree, LEAF, treeOf, union } from "./field-tree.ts";
import { mergeOf, type Schema } from "./schema.ts";

/** What differs between two states of one object. */
export interface Comparison {
  readonly added: FieldTree;
  readonly modified: FieldTree;
  readonly removed: FieldTree;
}

const SAME: Comparison = { added: EMPTY, modified: EMPTY, removed: EMPTY };

/** A list key that a manifest leaves to its default. */
const KEY_DEFAULTS: Readonly<Record<string, JsonValue>> = { protocol: "TCP" };

/** The members of a map, or of a list whose items have names of their own; undefined: the value is one, whatever is in it. */
function membersOf(value: JsonValue | undefined, schema: Schema, path: string): Map<string, JsonValue> | undefined {
  const merge = mergeOf(schema, path);
  if (merge === "atomic") return undefined;
  if (isJsonObject(value)) return new Map(Object.entries(value).map(([key, inner]) => [`f:${key}`, inner]));
  if (!Array.isArray(value) || merge === "granular") return undefined;
  if (merge === "set") return new Map(value.map((item) => [`v:${JSON.stringify(item)}`, item]));
  return new Map(value.map((item) => [itemKey(item, merge), item]));
}

function itemKey(item: JsonValue, keys: readonly string[]): string {
  const named = isJsonObject(item) ? keys.map((key) => [key, item[key] ?? KEY_DEFAULTS[key] ?? null]) : [];
  return `k:${canonicalJson(Object.fromEntries(named) as JsonObject)}`;
}

function below(path: string, key: string): string {
  return key.startsWith("f:") ? (path === "" ? key.slice(2) : `${path}.${key.slice(2)}`) : path;
}

function fromMembers(members: ReadonlyMap<string, JsonValue>, like: JsonValue): JsonValue {
  return Array.isArray(like) ? [...members.values()] : Object.fromEntries([...members].map(([key, value]) => [key.slice(2), value]));
}

/** The fields that a manifest sets: its leaves, and what has no leaf. */
export function fieldsOf(value: JsonValue, schema: Schema, path = ""): FieldTree {
  const members = membersOf(value, schema, path);
  if (!members || members.size === 0) return path === "metadata" ? EMPTY : LEAF;
  return treeOf(
    false,
    [...members].map(([key, inner]): [string, FieldTree] => {
      const tree = fieldsOf(inner, schema, below(path, key));
      // An item of a list is there by itself.
      return [key, key.startsWith("f:") ? tree : union(tree, LEAF)];
    }),
  );
}

/** A live state with what a manifest sets. */
export function mergeInto(live: JsonValue | undefined, wanted: JsonValue, schema: Schema, path = ""): JsonValue {
  const want = membersOf(wanted, schema, path);
  const have = live === undefined ? undefined : membersOf(live, schema, path);
  if (!want || !have || Array.isArray(live) !== Array.isArray(wanted)) return wanted;
  const merged = new Map(have);
  for (const [key, value] of want) merged.set(key, mergeInto(have.get(key), value, schema, below(path, key)));
  return fromMembers(merged, wanted);
}

/** A state without what we had and nobody has any more. */
export function withoutOrphans(value: JsonValue, last: FieldTree, owned: FieldTree, schema: Schema, path = ""): JsonValue {
  const members = membersOf(value, schema, path);
  if (!members) return value;
  for (const [key, child] of last.children) {
    const inner = members.get(key);
    if (inner === undefined) continue;
    const owner = owned.children.get(key);
    if (owner || (path === "" && key === "f:metadata")) {
      members.set(key, withoutOrphans(inner, child, owner ?? EMPTY, schema, below(path, key)));
    } else members.delete(key);
  }
  return fromMembers(members, value);
}

export function compare(a: JsonValue | undefined, b: JsonValue | undefined, schema: Schema, path = ""): Comparison {
  if (a === b || isDeepStrictEqual(a, b)) return SAME;
  if (a === undefined) return { ...SAME, added: everything(b, schema, path) };
  if (b === undefined) return { ...SAME, removed: everything(a, schema, path) };
  const [mine, theirs] = [membersOf(a, schema, path), membersOf(b, schema, path)];
  if (!mine || !theirs) return { ...SAME, modified: LEAF };
  const parts: Record<keyof Comparison, [string, FieldTree][]> = { added: [], modified: [], removed: [] };
  for (const key of new Set([...mine.keys(), ...theirs.keys()])) {
    const found = compare(mine.get(key), theirs.get(key), schema, below(path, key));
    for (const part of ["added", "modified", "removed"] as const) parts[part].push([key, found[part]]);
  }
  return { added: treeOf(false, parts.added), modified: treeOf(false, parts.modified), removed: treeOf(false, parts.removed) };
}

/** Every path of a value that came or went, with the maps and items themselves. */
function everything(value: JsonValue | undefined, schema: Schema, path: string): FieldTree {
  const members = value === undefined ? undefined : membersOf(value, schema, path);
  if (!members || members.size === 0) return path === "metadata" ? EMPTY : LEAF;
  const children = [...members].map(([key, inner]): [string, FieldTree] => [key, everything(inner, schema, below(path, key))]);
  return treeOf(!IMPLICIT.has(path), children);
}

/** Parts that every object has, as far as managers are concerned. */
const IMPLICIT: ReadonlySet<string> = new Set(["", "metadata", "spec", "status"]);
