import type { Digest, ObjectRefText } from "@muster/shared/model";
import type { BundleMemory } from "./bundle-memory.ts";

/** In place of the digest of what an object was applied as: it was to become something else since, and nobody knows whether it did. */
export const UNSURE = "unsure";

/** What an object was applied as. */
export type AppliedAs = Digest | typeof UNSURE;

/** One object that this agent owns in its cluster. */
export interface InventoryEntry {
  readonly ref: ObjectRefText;
  readonly bundle: string;
  /** UID after the first apply; absent while its outcome is unknown. */
  readonly uid?: string;
  /**
   * In modes report and off: the manifest that was applied last, and what drifted from it is not written over. {@link UNSURE} from before
   * another one is applied, or another bundle has it, until that is done. Absent: it is taken to be as its bundle was, if that was complete.
   */
  readonly applied?: AppliedAs;
  /** Bundles that had it before, whose label it may still have: it was not applied for this one yet. */
  readonly was?: readonly string[];
  /** Digest of a Job that has completed and removes itself after its time to live: that it is gone is what was wanted (E132). */
  readonly finished?: Digest;
  /** The bundle said `prune: false`, or an annotation in Git did: leaving Git, the object is released, not deleted. */
  readonly orphan?: true;
  /** Known by its label only, since the inventory was lost; never deleted without an approval (E096). */
  readonly found?: true;
  /** A person approved the deletion; kept so that a crash between two deletions does not ask again. */
  readonly approved?: true;
}

/** The memory that makes prune safe: what is in the cluster is in here, unless it was explicitly released. */
export interface Inventory {
  readonly entries: ReadonlyMap<ObjectRefText, InventoryEntry>;
  /** Per bundle, the manifest set that was last applied completely. */
  readonly applied: ReadonlyMap<string, Digest>;
  /** How the objects of each bundle are to leave, once Git has the bundle no more. */
  readonly bundles: ReadonlyMap<string, BundleMemory>;
  /** true: rebuilt after a loss; nothing is pruned until one full apply has succeeded (E096). */
  readonly rebuilt: boolean;
}

export const EMPTY_INVENTORY: Inventory = { entries: new Map(), applied: new Map(), bundles: new Map(), rebuilt: false };

/**
 * What two agents have written side by side: whatever either knows is known, and what one of them forgot because it was gone, the next
 * prune finds gone again. `mine` has the say where both know an object.
 */
export function mergeInventories(mine: Inventory, theirs: Inventory): Inventory {
  const entries = new Map(theirs.entries);
  for (const [ref, entry] of mine.entries) {
    const other = entries.get(ref);
    const uid = entry.uid ?? other?.uid;
    // What one of them has made of it, the other does not know.
    const unsure = other && other.applied !== entry.applied && { applied: UNSURE as AppliedAs };
    const was = other
      ? [...new Set([...(entry.was ?? []), ...(other.was ?? []), other.bundle])].filter((name) => name !== entry.bundle)
      : [];
    entries.set(ref, { ...entry, ...(uid !== undefined && { uid }), ...unsure, ...(was.length > 0 && { was }) });
  }
  const applied = new Map([...mine.applied].filter(([bundle, digest]) => theirs.applied.get(bundle) === digest));
  const bundles = new Map([...theirs.bundles, ...mine.bundles]);
  return { entries, applied, bundles, rebuilt: mine.rebuilt || theirs.rebuilt };
}

const knownBundles = new WeakMap<Inventory, ReadonlySet<string>>();

/** Every bundle that objects are of. Inventories do not change, so that each is looked through once. */
export function bundlesOf(inventory: Inventory): ReadonlySet<string> {
  const known = knownBundles.get(inventory);
  if (known) return known;
  const bundles = new Set([...inventory.entries.values()].map(({ bundle }) => bundle));
  knownBundles.set(inventory, bundles);
  return bundles;
}

interface Encoded {
  readonly version: 1;
  readonly entries: readonly InventoryEntry[];
  readonly applied: Readonly<Record<string, Digest>>;
  /** Absent where there is nothing to say, as in what earlier agents have written. */
  readonly bundles?: Readonly<Record<string, BundleMemory>>;
  readonly rebuilt: boolean;
}

/** Text form, sorted, so that equal inventories are equal bytes. */
export function formatInventory(inventory: Inventory): string {
  const entries = [...inventory.entries.values()].sort((a, b) => (a.ref < b.ref ? -1 : 1));
  const applied = Object.fromEntries([...inventory.applied].sort());
  const bundles = inventory.bundles.size > 0 && { bundles: Object.fromEntries([...inventory.bundles].sort()) };
  return JSON.stringify({ version: 1, entries, applied, ...bundles, rebuilt: inventory.rebuilt } satisfies Encoded);
}

/** Inverse of {@link formatInventory}; throws a SyntaxError on anything else, so that damage is never an empty inventory. */
export function parseInventory(text: string): Inventory {
  const value = JSON.parse(text) as Partial<Encoded>;
  if (value.version !== 1 || !Array.isArray(value.entries) || typeof value.applied !== "object") throw new SyntaxError("not an inventory");
  return {
    entries: new Map(value.entries.map((entry) => [entry.ref, entry])),
    applied: new Map(Object.entries(value.applied)),
    bundles: new Map(Object.entries(value.bundles ?? {})),
    rebuilt: value.rebuilt === true,
  };
}
