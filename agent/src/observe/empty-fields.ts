import { isJsonObject, type JsonValue } from "@muster/shared/model";
import { type FieldSet, isEmptyContainer, step } from "./field-set.ts";

/** Maps whose entries have owners of their own in every kind, also in the metadata of a pod template. */
const GRANULAR = new Set(["f:labels", "f:annotations"]);

/**
 * Where our manifest says `{}` or `[]` (`resources: {}`), an apply takes from nobody what others put in there: only the
 * existence is ours, which is written `.`. Where that is not so, because the type is owned as a whole (a NetworkPolicy's
 * `podSelector: {}`), the API server takes the field from us when somebody else fills it, and that is seen.
 */
export function withEmptyFields(fields: FieldSet, manifest: JsonValue | undefined, parent = ""): FieldSet {
  const result: FieldSet = {};
  for (const [key, inner] of Object.entries(fields)) {
    if (key === "." || !isJsonObject(inner)) continue;
    const value = manifest === undefined ? undefined : step(manifest, key);
    if (Object.keys(inner).length > 0) {
      const below = withEmptyFields(inner, value, key);
      if (Object.keys(below).length > 0) result[key] = below;
    } else if (!isEmptyContainer(value)) result[key] = inner;
    else if (parent !== "f:metadata" || !GRANULAR.has(key)) result[key] = { ".": {} };
  }
  return result;
}

/** A field set without the containers of which only the existence is ours, as far as it still is. */
export function withoutHeld(fields: FieldSet, own: FieldSet | undefined): FieldSet {
  const result: FieldSet = {};
  for (const [key, inner] of Object.entries(fields)) {
    if (!isJsonObject(inner)) continue;
    const ours = own?.[key];
    const names = Object.keys(inner);
    if (names.length === 1 && names[0] === "." && ours !== undefined) continue;
    const below = withoutHeld(inner, isJsonObject(ours) ? ours : undefined);
    if (names.length === 0 || Object.keys(below).length > 0) result[key] = below;
  }
  return result;
}
