import type { InputPosition } from "@muster/shared/errors";
import { isJsonObject, type JsonObject, type JsonValue } from "@muster/shared/model";
import { PlacedProblem, readPlaced } from "../yaml/placed-document.ts";
import { DEFAULT_YAML_LIMITS } from "../yaml/yaml-limits.ts";
import type { FleetProblem, PatchSpec } from "./model.ts";

/** A patch may be written as YAML or as a text that holds YAML. What is wrong goes to `problems`. */
export function parsePatch(patch: unknown, at: InputPosition, scope: FleetProblem["scope"], problems: FleetProblem[]): PatchSpec["patch"] {
  const wrong = (message: string): [] => {
    problems.push({ code: "PATCH_INVALID", message, at, scope });
    return [];
  };
  let value = patch as JsonValue;
  if (typeof patch === "string") {
    try {
      const documents = readPlaced({ text: patch, line: 0 }, DEFAULT_YAML_LIMITS);
      if (documents.length > 1) return wrong("a patch is one YAML document");
      const [document] = documents;
      if (document?.inexact) return wrong(`the integer ${document.inexact.text} is too large to be kept exactly`);
      value = document?.value ?? null;
    } catch (error) {
      if (!(error instanceof PlacedProblem)) throw error;
      return wrong(`the patch is no YAML: line ${error.place.line} of it: ${error.message}`);
    }
  }
  if (isJsonObject(value)) return value;
  if (!Array.isArray(value)) return wrong("a patch is a list of JSON 6902 operations or a map to merge");
  if (!value.every(isJsonObject)) return wrong("every entry of a JSON 6902 patch is a map with op and path");
  return value as JsonObject[];
}
