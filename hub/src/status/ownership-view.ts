import { Adoption, type BundleOptions, OnRemoval } from "@muster/shared/model";

/** Whose the objects of a bundle are, where that is not as usual. */
export interface OwnershipView {
  /** `never` or `always`. */
  readonly adoption?: string;
  /** `orphan`. */
  readonly onRemoval?: string;
  /** In whose name its agents act, `namespace/name`. */
  readonly serviceAccount?: string;
}

/** The options of a bundle that say it. */
export type OwnershipOptions = Pick<BundleOptions, "adoption" | "onRemoval" | "serviceAccount">;

export function ownershipOf({ adoption, onRemoval, serviceAccount }: OwnershipOptions): OwnershipView {
  return {
    ...(adoption && adoption !== Adoption.IfUnowned && { adoption }),
    ...(onRemoval && onRemoval !== OnRemoval.Delete && { onRemoval }),
    ...(serviceAccount && { serviceAccount: `${serviceAccount.namespace}/${serviceAccount.name}` }),
  };
}
