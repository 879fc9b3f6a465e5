import { CodedError } from "@muster/shared/errors";
import { describeObjectRef, formatObjectRef, type ObjectRefText, parseObjectRef, type ServiceAccountRef } from "@muster/shared/model";
import { LogField, type Logger } from "@muster/shared/telemetry";
import type { PruneContext, Pruner } from "../apply/pruner.ts";
import type { AgentFailpoint } from "../failpoints.ts";
import type { Observer } from "../observe/observer.ts";
import { dependentsOf } from "../plan/deletion-order.ts";
import { bundlesOf, type Inventory, type InventoryEntry } from "../plan/inventory.ts";
import { type PrunePlan, planPrune, waitsForSuccessor, withoutNamespace } from "../plan/plan-prune.ts";
import { annotationOf, REPLACE_ANNOTATION } from "../plan/prune-policy.ts";
import { contentOf, type DesiredState } from "../pull/desired-state.ts";
import type { ClusterState } from "./cluster-state.ts";
import type { InventoryKeeper } from "./inventory-keeper.ts";

/** Options of {@link createPrunePhase}. */
export interface PrunePhaseOptions {
  readonly state: ClusterState;
  readonly keeper: InventoryKeeper;
  readonly prune: Pruner;
  readonly observer: Observer;
  readonly ownNamespace: string;
  readonly logger: Logger;
  readonly failpoint: AgentFailpoint;
  /** Hears what happened. */
  readonly event: (type: string, message: string, about?: { readonly bundle?: string; readonly ref?: ObjectRefText }) => void;
}

/** Deletes what left a fully verified slice, as far as the plan allows; an entry leaves the inventory only when its object is gone. */
export function createPrunePhase(options: PrunePhaseOptions): (desired: DesiredState, signal: AbortSignal) => Promise<void> {
  const { state, keeper, prune, observer, ownNamespace, logger, failpoint, event } = options;

  /** Says what waits for a person, once for each set. */
  function tellHeld(plan: Pick<PrunePlan, "held" | "protected" | "frozen">): void {
    const before = state.held?.id;
    state.held = plan.held;
    state.protected = plan.protected.map((entry) => entry.ref);
    state.frozen = plan.frozen;
    if (!plan.held || plan.held.id === before) return;
    logger.warn({ [LogField.Code]: "DELETION_HELD", [LogField.Count]: plan.held.objects }, plan.held.message);
    event("DeletionHeld", plan.held.message);
  }

  /** An approval is for just these objects; noting it per object lets a crash between two deletions go on. */
  async function markApproved(deletions: readonly InventoryEntry[], desired: DesiredState): Promise<void> {
    if (desired.slice.approvedDeletions.length === 0) return;
    const open = deletions.filter((entry) => !entry.approved);
    if (open.length === 0) return;
    const entries = new Map(state.inventory.entries);
    for (const entry of open) entries.set(entry.ref, { ...entry, approved: true });
    await keeper.save({ ...state.inventory, entries });
    failpoint("agent.afterApproval");
  }

  /** What is deleted or released is not “as applied” any more: wanted again, it is applied, and not only compared, in mode report too. */
  async function forgetApplied(deletions: readonly InventoryEntry[], { slice }: DesiredState): Promise<void> {
    const leaving = new Set(deletions.map(({ ref }) => ref));
    const noted = [...state.inventory.entries.values()].filter(({ ref, applied }) => applied !== undefined && leaving.has(ref));
    if (noted.length === 0) return;
    const entries = new Map(state.inventory.entries);
    for (const { applied: _, ...rest } of noted) entries.set(rest.ref, rest);
    // Nor is its bundle complete as an earlier slice had it: if that one comes again, the object is to be made.
    const applied = new Map(state.inventory.applied);
    const isOfNow = new Set(slice.bundles.flatMap((one) => (one.state === "desired" ? `${one.name} ${one.manifestSet.digest}` : [])));
    for (const { bundle } of noted) if (!isOfNow.has(`${bundle} ${applied.get(bundle)}`)) applied.delete(bundle);
    await keeper.save({ ...state.inventory, entries, applied });
  }

  /** Gives true if the object is gone, or not ours. */
  async function pruneOne(entry: InventoryEntry, context: PruneContext, signal: AbortSignal): Promise<boolean> {
    const { ref, bundle } = entry;
    failpoint("agent.beforeDelete");
    try {
      const { outcome, why, since = "" } = await prune(entry, context, signal);
      failpoint("agent.afterDelete");
      state.pruneFailures.delete(ref);
      const stuck = outcome === "terminating" ? state.noteTerminating(ref, why, since) : void state.terminating.delete(ref);
      if (stuck) tellBlocked(entry, stuck);
      if (outcome === "gone") event("Pruned", `${describe(ref)} was deleted`, entry);
      if (outcome === "released") event("Released", `${describe(ref)} left Git and stays in the cluster: ${why}`, entry);
      return outcome !== "terminating";
    } catch (error) {
      if (signal.aborted) throw error;
      // A newer slice came meanwhile: whether it is to leave is for that one to say.
      if (context.isDue?.() === false) return false;
      // Not confirmed: the entry stays, and the next pass tries again (E073).
      const coded = CodedError.from(error);
      const known = state.pruneFailures.get(ref)?.error.code;
      if (known !== coded.code) tellBlocked(entry, coded);
      state.terminating.delete(ref);
      state.fail(state.pruneFailures, ref, bundle, coded);
      return false;
    }
  }

  /** Once, not at every attempt (E103). */
  function tellBlocked(entry: InventoryEntry, error: CodedError): void {
    logger.warn({ [LogField.Code]: error.code, [LogField.Bundle]: entry.bundle }, error.message);
    if (error.code === "PRUNE_BLOCKED") event("PruneBlocked", error.message, entry);
    if (error.code === "PRUNE_STUCK") event("PruneStuck", error.message, entry);
  }

  /** Gives those that somebody has deleted by hand, or that are not ours any more. */
  async function lookAtProtected(plan: PrunePlan, desired: DesiredState, signal: AbortSignal): Promise<readonly ObjectRefText[]> {
    const gone: ObjectRefText[] = [];
    const open = plan.protected.filter((entry) => !state.mustWait(state.shielded, entry.ref));
    const context = open.length > 0 && pruneContextOf(plan, desired, state.inventory);
    const due = () => isDue(desired);
    for (const entry of context ? open : []) {
      if (!due()) break;
      if (context && (await isGone(entry, { ...context, isDue: due, keep: false, isProtected: true }, signal))) gone.push(entry.ref);
    }
    return gone;
  }

  async function isGone(entry: InventoryEntry, context: PruneContext, signal: AbortSignal): Promise<boolean> {
    try {
      const { outcome, why } = await prune(entry, context, signal);
      if (outcome === "released") event("Released", `${describe(entry.ref)} left Git and stays in the cluster: ${why}`, entry);
      return outcome !== "terminating";
    } catch (error) {
      if (signal.aborted) throw error;
      state.noteShielded(entry.ref);
      return false;
    }
  }

  function forget(ref: ObjectRefText): void {
    state.shielded.delete(ref);
    observer.forget(ref);
    state.lastApplied.delete(ref);
    state.comingBack.delete(ref);
    state.finished.delete(ref);
    state.lastAction.delete(ref);
    state.failures.delete(ref);
  }

  /** Of what waits for others of its kind nobody knows when: it is looked at in every pass, and costs nothing. */
  const waitsForOthers = new Set<ObjectRefText>();

  /** Notes that an object waits for the bundles that depend on its own; gives true if it does (E012). */
  function mustWaitFor(dependents: readonly InventoryEntry[], { ref, bundle }: InventoryEntry): boolean {
    const waited = waitsForOthers.delete(ref);
    if (dependents.length === 0) {
      if (waited) state.pruneFailures.delete(ref);
      return false;
    }
    waitsForOthers.add(ref);
    const error = new CodedError(
      "PRUNE_WAITING",
      `${describe(ref)} waits for what depends on its bundle to be gone: ${namesOf(dependents)}`,
    );
    if (!waited || state.pruneFailures.get(ref)?.error.message !== error.message) state.fail(state.pruneFailures, ref, bundle, error);
    return true;
  }

  /** Says whether it is an object's turn: what depends on it is gone, and what replaces it is there. */
  function deletable(plan: PrunePlan, desired: DesiredState, replacing: ReadonlySet<ObjectRefText>) {
    const mustStay = waitsForSuccessor(state.inventory, desired.slice, replacing);
    const dependents = dependentsOf([...plan.deletions, ...plan.heldEntries, ...plan.frozen], state.inventory);
    return (entry: InventoryEntry, gone: ReadonlySet<ObjectRefText>) => !mustWaitFor(dependents(entry, gone), entry) && !mustStay(entry);
  }

  /** A newer slice may want again what this one did not (I3), also one that is verified and cannot be kept yet. */
  function isDue(desired: DesiredState): boolean {
    return state.desired === desired && !state.isNewerComing;
  }

  /** Gives the objects that are gone, or not ours. */
  async function pruneAll(plan: PrunePlan, desired: DesiredState, signal: AbortSignal): Promise<ReadonlySet<ObjectRefText>> {
    const gone = new Set<ObjectRefText>();
    if (plan.released.length + plan.deletions.length === 0) return gone;
    const context = pruneContextOf(plan, desired, state.inventory);
    const due = () => isDue(desired);
    const kept = new Set(plan.released);
    const replacing = replacementsIn(desired);
    const mayBeDeleted = deletable(plan, desired, replacing);
    for (const entry of [...plan.released, ...plan.deletions]) {
      if (!due()) break;
      const keep = kept.has(entry);
      if (!keep && !mayBeDeleted(entry, gone)) continue;
      if (state.mustWait(state.pruneFailures, entry.ref) || state.mustWait(state.terminating, entry.ref)) continue;
      if (await pruneOne(entry, { ...context, isDue: due, keep }, signal)) gone.add(entry.ref);
    }
    // What could not be made beside them can be now.
    if (gone.size > 0) state.retrySoon(replacing);
    return gone;
  }

  /** What is not to leave any more neither fails to, nor is waited for. */
  function dropOld(planned: ReadonlySet<ObjectRefText>): void {
    for (const ref of waitsForOthers) if (!planned.has(ref)) waitsForOthers.delete(ref);
    for (const known of [state.pruneFailures, state.terminating, state.shielded])
      for (const ref of known.keys()) if (!planned.has(ref)) known.delete(ref);
  }

  /** The plan for one inventory and one slice is always the same, and to make it anew in every pass would cost more than all else. */
  let last: { readonly inventory: Inventory; readonly desired: DesiredState; readonly plan: PrunePlan } | undefined;
  function planOf(desired: DesiredState): PrunePlan {
    const { inventory } = state;
    if (last?.inventory !== inventory || last.desired !== desired)
      last = { inventory, desired, plan: planPrune(inventory, desired.slice, ownNamespace) };
    return last.plan;
  }

  return async (desired, signal) => {
    const plan = planOf(desired);
    tellHeld(plan);
    dropOld(new Set([...plan.deletions, ...plan.released, ...plan.protected].map((entry) => entry.ref)));
    await markApproved(plan.deletions, desired);
    await forgetApplied([...plan.deletions, ...plan.released, ...plan.protected], desired);
    const gone = new Set([...(await pruneAll(plan, desired, signal)), ...(await lookAtProtected(plan, desired, signal))]);
    const leaving = new Set([...plan.renamed, ...gone]);
    state.protected = state.protected.filter((ref) => !gone.has(ref));
    if (leaving.size === 0) return;
    if (gone.size > 0) logger.info({ [LogField.Count]: gone.size }, `pruned: ${gone.size} deleted or released`);
    failpoint("agent.beforeInventoryShrink");
    for (const ref of leaving) forget(ref);
    await keeper.save({ ...state.inventory, entries: new Map([...state.inventory.entries].filter(([ref]) => !leaving.has(ref))) });
  };
}

/** Objects that Git wants to be made only when those of their kind that left their bundle are gone (E080). */
function replacementsIn(desired: DesiredState): ReadonlySet<ObjectRefText> {
  const lines = [...desired.bundles.values()].flat();
  return new Set(lines.filter(({ manifest }) => annotationOf(manifest, REPLACE_ANNOTATION) === "deleteFirst").map(({ ref }) => ref));
}

/** What each deletion has to know of the others, and of what stays. */
export function pruneContextOf(plan: PrunePlan, desired: DesiredState, inventory: Inventory): Omit<PruneContext, "keep"> {
  const wanted = new Set([...desired.bundles.values()].flatMap((lines) => lines.map(({ ref }) => withoutNamespace(parseObjectRef(ref)))));
  const leaving = new Set(plan.deletions.map((entry) => entry.ref));
  const bundles = new Set(bundlesOf(inventory));
  const accounts = new Map<string, ServiceAccountRef | undefined>();
  for (const bundle of desired.slice.bundles) {
    bundles.add(bundle.name);
    const content = contentOf(bundle, desired);
    if (content) accounts.set(bundle.name, content.options.serviceAccount);
  }
  return {
    isWanted: (ref) => wanted.has(withoutNamespace(ref)),
    leaves: (ref) => leaving.has(formatObjectRef(ref)),
    isKnown: (bundle) => bundles.has(bundle),
    accountOf: (bundle) => (accounts.has(bundle) ? accounts.get(bundle) : inventory.bundles.get(bundle)?.serviceAccount),
  };
}

/** Objects that are named at most. */
const SAMPLE = 5;

function namesOf(entries: readonly InventoryEntry[]): string {
  const names = entries.map(({ ref, bundle }) => `${describe(ref)} of the bundle ${bundle}`).sort();
  return `${names.slice(0, SAMPLE).join(", ")}${names.length > SAMPLE ? ` and ${names.length - SAMPLE} more` : ""}`;
}

function describe(ref: ObjectRefText): string {
  return describeObjectRef(parseObjectRef(ref));
}
