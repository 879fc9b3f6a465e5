import { isJsonObject, type JsonObject, type JsonValue, setOwn } from "@muster/shared/model";

/**
 * JSON merge patch (RFC 7386): maps merge, null removes, everything else replaces. Gives a new value that shares what
 * did not change with both arguments; neither is changed.
 */
export function mergePatch(target: JsonValue | undefined, patch: JsonValue): JsonValue {
  if (!isJsonObject(patch)) return patch;
  const result: JsonObject = isJsonObject(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else setOwn(result, key, mergePatch(Object.hasOwn(result, key) ? result[key] : undefined, value));
  }
  return result;
}
