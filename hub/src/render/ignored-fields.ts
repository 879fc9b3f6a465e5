import {
  type DriftIgnore,
  describeObjectRef,
  isJsonObject,
  type JsonValue,
  type Manifest,
  objectRefOf,
  splitApiVersion,
} from "@muster/shared/model";
import type { RenderedTarget, RenderNotice } from "./renderer.ts";

/** Objects that are named. */
const MAX_NAMED = 5;

const known = new WeakMap<RenderedTarget, { readonly rules: string; readonly noticed: RenderedTarget }>();

/**
 * Remarks on fields that Git sets and that an ignore rule leaves to others whatever they are: Git's value then counts only when the object is
 * made. Rules by manager or condition say themselves when they count. Asked again, it gives the same target as before.
 */
export function noticeIgnoredFields(rendered: RenderedTarget, ignore: readonly DriftIgnore[]): RenderedTarget {
  const always = ignore.filter((rule) => rule.when === undefined && rule.managers === undefined);
  if (always.length === 0) return rendered;
  const rules = JSON.stringify(always);
  const before = known.get(rendered);
  if (before?.rules === rules) return before.noticed;
  const found = rendered.manifests.flatMap((manifest) => {
    const paths = always.filter((rule) => fits(rule, manifest)).flatMap((rule) => rule.paths);
    const set = [...new Set(paths)].filter((path) => isSet(manifest, tokensOf(path)));
    return set.length > 0 ? [`${describeObjectRef(objectRefOf(manifest))} (${set.join(", ")})`] : [];
  });
  const noticed = found.length === 0 ? rendered : { ...rendered, notices: [...rendered.notices, notice(found)] };
  known.set(rendered, { rules, noticed });
  return noticed;
}

function notice(found: readonly string[]): RenderNotice {
  const more = found.length > MAX_NAMED ? ` and ${found.length - MAX_NAMED} more` : "";
  const named = `${found.slice(0, MAX_NAMED).join(", ")}${more}`;
  return {
    type: "IgnoredFieldSet",
    message: `Git sets fields that drift.ignore leaves to others, so what it says counts only when the object is made: ${named}`,
  };
}

function fits({ kind, group, namespace, name }: DriftIgnore, manifest: Manifest): boolean {
  if (kind !== undefined && kind !== manifest.kind) return false;
  if (group !== undefined && group !== splitApiVersion(manifest.apiVersion).group) return false;
  if (namespace !== undefined && namespace !== manifest.metadata["namespace"]) return false;
  return name === undefined || name === manifest.metadata.name;
}

/** The tokens of a JSON pointer (RFC 6901). */
function tokensOf(pointer: string): string[] {
  return pointer
    .split("/")
    .slice(1)
    .map((token) => token.replaceAll("~1", "/").replaceAll("~0", "~"));
}

/** True if there is something at the end of the pointer; `*` stands for any item of a list. */
function isSet(value: JsonValue | undefined, [head, ...rest]: readonly string[]): boolean {
  if (value === undefined || value === null) return false;
  if (head === undefined) return true;
  if (Array.isArray(value)) return value.some((item, index) => (head === "*" || head === String(index)) && isSet(item, rest));
  return isJsonObject(value) && Object.hasOwn(value, head) && isSet(value[head], rest);
}
