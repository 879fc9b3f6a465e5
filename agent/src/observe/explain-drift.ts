import { type DriftDetail, DriftKind, FIELD_MANAGER, isJsonObject, type JsonObject, type Manifest } from "@muster/shared/model";
import { withoutHeld } from "./empty-fields.ts";
import { type FieldSet, fieldPaths, intersect, managedFields, missingIn, ownedFields } from "./field-set.ts";

/** Paths that are told at most; the rest is counted by nobody, because an operator reads the first few. */
const MAX_PATHS = 20;

/**
 * Says who changed what, from the live object's managedFields. Only the hash of what we applied is known, not its values;
 * so the paths are those of our recorded field set that another manager owns now or that are gone, or just those that are
 * `certain` to differ. Values never appear.
 */
export function explainDrift(recorded: FieldSet, live: Manifest, certain?: FieldSet): DriftDetail {
  const ours = withoutHeld(recorded, ownedFields(live));
  const others = managedFields(live)
    // A status is no field of ours; `scale` changes one that may be.
    .filter((entry) => !(entry["manager"] === FIELD_MANAGER && entry["operation"] === "Apply") && entry["subresource"] !== "status")
    .map((entry) => ({ entry, taken: isJsonObject(entry["fieldsV1"]) ? intersect(ours, entry["fieldsV1"]) : {} }))
    .filter(({ taken }) => Object.keys(taken).length > 0)
    .sort((a, b) => timeOf(b.entry).localeCompare(timeOf(a.entry)));
  const paths = new Set(certain ? fieldPaths(certain) : others.flatMap(({ taken }) => fieldPaths(taken)));
  for (const path of fieldPaths(missingIn(live, ours))) paths.add(path);
  // A removed field leaves no owner; the latest other writer is the best guess at who removed it.
  const culprit = others[0]?.entry ?? latestOther(live);
  const manager = culprit?.["manager"];
  const at = culprit ? timeOf(culprit) : "";
  return {
    kind: DriftKind.Modified,
    ...(typeof manager === "string" && { manager }),
    ...(at !== "" && { at }),
    paths: [...paths].sort().slice(0, MAX_PATHS),
  };
}

function latestOther(live: Manifest): JsonObject | undefined {
  return managedFields(live)
    .filter((entry) => entry["manager"] !== FIELD_MANAGER && !entry["subresource"])
    .sort((a, b) => timeOf(b).localeCompare(timeOf(a)))[0];
}

function timeOf(entry: JsonObject): string {
  return typeof entry["time"] === "string" ? entry["time"] : "";
}
