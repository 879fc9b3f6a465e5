import { CodedError } from "@muster/shared/errors";
import type { JsonObject } from "@muster/shared/model";
import { canonicalJson } from "@muster/shared/wire";
import type { BundleDefinition } from "../../fleet/model.ts";
import type { RenderedObject, RenderedObjects } from "../rendered-objects.ts";
import type { RenderedTarget, RenderNotice } from "../renderer.ts";
import type { BoundObject } from "./bind-object.ts";
import { describeLoosely } from "./check-object.ts";

/** What a target is put together from; `bound` is in the order of `rendered.objects`. */
export interface TargetParts {
  readonly bundle: BundleDefinition;
  readonly rendered: RenderedObjects;
  readonly bound: readonly BoundObject[];
  /** One object of each kind whose scope is not known. */
  readonly unknown: readonly JsonObject[];
}

interface Entry {
  readonly object: BoundObject;
  readonly source: RenderedObject;
}

/**
 * Bound objects as a target. An identical copy of an object is dropped with a notice. Throws OBJECT_DUPLICATE for two
 * that differ, BUNDLE_EMPTY for none.
 */
export function assembleTarget({ bundle, rendered, bound, unknown }: TargetParts): RenderedTarget {
  const notices: RenderNotice[] = [...rendered.notices];
  const entries = new Map<string, Entry>();
  for (const [index, object] of bound.entries()) {
    const entry: Entry = { object, source: rendered.objects[index] as RenderedObject };
    const twin = entries.get(object.ref);
    if (twin) notices.push(duplicateNotice(twin, entry));
    else {
      entries.set(object.ref, entry);
      if (object.notice) notices.push(object.notice);
    }
  }
  if (entries.size === 0) throw new CodedError("BUNDLE_EMPTY", `Bundle ${bundle.name} renders to no object`, { at: bundle.at });
  for (const kind of unknown) {
    const name = `${String(kind["apiVersion"])} ${String(kind["kind"])}`;
    notices.push({ type: "ScopeUnknown", message: `It is not known yet whether ${name} lives in a namespace; it is taken to` });
  }
  const kept = [...entries.values()];
  return { manifests: kept.map(({ object }) => object.manifest), origins: kept.map(({ source }) => source.origin), notices };
}

function duplicateNotice(first: Entry, second: Entry): RenderNotice {
  const name = describeLoosely(second.object.manifest);
  const origins = [first.source.origin, second.source.origin];
  const [one, two] = [first.object.manifest, second.object.manifest];
  if (one !== two && canonicalJson(one) !== canonicalJson(two)) {
    throw new CodedError("OBJECT_DUPLICATE", `${name} is rendered twice, in ${origins.join(" and in ")}, and not the same`, {
      at: second.source.at,
      data: { origins },
    });
  }
  return { type: "DuplicateDropped", message: `${name} is rendered twice and the same, in ${origins.join(" and in ")}; one is used` };
}
