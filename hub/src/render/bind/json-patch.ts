import { cloneJson, isJsonObject, type JsonObject, type JsonValue } from "@muster/shared/model";
import { applyPatch, type Operation } from "rfc6902";

const OPERATIONS = new Set(["add", "remove", "replace", "move", "copy", "test"]);
const INDEX = /^(?:0|[1-9][0-9]*)$/;

/** A JSON patch that cannot be read or does not apply. */
export class JsonPatchError extends Error {}

/** Applies a JSON patch (RFC 6902) to a copy. Throws a JsonPatchError that names the operation. */
export function applyJsonPatch(target: JsonObject, patch: readonly JsonObject[]): JsonObject {
  const copy = cloneJson(target);
  for (const [index, operation] of patch.entries()) {
    // Written by people, whatever its type says.
    if (!isJsonObject(operation)) throw new JsonPatchError(`operation ${index + 1} is no map with op and path`);
    const fail = (why: string) =>
      new JsonPatchError(`operation ${index + 1} (${String(operation["op"])} ${String(operation["path"])}): ${why}`);
    checkShape(operation, fail);
    const { op, path, from } = operation;
    if (typeof from === "string") checkPointer(copy, from, false, fail);
    checkPointer(copy, String(path), op === "add" || op === "copy" || op === "move", fail);
    let failed: Error | null | undefined;
    try {
      [failed] = applyPatch(copy, [cloneJson(operation) as unknown as Operation]);
    } catch (error) {
      throw fail(error instanceof Error ? error.message : String(error));
    }
    if (failed) throw fail(failed.name === "TestError" ? "the tested value is another one" : "there is nothing at this path");
  }
  return copy;
}

function checkShape(operation: JsonObject, fail: (why: string) => JsonPatchError): void {
  const { op, path, from } = operation;
  if (typeof op !== "string" || !OPERATIONS.has(op)) throw fail("op must be add, remove, replace, move, copy or test");
  if (typeof path !== "string" || !path.startsWith("/")) throw fail("path must be a JSON pointer that begins with /");
  if ((op === "move" || op === "copy") && (typeof from !== "string" || !from.startsWith("/")))
    throw fail("from must be a JSON pointer that begins with /");
  if ((op === "add" || op === "replace" || op === "test") && !Object.hasOwn(operation, "value")) throw fail("value is missing");
}

/**
 * rfc6902 follows inherited properties and sets `list["x"]` without a word; here every step but the last must exist, and
 * a step into a list must be an index (or `-` at the end, where something is added).
 */
function checkPointer(root: JsonObject, pointer: string, mayAppend: boolean, fail: (why: string) => JsonPatchError): void {
  const tokens = pointer
    .split("/")
    .slice(1)
    .map((token) => token.replaceAll("~1", "/").replaceAll("~0", "~"));
  const last = tokens.pop() ?? "";
  let value: JsonValue = root;
  for (const token of tokens) {
    checkStep(value, token, false, fail);
    const next: JsonValue | undefined = Array.isArray(value) ? value[Number(token)] : ownMember(value, token);
    if (next === undefined) throw fail("there is nothing at this path");
    value = next;
  }
  checkStep(value, last, mayAppend, fail);
}

function checkStep(value: JsonValue, token: string, mayAppend: boolean, fail: (why: string) => JsonPatchError): void {
  if (token === "__proto__" || token === "constructor" || token === "prototype") throw fail(`${token} cannot be patched`);
  if (Array.isArray(value)) {
    if (!INDEX.test(token) && !(mayAppend && token === "-")) throw fail(`${JSON.stringify(token)} is no index of a list`);
  } else if (!isJsonObject(value)) {
    throw fail("the path leads into a value that is neither map nor list");
  }
}

function ownMember(value: JsonValue, key: string): JsonValue | undefined {
  return isJsonObject(value) && Object.hasOwn(value, key) ? value[key] : undefined;
}
