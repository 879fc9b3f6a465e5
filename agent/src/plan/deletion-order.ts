import { type ObjectRef, type ObjectRefText, parseObjectRef } from "@muster/shared/model";
import { type BundleMemory, dependenciesOf } from "./bundle-memory.ts";
import type { Inventory, InventoryEntry } from "./inventory.ts";
import { Rank, rankOf } from "./ranks.ts";

/** What can refuse other writes goes first, whatever depends on it: nothing else might go while it stands (E014). */
function isAdmission({ group }: ObjectRef): boolean {
  return group === "admissionregistration.k8s.io";
}

/**
 * The reverse of the order in which objects are applied (E012): bundles before what they depend on, and in a bundle rank by rank;
 * what refuses writes before everything, Namespaces and CRDs behind everything.
 */
export function byDeletionOrder(bundles: ReadonlyMap<string, BundleMemory>): (a: InventoryEntry, b: InventoryEntry) => number {
  const depths = new Map<string, number>();
  // What depends on another bundle depends on all that this one depends on, and on one more.
  const depthOf = (bundle: string) => {
    const known = depths.get(bundle) ?? dependenciesOf(bundle, bundles).size;
    depths.set(bundle, known);
    return known;
  };
  const placeOf = (ref: ObjectRef) => (isAdmission(ref) ? 0 : rankOf(ref) === Rank.Definitions ? 2 : 1);
  return (a, b) => {
    const [refA, refB] = [parseObjectRef(a.ref), parseObjectRef(b.ref)];
    return (
      placeOf(refA) - placeOf(refB) ||
      depthOf(b.bundle) - depthOf(a.bundle) ||
      rankOf(refB) - rankOf(refA) ||
      (a.ref < b.ref ? -1 : a.ref > b.ref ? 1 : 0)
    );
  };
}

/**
 * What must be gone before an object may go: what leaves of bundles that depend on its own. Not their Namespaces and CRDs, which wait
 * themselves for what is in them. `leaving` is all that left Git and is in the cluster still, also what waits for a person.
 */
export function dependentsOf(
  leaving: readonly InventoryEntry[],
  { bundles }: Pick<Inventory, "bundles">,
): (entry: InventoryEntry, gone: ReadonlySet<ObjectRefText>) => readonly InventoryEntry[] {
  const byBundle = new Map<string, InventoryEntry[]>();
  for (const entry of leaving) {
    if (rankOf(parseObjectRef(entry.ref)) === Rank.Definitions) continue;
    byBundle.set(entry.bundle, [...(byBundle.get(entry.bundle) ?? []), entry]);
  }
  const dependencies = new Map([...byBundle.keys()].map((bundle) => [bundle, dependenciesOf(bundle, bundles)]));
  return ({ bundle, ref }, gone) => {
    if (isAdmission(parseObjectRef(ref))) return [];
    const own = dependenciesOf(bundle, bundles);
    return [...byBundle].flatMap(([name, entries]) =>
      // Two that depend on each other, which Git never says, have no order.
      name !== bundle && dependencies.get(name)?.has(bundle) && !own.has(name) ? entries.filter((entry) => !gone.has(entry.ref)) : [],
    );
  };
}
