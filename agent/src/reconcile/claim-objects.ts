import { type Digest, DriftMode, type ObjectRefText, type SliceBundle } from "@muster/shared/model";
import type { ManifestLine } from "@muster/shared/wire";
import { memoryOf } from "../plan/bundle-memory.ts";
import { type AppliedAs, type Inventory, type InventoryEntry, UNSURE } from "../plan/inventory.ts";
import { InventoryDraft } from "../plan/inventory-draft.ts";
import { PrunePolicy, prunePolicyOf } from "../plan/prune-policy.ts";
import { contentOf, type DesiredState } from "../pull/desired-state.ts";

/** How a slice is read. */
interface ClaimRules {
  /** Objects of a bundle as the slice wants them. */
  readonly linesOf: (bundle: string) => readonly ManifestLine[];
  readonly modeOf: (bundle: string, ref: ObjectRefText) => DriftMode;
}

/** The inventory with an entry for all that a slice wants, and with what it says of its bundles; undefined if all of it is known. */
export function claimObjects(inventory: Inventory, desired: DesiredState, { linesOf, modeOf }: ClaimRules): Inventory | undefined {
  const draft = new InventoryDraft(inventory.entries);
  const bundles = new Map(inventory.bundles);
  let grown = false;
  for (const bundle of desired.slice.bundles) {
    // One that is kept owns what it owned as the last good slice said, also what has moved back into it.
    const options = contentOf(bundle, desired)?.options;
    const memory = options && memoryOf(options);
    if (memory && JSON.stringify(memory) !== JSON.stringify(bundles.get(bundle.name) ?? {})) {
      bundles.set(bundle.name, memory);
      grown = true;
    }
    for (const line of linesOf(bundle.name)) {
      claimObject(draft, line, {
        bundle,
        prune: options?.prune ?? true,
        paused: options?.paused ?? false,
        isCorrected: modeOf(bundle.name, line.ref) === DriftMode.Correct,
      });
    }
  }
  return grown || draft.isChanged ? { ...inventory, entries: draft.entries, bundles } : undefined;
}

function claimObject(draft: InventoryDraft, { ref, digest, head }: ManifestLine, claim: Claim): void {
  const { bundle, prune, paused } = claim;
  const orphan = !prune || prunePolicyOf(head) === PrunePolicy.Keep;
  const known = draft.get(ref);
  const applied = known && appliedAs(known, digest, claim);
  if (known && applied === known.applied && isClaimOf(known, bundle.name, orphan)) return;
  // Of a paused bundle nothing is created; what has moved into it is its own from now on (E100).
  if (paused && (!known || known.found)) return;
  // What is known of its past (that a Job has run) stays known; what was to become of it does not.
  const { orphan: _, found: __, approved: ___, was: ____, ...past } = known ?? {};
  // A label that it may still have.
  const was = known ? [...new Set([...(known.was ?? []), known.bundle])].filter((name) => name !== bundle.name) : [];
  draft.set({
    ...past,
    ref,
    bundle: bundle.name,
    ...(was.length > 0 && { was }),
    ...(orphan && { orphan: true as const }),
    ...(applied && { applied }),
  });
}

/** What a slice says of one object and its bundle. */
interface Claim {
  readonly bundle: SliceBundle;
  readonly prune: boolean;
  readonly paused: boolean;
  /** Drift of it is written over. */
  readonly isCorrected: boolean;
}

/**
 * What is noted before an object becomes another: an apply may be done and not answered, and Git may want the first one again. That is
 * a revision to apply then, and no drift to leave alone. Nor is it where drift was corrected until now: what had come over the object
 * by then was to go. While its bundle is paused an object becomes nothing, unless it was another bundle's.
 */
function appliedAs({ bundle, applied }: InventoryEntry, digest: Digest, claim: Claim): AppliedAs | undefined {
  if (bundle !== claim.bundle.name) return UNSURE;
  if (claim.paused || applied === digest) return applied;
  return applied === undefined && claim.isCorrected ? undefined : UNSURE;
}

/**
 * An object that is wanted again loses the approval of its deletion, so an approved entry is not yet the claim of a bundle; nor is one
 * that was only found.
 */
function isClaimOf(entry: InventoryEntry, bundle: string, orphan: boolean): boolean {
  return entry.bundle === bundle && (entry.orphan ?? false) === orphan && !entry.approved && !entry.found;
}
