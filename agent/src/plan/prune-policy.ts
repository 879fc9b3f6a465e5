import { isJsonObject, type Manifest } from "@muster/shared/model";

/** What becomes of an object when it leaves Git. */
export const PrunePolicy = {
  /** It is deleted, as far as budget and approvals allow. */
  Delete: "delete",
  /** It stays, and is not ours any more (E081). */
  Keep: "keep",
  /** It stays and stays ours, and waits until a person takes the annotation off the live object. */
  Protect: "protect",
  /** A Namespace is deleted with all that is in it, also what is not ours (E084). */
  Cascade: "cascade",
} as const;
export type PrunePolicy = (typeof PrunePolicy)[keyof typeof PrunePolicy];

/** On an object in Git, or by hand on the live one. */
export const PRUNE_ANNOTATION = "muster.dev/prune";
/** `background` (default), `foreground` or `orphan`: what becomes of what the object owns (E089). */
export const PROPAGATION_ANNOTATION = "muster.dev/propagation";
/** `deleteFirst` on an object in Git: what it replaces in its bundle goes before it is there, where the two cannot be there at once (E080). */
export const REPLACE_ANNOTATION = "muster.dev/replace";
/** Helm's word for the same; a chart that had it before Muster came means it still. */
const HELM_ANNOTATION = "helm.sh/resource-policy";

const POLICIES: Readonly<Record<string, PrunePolicy>> = {
  enabled: PrunePolicy.Delete,
  disabled: PrunePolicy.Keep,
  keep: PrunePolicy.Keep,
  protect: PrunePolicy.Protect,
  cascade: PrunePolicy.Cascade,
};

const PROPAGATIONS = { background: "Background", foreground: "Foreground", orphan: "Orphan" } as const;
export type Propagation = (typeof PROPAGATIONS)[keyof typeof PROPAGATIONS];

/** undefined: the annotation has a value that means nothing, and a misspelt `disabled` must not delete. */
export function prunePolicyOf(object: Manifest): PrunePolicy | undefined {
  const own = annotationOf(object, PRUNE_ANNOTATION);
  if (own !== undefined) return Object.hasOwn(POLICIES, own) ? POLICIES[own] : undefined;
  return annotationOf(object, HELM_ANNOTATION)?.trim().toLowerCase() === "keep" ? PrunePolicy.Keep : PrunePolicy.Delete;
}

/** undefined: the annotation has a value that means nothing. */
export function propagationOf(object: Manifest): Propagation | undefined {
  const own = annotationOf(object, PROPAGATION_ANNOTATION);
  if (own === undefined) return PROPAGATIONS.background;
  return Object.hasOwn(PROPAGATIONS, own) ? PROPAGATIONS[own as keyof typeof PROPAGATIONS] : undefined;
}

export function annotationOf(object: Manifest, key: string): string | undefined {
  const annotations = object.metadata["annotations"];
  const value = isJsonObject(annotations) ? annotations[key] : undefined;
  return value === undefined ? undefined : String(value);
}
