import { isDeepStrictEqual } from "node:util";
import { cloneJson, isJsonObject, type JsonObject, type Manifest } from "@muster/shared/model";
import {
  difference,
  EMPTY,
  type FieldTree,
  intersection,
  isEmptyTree,
  pathsOf,
  treeFromFields,
  treeToFields,
  union,
} from "./field-tree.ts";
import { compare, fieldsOf, mergeInto, withoutOrphans } from "./merge.ts";
import type { Schema } from "./schema.ts";

/** Who writes, and when. */
export interface Writer {
  readonly manager: string;
  /** RFC 3339, seconds. */
  readonly now: string;
}

/** One entry of managedFields. */
interface Manager {
  readonly manager: string;
  readonly operation: string;
  readonly apiVersion: string;
  readonly time: string;
  readonly subresource?: string;
  readonly tree: FieldTree;
}

/** What a manager had of what another one wants to change. */
export interface FieldConflict {
  readonly manager: string;
  readonly paths: readonly string[];
}

/** Metadata that managers own; the rest is the server's. */
const MANAGED_METADATA = ["labels", "annotations", "finalizers", "ownerReferences"] as const;

/** What managers own of an object. The status is written by another way in. */
function contentOf({ apiVersion: _a, kind: _k, status: _s, metadata, ...rest }: Manifest): JsonObject {
  const managed = MANAGED_METADATA.flatMap((key) => (metadata[key] === undefined ? [] : [[key, metadata[key]] as const]));
  return { ...(rest as JsonObject), metadata: Object.fromEntries(managed) };
}

/** An object with other content; `live` gives what is the server's. */
function withContent(content: JsonObject, wanted: Manifest, live: Manifest | undefined): Manifest {
  const { metadata: managed, ...rest } = content;
  const { name, namespace } = wanted.metadata;
  const kept = Object.fromEntries(Object.entries(live?.metadata ?? {}).filter(([key]) => !MANAGED_METADATA.some((one) => one === key)));
  const given = Object.entries(managed as JsonObject).filter(([, value]) => Object.keys(value as object).length > 0);
  const status = live?.["status"];
  return cloneJson({
    apiVersion: wanted.apiVersion,
    kind: wanted.kind,
    ...rest,
    ...(status !== undefined && { status }),
    metadata: { ...kept, name, ...(namespace !== undefined && { namespace }), ...Object.fromEntries(given) },
  }) as Manifest;
}

function keyOf({ manager, operation, subresource = "" }: Pick<Manager, "manager" | "operation" | "subresource">): string {
  return `${manager}/${operation}/${subresource}`;
}

function read(entries: unknown): Map<string, Manager> {
  const managers = (Array.isArray(entries) ? entries : []).filter(isJsonObject).map((entry): Manager => {
    const { manager, operation, apiVersion, time, subresource, fieldsV1 } = entry;
    const tree = isJsonObject(fieldsV1) ? treeFromFields(fieldsV1) : EMPTY;
    const base = { manager: String(manager), operation: String(operation), apiVersion: String(apiVersion), time: String(time ?? ""), tree };
    return subresource === undefined ? base : { ...base, subresource: String(subresource) };
  });
  return new Map(managers.map((manager) => [keyOf(manager), manager]));
}

function write(object: Manifest, managers: ReadonlyMap<string, Manager>, before: ReadonlyMap<string, Manager>, now: string): void {
  const entries: JsonObject[] = [];
  for (const [key, { tree, ...entry }] of managers) {
    if (isEmptyTree(tree)) continue;
    const fieldsV1 = treeToFields(tree);
    const known = before.get(key);
    const isSame = known !== undefined && isDeepStrictEqual(treeToFields(known.tree), fieldsV1);
    entries.push({ ...entry, time: isSame ? known.time : now, fieldsType: "FieldsV1", fieldsV1 });
  }
  if (entries.length > 0) object.metadata["managedFields"] = entries;
  else delete object.metadata["managedFields"];
}

/** What comes of an apply. */
export type Applied = { readonly object: Manifest } | { readonly conflicts: readonly FieldConflict[] };

/** Server-side apply, as structured-merge-diff does it. Gives the conflicts instead, where there are some and `force` is false. */
export function applied(
  live: Manifest | undefined,
  wanted: Manifest,
  schema: Schema,
  options: Writer & { readonly force: boolean },
): Applied {
  const { manager, now, force } = options;
  const before = read(live?.metadata["managedFields"]);
  const managers = new Map(before);
  const have = live && contentOf(live);
  if (have && managers.size === 0) {
    const first = { manager: "before-first-apply", operation: "Update", apiVersion: wanted.apiVersion, time: now };
    managers.set(keyOf(first), { ...first, tree: fieldsOf(have, schema) });
  }
  const mine: Manager = {
    manager,
    operation: "Apply",
    apiVersion: wanted.apiVersion,
    time: now,
    tree: fieldsOf(contentOf(wanted), schema),
  };
  const last = managers.get(keyOf(mine))?.tree ?? EMPTY;
  managers.set(keyOf(mine), mine);
  const owned = [...managers.values()].map(({ tree }) => tree).reduce(union, EMPTY);
  const merged = mergeInto(have, contentOf(wanted), schema);
  const content = withoutOrphans(merged, last, owned, schema) as JsonObject;
  const { added, modified, removed } = compare(have, content, schema);
  const changed = union(added, modified);
  const conflicts: FieldConflict[] = [];
  for (const [key, other] of managers) {
    if (other === mine) continue;
    const taken = intersection(other.tree, changed);
    if (!isEmptyTree(taken)) conflicts.push({ manager: other.manager, paths: pathsOf(taken) });
    managers.set(key, { ...other, tree: difference(difference(other.tree, taken), removed) });
  }
  if (conflicts.length > 0 && !force) return { conflicts };
  const object = withContent(content, wanted, live);
  schema.fill(object);
  write(object, managers, before, now);
  return { object };
}

/** Create, replace and patch: what changes becomes the writer's. An entry `{}` in managedFields takes everything from everybody. */
export function updated(live: Manifest | undefined, wanted: Manifest, schema: Schema, { manager, now }: Writer): Manifest {
  const before = read(live?.metadata["managedFields"]);
  const asked = wanted.metadata["managedFields"];
  const isGiven = Array.isArray(asked) && asked.length > 0;
  const isReset = isGiven && asked.length === 1 && Object.keys(asked[0] as object).length === 0;
  const managers = isReset ? new Map<string, Manager>() : isGiven ? read(asked) : new Map(before);
  const object = withContent(contentOf(wanted), wanted, live);
  schema.fill(object);
  const { added, modified, removed } = compare(live ? contentOf(live) : { metadata: {} }, contentOf(object), schema);
  const changed = union(added, modified);
  const gone = union(changed, removed);
  const mine = { manager, operation: "Update", apiVersion: wanted.apiVersion, time: now };
  const own = managers.get(keyOf(mine))?.tree ?? EMPTY;
  for (const [key, other] of managers) managers.set(key, { ...other, tree: difference(other.tree, gone) });
  managers.set(keyOf(mine), { ...mine, tree: union(difference(own, removed), changed) });
  write(object, managers, before, now);
  return object;
}
