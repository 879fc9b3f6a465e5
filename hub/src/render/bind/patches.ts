import { CodedError } from "@muster/shared/errors";
import { describeObjectRef, type Manifest, type ObjectRef, objectRefOf } from "@muster/shared/model";
import type { PatchSpec, Variables } from "../../fleet/model.ts";
import { ExpressionError } from "./expression.ts";
import { applyJsonPatch, JsonPatchError } from "./json-patch.ts";
import { mergePatch } from "./merge-patch.ts";
import { substitute, substituteAt } from "./substitute.ts";

/** The patch with its variables filled in. Names without value go to `unset`. Throws VARIABLE_SYNTAX. */
export function fillPatch(spec: PatchSpec, variables: Variables, unset: Set<string>): PatchSpec {
  try {
    return { ...spec, target: substitute({ ...spec.target }, variables, unset), patch: fill(spec.patch, variables, unset) };
  } catch (error) {
    if (error instanceof ExpressionError) throw new CodedError("VARIABLE_SYNTAX", `Cannot read ${error.message}`, { at: spec.at });
    throw error;
  }
}

function fill(patch: PatchSpec["patch"], variables: Variables, unset: Set<string>): PatchSpec["patch"] {
  if (!isOperations(patch)) return substitute(patch, variables, unset);
  return patch.map((operation) => {
    if (typeof operation["path"] !== "string" || operation["value"] === undefined) return operation;
    return { ...operation, value: substituteAt(operation["value"], operation["path"].split("/").slice(1), variables, unset) };
  });
}

/** True if every given part of the target is the object's. */
export function matchesPatch(target: PatchSpec["target"], ref: ObjectRef): boolean {
  return (
    (target.group === undefined || target.group === ref.group) &&
    (target.kind === undefined || target.kind === ref.kind) &&
    (target.namespace === undefined || target.namespace === ref.namespace) &&
    (target.name === undefined || target.name === ref.name)
  );
}

/** Applies one patch. Throws PATCH_INVALID at the patch's own position. */
export function applyPatchSpec(manifest: Manifest, spec: PatchSpec): Manifest {
  const refuse = (why: string) =>
    new CodedError("PATCH_INVALID", `The patch does not apply to ${describeObjectRef(objectRefOf(manifest))}: ${why}`, { at: spec.at });
  try {
    const patched = isOperations(spec.patch) ? applyJsonPatch(manifest, spec.patch) : mergePatch(manifest, spec.patch);
    const result = patched as Manifest;
    // Caches, scopes and the other patches know the object by its kind; a patch that turns it into another is a mistake.
    if (result.apiVersion !== manifest.apiVersion || result.kind !== manifest.kind) throw refuse("it changes apiVersion or kind");
    return result;
  } catch (error) {
    if (error instanceof JsonPatchError) throw refuse(error.message);
    throw error;
  }
}

function isOperations(patch: PatchSpec["patch"]): patch is Extract<PatchSpec["patch"], readonly unknown[]> {
  return Array.isArray(patch);
}
