import { FIELD_MANAGER, type FieldOwner, isJsonObject, type Manifest } from "@muster/shared/model";
import { fieldPath, managedFields, ownedFields } from "./field-set.ts";
import { leavesOf } from "./field-set-parts.ts";
import { holdsLeaf } from "./ignore-rules.ts";

/** Managers, and fields of each, that are told at most. */
const MAX_OWNERS = 3;
const MAX_PATHS = 5;

const NOBODY: readonly FieldOwner[] = [];

/** Who owns fields of an object together with us. Such a field stays when it leaves Git, for as long as the other one wants it (E021). */
export function sharedFields(live: Manifest): readonly FieldOwner[] {
  const others = managedFields(live).filter(
    (entry) => !(entry["manager"] === FIELD_MANAGER && entry["operation"] === "Apply") && entry["subresource"] !== "status",
  );
  const ours = others.length > 0 ? ownedFields(live) : undefined;
  if (!ours) return NOBODY;
  const leaves = leavesOf(ours);
  const owners = others.flatMap((entry): FieldOwner[] => {
    const theirs = entry["fieldsV1"];
    if (!isJsonObject(theirs) || typeof entry["manager"] !== "string") return [];
    const paths = leaves.filter((keys) => holdsLeaf(theirs, ours, keys)).slice(0, MAX_PATHS);
    return paths.length > 0 ? [{ manager: entry["manager"], paths: paths.map(fieldPath).sort() }] : [];
  });
  return owners.length > 0 ? owners.slice(0, MAX_OWNERS) : NOBODY;
}
