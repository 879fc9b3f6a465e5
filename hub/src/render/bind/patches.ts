import { CodedError } from "@muster/shared/errors";
import {
  describeObjectRef,
  isJsonObject,
  type JsonObject,
  type JsonValue,
  type Manifest,
  type ObjectRef,
  objectRefOf,
} from "@muster/shared/model";
import type { PatchSpec, Variables } from "../../fleet/model.ts";
import { describeExpressionError, ExpressionError } from "./expression.ts";
import { applyJsonPatch, JsonPatchError } from "./json-patch.ts";
import { mergePatch } from "./merge-patch.ts";
import { hasTextData, substitute, substituteAt } from "./substitute.ts";

/** A patch with its variables filled in. */
export interface FilledPatch extends PatchSpec {
  /** {@link PatchSpec.patch} for a ConfigMap or Secret, in whose data a variable is always text. */
  readonly patchOfTextData: PatchSpec["patch"];
}

/** The patch with its variables filled in. Names without value go to `unset`. Throws VARIABLE_SYNTAX. */
export function fillPatch(spec: PatchSpec, variables: Variables, unset: Set<string>): FilledPatch {
  try {
    const fill = (kind: string) => fillOperations(spec.patch, kind, variables, unset);
    // The target need not say a kind: which of the two is used is known with the object.
    return { ...spec, target: substitute({ ...spec.target }, variables, unset), patch: fill(""), patchOfTextData: fill("Secret") };
  } catch (error) {
    if (!(error instanceof ExpressionError)) throw error;
    const { kind } = spec.target;
    const mayBeSecret = kind === undefined || kind === "Secret" || kind.includes("${");
    const why = describeExpressionError(error, { target: { ...spec.target }, patch: spec.patch as JsonValue }, !mayBeSecret);
    throw new CodedError("VARIABLE_SYNTAX", why.charAt(0).toUpperCase() + why.slice(1), { at: spec.at });
  }
}

function fillOperations(patch: PatchSpec["patch"], kind: string, variables: Variables, unset: Set<string>): PatchSpec["patch"] {
  const fill = (value: JsonValue, steps: readonly string[]) => substituteAt(value, { steps, kind }, variables, unset);
  if (!isOperations(patch)) return fill(patch, []) as JsonObject;
  return patch.map((operation) => {
    // What is no operation is refused when the patch is applied, with its number.
    if (!isJsonObject(operation) || typeof operation["path"] !== "string" || operation["value"] === undefined) return operation;
    return { ...operation, value: fill(operation["value"], operation["path"].split("/").slice(1)) };
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
export function applyPatchSpec(manifest: Manifest, spec: FilledPatch): Manifest {
  const patch = hasTextData(manifest.kind) ? spec.patchOfTextData : spec.patch;
  const refuse = (why: string) =>
    new CodedError("PATCH_INVALID", `The patch does not apply to ${describeObjectRef(objectRefOf(manifest))}: ${why}`, { at: spec.at });
  try {
    if (!isOperations(patch) && !isJsonObject(patch)) throw refuse("it is neither a map nor a list of operations");
    const patched = isOperations(patch) ? applyJsonPatch(manifest, patch) : mergePatch(manifest, patch);
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
