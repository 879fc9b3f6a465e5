import { isJsonObject, type JsonObject } from "@muster/shared/model";

/** A set of paths, as managedFields has them: a node may be in the set itself, and may have members below it. */
export interface FieldTree {
  readonly isMember: boolean;
  /** By `f:<name>`, `k:<keys>` or `v:<value>`. */
  readonly children: ReadonlyMap<string, FieldTree>;
}

/** Nothing below a node. */
const NONE: ReadonlyMap<string, FieldTree> = new Map();

export const EMPTY: FieldTree = { isMember: false, children: NONE };
export const LEAF: FieldTree = { isMember: true, children: NONE };

export function isEmptyTree(tree: FieldTree): boolean {
  return !tree.isMember && tree.children.size === 0;
}

/** A node without what is empty below it. */
export function treeOf(isMember: boolean, children: Iterable<readonly [string, FieldTree]>): FieldTree {
  const kept = new Map([...children].filter(([, child]) => !isEmptyTree(child)));
  return kept.size === 0 ? (isMember ? LEAF : EMPTY) : { isMember, children: kept };
}

/** From `fieldsV1`. */
export function treeFromFields(fields: JsonObject): FieldTree {
  const children = Object.entries(fields).filter(([key]) => key !== ".");
  const below = children.map(([key, inner]): [string, FieldTree] => {
    const tree = isJsonObject(inner) ? treeFromFields(inner) : EMPTY;
    return [key, isEmptyTree(tree) ? LEAF : tree];
  });
  return treeOf(Object.hasOwn(fields, "."), below);
}

/** As `fieldsV1`. */
export function treeToFields(tree: FieldTree): JsonObject {
  const fields: JsonObject = {};
  if (tree.isMember && tree.children.size > 0) fields["."] = {};
  for (const [key, child] of [...tree.children].sort(([a], [b]) => (a < b ? -1 : 1))) fields[key] = treeToFields(child);
  return fields;
}

export function union(a: FieldTree, b: FieldTree): FieldTree {
  if (isEmptyTree(a)) return b;
  if (isEmptyTree(b)) return a;
  const children = new Map(a.children);
  for (const [key, child] of b.children) {
    const known = children.get(key);
    children.set(key, known ? union(known, child) : child);
  }
  return { isMember: a.isMember || b.isMember, children };
}

/** What is in `a` and not in `b`. */
export function difference(a: FieldTree, b: FieldTree): FieldTree {
  const children = [...a.children].map(([key, child]): [string, FieldTree] => {
    const other = b.children.get(key);
    return [key, other ? difference(child, other) : child];
  });
  return treeOf(a.isMember && !b.isMember, children);
}

/** What is in both. */
export function intersection(a: FieldTree, b: FieldTree): FieldTree {
  const children = [...a.children].map(([key, child]): [string, FieldTree] => {
    const other = b.children.get(key);
    return [key, other ? intersection(child, other) : EMPTY];
  });
  return treeOf(a.isMember && b.isMember, children);
}

/** The paths of a set, for messages: `.data.value`. */
export function pathsOf(tree: FieldTree, at = ""): string[] {
  const own = tree.isMember ? [at] : [];
  return [
    ...own,
    ...[...tree.children].flatMap(([key, child]) => pathsOf(child, `${at}${key.startsWith("f:") ? "." : ""}${key.slice(2)}`)),
  ];
}
