import { CodedError } from "@muster/shared/errors";
import { Adoption, type BundleOptions, describeObjectRef, type Manifest, objectRefOf } from "@muster/shared/model";
import type { Cluster, ResourceType } from "../kube/cluster.ts";
import { annotationOf } from "../plan/prune-policy.ts";
import { changedPaths } from "./changed-paths.ts";
import { bundleOf, controllerOf, isMarked, toolOf } from "./foreign-owner.ts";
import { droppedFromKubectl } from "./take-over.ts";

/** `never`, `ifUnowned` or `always`, on an object in Git: whether one that is there already may become ours, in place of what its bundle says (E092). */
export const ADOPT_ANNOTATION = "muster.dev/adopt";

/** An object in Git, and what stands in its place. */
export interface Adoptee {
  readonly type: ResourceType;
  readonly inGit: Manifest;
  /** As it would be applied. */
  readonly wanted: Manifest;
  readonly live: Manifest;
  readonly options: Pick<BundleOptions, "adoption">;
  /** A bundle that this agent has, or has objects of. */
  readonly isKnown: (bundle: string) => boolean;
}

/**
 * Throws ADOPT_REFUSED where what is there already does not become ours. An object with the label of one of our bundles is ours, unless a
 * controller has made it: operators copy labels to what they make (E090). Where a word in Git would allow it, the error says what would change then.
 */
export async function refuseForeign(adoptee: Adoptee, cluster: Cluster, signal: AbortSignal): Promise<void> {
  const { inGit, live } = adoptee;
  const what = describeObjectRef(objectRefOf(live));
  const controller = controllerOf(live);
  if (controller) throw new CodedError("ADOPT_REFUSED", `${what} belongs to ${controller}`);
  const refusal = isMarked(live, adoptee.isKnown) ? undefined : whyNotAdopted(inGit, live, adoptee.options);
  if (refusal) throw new CodedError("ADOPT_REFUSED", `${what} ${refusal}; ${await preview(adoptee, cluster, signal)}`);
}

function whyNotAdopted(inGit: Manifest, live: Manifest, { adoption = Adoption.IfUnowned }: Adoptee["options"]): string | undefined {
  const own = annotationOf(inGit, ADOPT_ANNOTATION);
  const policy = own ?? adoption;
  if (policy === Adoption.Always) return undefined;
  const owner = toolOf(live);
  if (owner) return `belongs to ${owner}`;
  const bundle = bundleOf(live);
  if (bundle !== undefined) return `belongs to the bundle ${bundle}, which is not of this agent`;
  // A word that means nothing must not take what is not ours.
  if (policy === Adoption.IfUnowned) return undefined;
  return `is there already, and its ${own === undefined ? "bundle says adoption:" : `annotation ${ADOPT_ANNOTATION} in Git says`} ${policy}`;
}

/** What an adoption would change, by a dry run; values never appear. */
async function preview({ type, wanted, live }: Adoptee, cluster: Cluster, signal: AbortSignal): Promise<string> {
  try {
    const then = await cluster.apply(type, wanted, { force: true, dryRun: true, signal });
    const paths = [...new Set([...changedPaths(live, then), ...droppedFromKubectl(live, wanted)])];
    return paths.length > 0 ? `adopted, it would change at ${paths.join(", ")}` : "adopted, it would not change";
  } catch (error) {
    if (signal.aborted) throw error;
    return `adopted, it would be refused: ${CodedError.from(error).message}`;
  }
}
