import type { ObjectRefText, SliceBundle } from "@muster/shared/model";
import type { ManifestLine } from "@muster/shared/wire";
import { memoryOf } from "../plan/bundle-memory.ts";
import type { Inventory, InventoryEntry } from "../plan/inventory.ts";
import { PrunePolicy, prunePolicyOf } from "../plan/prune-policy.ts";
import { contentOf, type DesiredState } from "../pull/desired-state.ts";

/** The inventory with an entry for all that a slice wants, and with what it says of its bundles; undefined if all of it is known. */
export function claimObjects(
  inventory: Inventory,
  desired: DesiredState,
  linesOf: (bundle: string) => readonly ManifestLine[],
): Inventory | undefined {
  const entries = new Map(inventory.entries);
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
      const prune = options?.prune ?? true;
      grown = claimObject(entries, line, { bundle, prune, paused: options?.paused ?? false }) || grown;
    }
  }
  return grown ? { ...inventory, entries, bundles } : undefined;
}

/** Gives true if anything was new. */
function claimObject(
  entries: Map<ObjectRefText, InventoryEntry>,
  { ref, manifest }: ManifestLine,
  { bundle, prune, paused }: { readonly bundle: SliceBundle; readonly prune: boolean; readonly paused: boolean },
): boolean {
  const orphan = !prune || prunePolicyOf(manifest) === PrunePolicy.Keep;
  const known = entries.get(ref);
  if (known && isClaimOf(known, bundle.name, orphan)) return false;
  // Of a paused bundle nothing is created; what has moved into it is its own from now on (E100).
  if (paused && (!known || known.found)) return false;
  const uid = known?.uid;
  entries.set(ref, { ref, bundle: bundle.name, ...(uid !== undefined && { uid }), ...(orphan && { orphan: true as const }) });
  return true;
}

/**
 * An object that is wanted again loses the approval of its deletion, so an approved entry is not yet the claim of a bundle; nor is one
 * that was only found.
 */
function isClaimOf(entry: InventoryEntry, bundle: string, orphan: boolean): boolean {
  return entry.bundle === bundle && (entry.orphan ?? false) === orphan && !entry.approved && !entry.found;
}
