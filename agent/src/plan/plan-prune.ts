import {
  type HeldDeletion,
  MIN_PERCENT_DELETIONS,
  type ObjectRef,
  type ObjectRefText,
  parseObjectRef,
  type Slice,
} from "@muster/shared/model";
import { deletionApprovalId } from "@muster/shared/wire";
import { byDeletionOrder } from "./deletion-order.ts";
import type { Inventory, InventoryEntry } from "./inventory.ts";

/** What leaves the cluster, and what does not although it left Git. */
export interface PrunePlan {
  /** To delete, in this order. */
  readonly deletions: readonly InventoryEntry[];
  /** To release without deleting. */
  readonly released: readonly InventoryEntry[];
  /** Other refs of objects that are wanted: to be forgotten, for the object itself stays. */
  readonly renamed: readonly ObjectRefText[];
  /** Never deleted by us, whatever Git says; they stay in the inventory. */
  readonly protected: readonly ObjectRefText[];
  /** They left a bundle that is paused, and wait for the end of the pause (E100). */
  readonly frozen: readonly InventoryEntry[];
  /** Deletions that wait for a person. */
  readonly held?: HeldDeletion;
  readonly heldEntries: readonly InventoryEntry[];
}

/** Namespaces that no slice may delete anything's home of (E083). */
const SYSTEM_NAMESPACES = new Set(["kube-system", "kube-public", "kube-node-lease", "default"]);

/** Kinds whose deletion takes other people's objects or data with it (E082, E084, E086). */
const PROTECTED_KINDS = new Set([
  "/Namespace",
  "apiextensions.k8s.io/CustomResourceDefinition",
  "/PersistentVolume",
  "/PersistentVolumeClaim",
]);

/** How many held objects are named to the hub. */
const SAMPLE = 5;

/**
 * Prune = inventory minus a fully verified slice (D5). Decides only; deletes nothing. Everything it does not understand
 * stays: all while a bundle is kept, what is in protected namespaces, and all that is beyond the budget.
 */
export function planPrune(inventory: Inventory, slice: Slice, ownNamespace: string): PrunePlan {
  const nothing: PrunePlan = { deletions: [], released: [], renamed: [], protected: [], frozen: [], heldEntries: [] };
  // What left one bundle may have moved into a kept one, whose objects nobody can tell now: then nothing leaves (E078).
  if (slice.paused || inventory.rebuilt || slice.bundles.some((bundle) => bundle.state === "keep")) return nothing;
  const desired = new Set(slice.bundles.flatMap((bundle) => (bundle.state === "desired" ? bundle.objects : [])));
  const retained = new Set(slice.retained);
  const isOrphaned = orphans(inventory, slice);
  const paused = new Set(slice.bundles.flatMap((bundle) => (bundle.state === "desired" && bundle.options.paused ? bundle.name : [])));
  const isRenamed = renames(inventory, desired);

  const released: InventoryEntry[] = [];
  const renamed: ObjectRefText[] = [];
  const untouchable: ObjectRefText[] = [];
  const frozen: InventoryEntry[] = [];
  const candidates: InventoryEntry[] = [];
  for (const entry of inventory.entries.values()) {
    if (desired.has(entry.ref) || retained.has(entry.ref)) continue;
    const ref = parseObjectRef(entry.ref);
    if (isRenamed(entry)) renamed.push(entry.ref);
    else if (paused.has(entry.bundle)) frozen.push(entry);
    else if (isOrphaned(entry)) released.push(entry);
    else if (isUntouchable(ref, ownNamespace)) untouchable.push(entry.ref);
    else candidates.push(entry);
  }
  const { deletions, held } = holdBack(candidates, inventory, slice, desired.size === 0);
  return {
    deletions: deletions.sort(byDeletionOrder(inventory.bundles)),
    released,
    renamed,
    protected: untouchable,
    frozen,
    heldEntries: held,
    ...(held.length > 0 && { held: describeHeld(held, inventory) }),
  };
}

/**
 * What stays in the cluster although it left Git: by `prune: false` or an annotation what leaves a bundle or leaves with it, by
 * `onRemoval: orphan` what leaves with its bundle (E081, E101).
 */
function orphans(inventory: Inventory, slice: Slice): (entry: InventoryEntry) => boolean {
  const prunes = new Map(slice.bundles.map((bundle) => [bundle.name, bundle.state === "desired" && bundle.options.prune]));
  return ({ bundle, orphan }) => {
    if (orphan) return true;
    const isPruned = prunes.get(bundle);
    return isPruned === undefined ? inventory.bundles.get(bundle)?.orphan === true : !isPruned;
  };
}

/**
 * One object may have had two refs: while the hub did not know that its kind lives in no namespace, it gave it one (E053). The
 * object is wanted all the same; deleting it by its old ref would delete what Git has.
 */
function renames(inventory: Inventory, desired: ReadonlySet<ObjectRefText>): (entry: InventoryEntry) => boolean {
  const uids = new Set<string>();
  const names = new Map<string, "cluster" | "namespaced">();
  for (const text of desired) {
    const uid = inventory.entries.get(text)?.uid;
    if (uid !== undefined) uids.add(uid);
    const ref = parseObjectRef(text);
    names.set(withoutNamespace(ref), ref.namespace === "" ? "cluster" : "namespaced");
  }
  return ({ ref: text, uid }) => {
    if (uid !== undefined && uids.has(uid)) return true;
    const ref = parseObjectRef(text);
    // A kind lives in namespaces or it does not: refs that differ in just this are of one object.
    const other = names.get(withoutNamespace(ref));
    return other !== undefined && (other === "cluster") !== (ref.namespace === "");
  };
}

/** What names an object of a kind that lives in no namespace. */
export function withoutNamespace({ group, kind, name }: ObjectRef): string {
  return `${group}/${kind}/${name}`;
}

/**
 * What left a bundle may be the old name of an object whose new one is not there yet, and until then it is all there is: while
 * something of its kind is still to be made in its bundle, nothing of the kind goes (E080).
 */
export function waitsForSuccessor(inventory: Inventory, slice: Slice): (entry: InventoryEntry) => boolean {
  const awaited = new Set<string>();
  const keyOf = (bundle: string, { group, kind }: ObjectRef) => `${bundle} ${group}/${kind}`;
  // One object may be known by two API groups, and only its UID tells: while that is not known, the old name is it (E031).
  const nameOf = ({ kind, namespace, name }: ObjectRef) => `${kind} ${namespace} ${name}`;
  for (const bundle of slice.bundles) {
    for (const ref of bundle.state === "desired" ? bundle.objects : [])
      if (inventory.entries.get(ref)?.uid === undefined)
        awaited.add(keyOf(bundle.name, parseObjectRef(ref))).add(nameOf(parseObjectRef(ref)));
  }
  return ({ bundle, ref }) => awaited.has(keyOf(bundle, parseObjectRef(ref))) || awaited.has(nameOf(parseObjectRef(ref)));
}

function isUntouchable(ref: ObjectRef, ownNamespace: string): boolean {
  if (ref.group === "" && ref.kind === "Namespace") return SYSTEM_NAMESPACES.has(ref.name) || ref.name === ownNamespace;
  return ref.namespace === ownNamespace || ref.namespace === "kube-system";
}

/** True for kinds that nobody but a person deletes. */
export function isProtectedKind(ref: ObjectRef): boolean {
  return PROTECTED_KINDS.has(`${ref.group}/${ref.kind}`);
}

/**
 * Why an object is deleted only with an approval: it may not be ours; somebody had stopped all work on its bundle (E100); others live by it,
 * or it holds data, a StatefulSet by its pods' claims (E082). undefined: there is no reason.
 */
function whyGuarded(entry: InventoryEntry, { bundles }: Inventory): string | undefined {
  if (entry.found) return "known by their label only, since the inventory was lost";
  const ref = parseObjectRef(entry.ref);
  if (isProtectedKind(ref) || (ref.group === "apps" && ref.kind === "StatefulSet")) return "of a protected kind";
  return bundles.get(entry.bundle)?.paused ? "of a bundle that was paused when it left" : undefined;
}

/** Splits candidates into what may go now and what waits for a person. A slice without any object holds all of it (E070). */
function holdBack(
  candidates: readonly InventoryEntry[],
  inventory: Inventory,
  slice: Slice,
  emptied: boolean,
): { deletions: InventoryEntry[]; held: InventoryEntry[] } {
  const approvals = new Set(slice.approvedDeletions);
  const isApproved = (set: readonly InventoryEntry[]) => approvals.has(deletionApprovalId(set.map((entry) => entry.ref)));
  const open = candidates.filter((entry) => !entry.approved);
  const approvedBefore = candidates.filter((entry) => entry.approved);
  if (open.length > 0 && (emptied || exceedsBudget(open.length, inventory, slice))) {
    return isApproved(open) ? { deletions: [...candidates], held: [] } : { deletions: approvedBefore, held: open };
  }
  const { guarded = [], free = [] } = Object.groupBy(open, (entry) => (whyGuarded(entry, inventory) ? "guarded" : "free"));
  if (guarded.length === 0 || isApproved(guarded)) return { deletions: [...candidates], held: [] };
  return { deletions: [...approvedBefore, ...free], held: guarded };
}

/** More than a few objects, or more than a share of the cluster. */
function exceedsBudget(deletions: number, inventory: Inventory, slice: Slice): boolean {
  if (deletions > slice.deletionBudget.objects) return true;
  return deletions > MIN_PERCENT_DELETIONS && deletions * 100 > inventory.entries.size * slice.deletionBudget.percent;
}

function describeHeld(held: readonly InventoryEntry[], inventory: Inventory): HeldDeletion {
  const id = deletionApprovalId(held.map((entry) => entry.ref));
  const reasons = held.map((entry) => whyGuarded(entry, inventory));
  const why = reasons.includes(undefined) ? "beyond the deletion budget" : [...new Set(reasons)].sort().join(", or ");
  return {
    id,
    objects: held.length,
    sample: held.slice(0, SAMPLE).map((entry) => parseObjectRef(entry.ref)),
    message: `${held.length} of ${inventory.entries.size} objects left Git and are ${why}; to delete them, add ${id} to spec.deletion.approvals of the Fleet document`,
  };
}
