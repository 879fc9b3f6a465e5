import { BUNDLE_LABEL, FIELD_MANAGER, isJsonObject, type JsonObject, type JsonValue, type Manifest } from "@muster/shared/model";
import { type FieldSet, fieldPath, managedFields } from "../observe/field-set.ts";
import { leavesOf, union } from "../observe/field-set-parts.ts";

/**
 * Managers of `kubectl apply` without --server-side, and of what an object held before its first server-side apply. Neither is
 * somebody who still wants something; left there, each would keep alive what a later commit removes (E026, E040).
 */
const LEGACY = new Set(["kubectl-client-side-apply", "before-first-apply"]);

const LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration";

/** A merge patch onto `metadata`; its resourceVersion makes a write in between a KUBE_CONFLICT. */
export type OwnershipPatch = JsonObject;

/**
 * What makes us the only owner of what `kubectl apply` had applied; undefined if there is nothing of it. As in client-go's
 * csaupgrade, with one difference: only fields that the last applied configuration or our manifest names become ours. The entry
 * of kubectl also has what the server had defaulted (a PVC's storage class), and what becomes ours is removed by our next apply
 * unless Git sets it. Fields that become nobody's keep their value.
 */
export function takeOverFromKubectl(live: Manifest, manifest: Manifest): OwnershipPatch | undefined {
  if (!hasLegacyOwner(live)) return undefined;
  const named = [lastApplied(live), manifest];
  const metadata = reassign(live, (entry, fields) => (isLegacy(entry) ? { ours: namedPart(fields, named), theirs: {} } : undefined));
  const keeps = annotationsOf(manifest)[LAST_APPLIED] !== undefined || annotationsOf(live)[LAST_APPLIED] === undefined;
  return keeps ? metadata : { ...metadata, annotations: { [LAST_APPLIED]: null } };
}

/** True if `kubectl apply` has applied it, and nobody has taken that over. */
export function hasLegacyOwner(live: Manifest): boolean {
  return managedFields(live).some(isLegacy);
}

/** What `kubectl apply` had set and we do not: gone with our first apply of what became ours. For people: `.data.old`. */
export function droppedFromKubectl(live: Manifest, manifest: Manifest): string[] {
  const last = lastApplied(live);
  return managedFields(live).flatMap((entry) => {
    const fields = entry["fieldsV1"];
    return isLegacy(entry) && isJsonObject(fields)
      ? leavesOf(minus(namedPart(fields, [last]), namedPart(fields, [manifest]))).map(fieldPath)
      : [];
  });
}

/**
 * What makes all entries of one list ours, whoever owns them: then our next apply removes those that Git does not have. `*` in the path is
 * every item of a list on the way that Git has too: what others have put beside them stays theirs.
 */
export function takeOverList(live: Manifest, path: readonly string[], manifest: Manifest): OwnershipPatch | undefined {
  const isTaken = managedFields(live).some(
    (entry) => !isOurs(entry) && Object.keys(listPart(entry["fieldsV1"], path, manifest)).length > 0,
  );
  if (!isTaken) return undefined;
  return reassign(live, (entry, fields) => {
    const part = listPart(fields, path, manifest);
    return isOurs(entry) || Object.keys(part).length === 0 ? undefined : { ours: part, theirs: minus(fields, part) };
  });
}

/** The part of a field set that is below a path; the keys of each item on the way stay with it. */
function listPart(fields: JsonValue | undefined, [head, ...rest]: readonly string[], value: JsonValue | undefined): FieldSet {
  if (!isJsonObject(fields)) return {};
  if (head === undefined) return fields;
  const part: FieldSet = {};
  for (const [key, inner] of Object.entries(fields)) {
    const member = memberOf(value, key);
    if (head === "*" ? !key.startsWith("k:") || member === undefined : key !== `f:${head}`) continue;
    const below = listPart(inner, rest, member);
    if (Object.keys(below).length > 0) part[key] = below;
  }
  return part;
}

/** Gives every entry that `split` answers for in part to us, and the rest to whom it belongs. */
function reassign(
  live: Manifest,
  split: (entry: JsonObject, fields: FieldSet) => { ours: FieldSet; theirs: FieldSet } | undefined,
): OwnershipPatch {
  const entries = managedFields(live);
  const own = entries.find(isOurs);
  let version = own?.["apiVersion"];
  // An entry of no field at all would look to the server like “managedFields were reset”; our label is applied in any case.
  let ours: FieldSet = isJsonObject(own?.["fieldsV1"]) ? own["fieldsV1"] : { "f:metadata": { "f:labels": { [`f:${BUNDLE_LABEL}`]: {} } } };
  const others: JsonObject[] = [];
  for (const entry of entries) {
    if (entry === own) continue;
    const parts = entry["subresource"] || !isJsonObject(entry["fieldsV1"]) ? undefined : split(entry, entry["fieldsV1"]);
    if (!parts) {
      others.push(entry);
      continue;
    }
    version ??= entry["apiVersion"];
    // Paths of another version may mean something else: such fields become nobody's, and keep their value.
    if (entry["apiVersion"] === version) ours = union(ours, parts.ours);
    if (Object.keys(parts.theirs).length > 0) others.push({ ...entry, fieldsV1: parts.theirs });
  }
  const mine = {
    manager: FIELD_MANAGER,
    operation: "Apply",
    apiVersion: version ?? live.apiVersion,
    fieldsType: "FieldsV1",
    fieldsV1: ours,
  };
  return { managedFields: [mine, ...others], resourceVersion: live.metadata["resourceVersion"] ?? "" };
}

function isLegacy(entry: JsonObject): boolean {
  return LEGACY.has(String(entry["manager"])) && entry["operation"] === "Update" && !entry["subresource"];
}

function isOurs(entry: JsonObject): boolean {
  return entry["manager"] === FIELD_MANAGER && entry["operation"] === "Apply" && !entry["subresource"];
}

function annotationsOf(manifest: Manifest): JsonObject {
  const annotations = manifest.metadata["annotations"];
  return isJsonObject(annotations) ? annotations : {};
}

function lastApplied(live: Manifest): JsonValue | undefined {
  try {
    return JSON.parse(String(annotationsOf(live)[LAST_APPLIED] ?? "null")) as JsonValue;
  } catch {
    return undefined;
  }
}

/** The part of a field set that one of the objects names. */
function namedPart(fields: FieldSet, objects: readonly (JsonValue | undefined)[]): FieldSet {
  const part: FieldSet = {};
  for (const [key, inner] of Object.entries(fields)) {
    if (key === "." || !isJsonObject(inner)) continue;
    const values = objects.map((object) => memberOf(object, key)).filter((value) => value !== undefined);
    if (values.length === 0) continue;
    const below = namedPart(inner, values);
    // An item of a list is there as a whole: without its `.` the server would leave an empty shell of it.
    if (Object.hasOwn(inner, ".") && !key.startsWith("f:")) below["."] = {};
    if (Object.keys(inner).length === 0 || Object.keys(below).length > 0) part[key] = below;
  }
  return part;
}

/** What one key of a field set names in an object; list keys that the object leaves to their default (`protocol`) are absent in it. */
function memberOf(value: JsonValue | undefined, key: string): JsonValue | undefined {
  const rest = key.slice(2);
  if (key.startsWith("f:")) return isJsonObject(value) && Object.hasOwn(value, rest) ? value[rest] : undefined;
  if (!Array.isArray(value)) return undefined;
  if (key.startsWith("v:")) return value.find((item) => JSON.stringify(item) === rest);
  if (!key.startsWith("k:")) return undefined;
  const keys = Object.entries(JSON.parse(rest) as JsonObject);
  return value.find((item) => isJsonObject(item) && keys.every(([name, want]) => item[name] === want || item[name] === undefined));
}

/** The leaves of one field set that another has not. */
function minus(a: FieldSet, b: FieldSet): FieldSet {
  const rest: FieldSet = {};
  for (const [key, inner] of Object.entries(a)) {
    const other = b[key];
    if (!isJsonObject(inner) || !isJsonObject(other)) rest[key] = inner;
    else {
      const below = minus(inner, other);
      if (Object.keys(below).length > 0) rest[key] = below;
    }
  }
  return rest;
}
