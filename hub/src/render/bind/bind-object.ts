import { CodedError } from "@muster/shared/errors";
import { formatObjectRef, type Manifest, objectRefOf } from "@muster/shared/model";
import type { Variables } from "../../fleet/model.ts";
import type { RenderedObject } from "../rendered-objects.ts";
import type { RenderNotice } from "../renderer.ts";
import { checkCaBundles } from "./ca-bundle.ts";
import { asManifest, describeLoosely } from "./check-object.ts";
import { findDuplicateListKey } from "./list-keys.ts";
import { namespaceOf, normalise } from "./normalise.ts";
import { checkedSize } from "./object-size.ts";
import { applyPatchSpec, type FilledPatch, matchesPatch } from "./patches.ts";
import type { Scope } from "./scopes.ts";
import { substitute } from "./substitute.ts";
import { isLeftAlone } from "./variable-uses.ts";

/** What binding needs to know besides the object. */
export interface ObjectBinding {
  readonly bundle: string;
  readonly namespace: string;
  readonly variables: Variables;
  /** With their variables filled in. */
  readonly patches: readonly FilledPatch[];
}

/** A bound object. Shared between targets and never changed. */
export interface BoundObject {
  readonly manifest: Manifest;
  /** Object ref as text. */
  readonly ref: string;
  /** Bytes as JSON. */
  readonly bytes: number;
  /** Indices of the patches that matched. */
  readonly patchedBy: readonly number[];
  readonly notice?: RenderNotice;
}

/**
 * Binds one object: variables, then patches (which see the namespace that the object will have), then namespace, label
 * and the form in which the API stores it. Names of variables without value go to `unset`; the result is then of no use.
 * Throws OBJECT_INVALID, OBJECT_TOO_LARGE, PATCH_INVALID. An expression that cannot be read was refused before, when the
 * names were collected.
 */
export function bindObject(source: RenderedObject, scope: Scope, binding: ObjectBinding, unset: Set<string>): BoundObject | undefined {
  const { at } = source;
  const filled = isLeftAlone(source.object) ? source.object : substitute(source.object, binding.variables, unset);
  if (unset.size > 0) return undefined;
  let manifest = asManifest(filled, at);
  const patchedBy: number[] = [];
  for (const [index, patch] of binding.patches.entries()) {
    const ref = objectRefOf(manifest);
    if (!matchesPatch(patch.target, { ...ref, namespace: scope === "cluster" ? "" : namespaceOf(manifest, binding.namespace) })) continue;
    manifest = asManifest(applyPatchSpec(manifest, patch), patch.at);
    patchedBy.push(index);
  }
  const checked = checkCaBundles(normalise(manifest, { ...binding, scope, at }), at);
  manifest = checked.manifest;
  const duplicate = findDuplicateListKey(manifest);
  if (duplicate !== undefined) {
    throw new CodedError(
      "OBJECT_INVALID",
      `${describeLoosely(manifest)} has the same list entry twice: ${duplicate} repeats an earlier one`,
      { at, data: { path: duplicate } },
    );
  }
  const { notice } = checked;
  return { manifest, ref: formatObjectRef(objectRefOf(manifest)), bytes: checkedSize(manifest, at), patchedBy, ...(notice && { notice }) };
}
