import {
  type DriftDetail,
  DriftKind,
  FIELD_MANAGER,
  type FieldChange,
  isJsonObject,
  type JsonObject,
  type JsonValue,
  type Manifest,
} from "@muster/shared/model";
import { canonicalJson } from "@muster/shared/wire";
import { withoutHeld } from "./empty-fields.ts";
import { type FieldSet, fieldPath, intersect, managedFields, missingIn, ownedFields, step } from "./field-set.ts";
import { type FieldKeys, fieldsAt, fieldsOf, leavesOf, union, valueAt } from "./field-set-parts.ts";
import { keyOf } from "./ignore-rules.ts";
import { toldValues } from "./told-values.ts";

/** Paths that are told at most; the rest is counted by nobody, because an operator reads the first few. */
const MAX_PATHS = 20;
/** Fields of which values are told at most. */
const MAX_CHANGES = 10;

/** What is known beside the live object. */
export interface DriftContext {
  /** Fields that are known to differ. Default: none. */
  readonly certain?: FieldSet;
  /** The object as Git has it, where it is at hand. */
  readonly wanted?: Manifest | undefined;
  /** Whether values are told. */
  readonly tellValues?: boolean;
}

/** One other manager's entry, with what it has taken of our fields. */
interface Taken {
  readonly entry: JsonObject;
  readonly leaves: readonly FieldKeys[];
}

/**
 * Says who changed what, from the live object's managedFields. Only the hash of what we applied is known, not its values; so the paths are those
 * of our recorded field set that another manager owns now or that are gone, less those that are as Git has them all the same.
 */
export function explainDrift(recorded: FieldSet, live: Manifest, context: DriftContext = {}): DriftDetail {
  const { certain = {}, wanted, tellValues } = context;
  const suspect = withoutHeld(recorded, ownedFields(live));
  const ours = union(suspect, certain);
  const others = managedFields(live)
    // A status is no field of ours; `scale` changes one that may be.
    .filter((entry) => !(entry["manager"] === FIELD_MANAGER && entry["operation"] === "Apply") && entry["subresource"] !== "status")
    .map((entry): Taken => ({ entry, leaves: isJsonObject(entry["fieldsV1"]) ? leavesOf(intersect(ours, entry["fieldsV1"])) : [] }))
    .filter(({ leaves }) => leaves.length > 0)
    .sort((a, b) => timeOf(b.entry).localeCompare(timeOf(a.entry)));
  const suspects = [
    // Of a map that we left empty (`.`), what others have put into it counts too.
    ...others.flatMap(({ leaves }) => leaves).filter((keys) => leavesOf(intersect(suspect, fieldsOf([keys]))).length > 0),
    ...leavesOf(missingIn(live, suspect)),
    ...leavesOf(certain),
  ];
  const byPath = new Map(suspects.map((keys) => [fieldPath(keys), keys]));
  const isSame = (keys: FieldKeys) => wanted !== undefined && fieldsAt(certain, keys) === undefined && isEqual(live, wanted, keys);
  const differing = [...byPath].filter(([, keys]) => !isSame(keys));
  const paths = (differing.length > 0 ? differing : [...byPath]).sort(([a], [b]) => (a < b ? -1 : 1)).slice(0, MAX_PATHS);
  // A removed field leaves no owner; the latest other writer is the best guess at who removed it.
  const guess = latestOther(live);
  const culprit = others.find(({ leaves }) => leaves.some((keys) => paths.some(([, one]) => keyOf(one) === keyOf(keys))))?.entry;
  const who = whoOf(culprit ?? others[0]?.entry ?? guess);
  const detail = { kind: DriftKind.Modified, ...who, paths: paths.map(([path]) => path) };
  if (!tellValues || !wanted) return detail;
  const fields = paths.slice(0, MAX_CHANGES).map(([path, keys]): FieldChange => {
    const entry = others.find(({ leaves }) => leaves.some((one) => keyOf(one) === keyOf(keys)))?.entry;
    const by = whoOf(entry ?? guess);
    const { wanted: was, got } = toldValues({ wanted: wantedAt(wanted, keys), got: valueAt(live, keys) }, live.kind, keys);
    const differs = by.manager !== who.manager || by.at !== who.at;
    return { path, ...(was !== undefined && { wanted: was }), ...(got !== undefined && { got }), ...(differs && by) };
  });
  return fields.length > 0 ? { ...detail, fields } : detail;
}

function isEqual(live: Manifest, wanted: Manifest, keys: FieldKeys): boolean {
  const [is, want] = [valueAt(live, keys), wantedAt(wanted, keys)];
  return is !== undefined && want !== undefined && canonicalJson(is) === canonicalJson(want);
}

/** Keys of a list that Git leaves to their default (`protocol`) are absent there. */
function wantedAt(wanted: JsonValue | undefined, keys: FieldKeys): JsonValue | undefined {
  let at = wanted;
  for (const key of keys) {
    const found: JsonValue | undefined = at === undefined ? undefined : step(at, key);
    at =
      found ??
      (key.startsWith("k:") && Array.isArray(at) ? at.find((item) => fits(item, JSON.parse(key.slice(2)) as JsonObject)) : undefined);
  }
  return at;
}

function fits(item: JsonValue, keys: JsonObject): boolean {
  return isJsonObject(item) && Object.entries(keys).every(([name, want]) => item[name] === want || item[name] === undefined);
}

function whoOf(entry: JsonObject | undefined): Pick<DriftDetail, "manager" | "at"> {
  const manager = entry?.["manager"];
  const at = entry ? timeOf(entry) : "";
  return { ...(typeof manager === "string" && { manager }), ...(at !== "" && { at }) };
}

function latestOther(live: Manifest): JsonObject | undefined {
  return managedFields(live)
    .filter((entry) => entry["manager"] !== FIELD_MANAGER && !entry["subresource"])
    .sort((a, b) => timeOf(b).localeCompare(timeOf(a)))[0];
}

function timeOf(entry: JsonObject): string {
  return typeof entry["time"] === "string" ? entry["time"] : "";
}
