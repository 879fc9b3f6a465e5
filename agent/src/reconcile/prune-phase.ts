import { CodedError } from "@muster/shared/errors";
import { describeObjectRef, type ObjectRef, type ObjectRefText, parseObjectRef } from "@muster/shared/model";
import type { Failpoint } from "@muster/shared/runtime";
import { LogField, type Logger } from "@muster/shared/telemetry";
import type { Pruner } from "../apply/pruner.ts";
import type { Observer } from "../observe/observer.ts";
import type { InventoryEntry } from "../plan/inventory.ts";
import { type PrunePlan, planPrune, withoutNamespace } from "../plan/plan-prune.ts";
import type { DesiredState } from "../pull/desired-state.ts";
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
  readonly failpoint: Failpoint;
  /** Hears what happened. */
  readonly event: (type: string, message: string, about?: { readonly bundle?: string; readonly ref?: ObjectRefText }) => void;
}

/** Deletes what left a fully verified slice, as far as the plan allows; an entry leaves the inventory only when its object is gone. */
export function createPrunePhase(options: PrunePhaseOptions): (desired: DesiredState, signal: AbortSignal) => Promise<void> {
  const { state, keeper, prune, observer, ownNamespace, logger, failpoint, event } = options;

  /** Says what waits for a person, once for each set. */
  function tellHeld(plan: Pick<PrunePlan, "held" | "protected">): void {
    const before = state.held?.id;
    state.held = plan.held;
    state.protected = plan.protected;
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
  }

  /** Gives true if the object is gone, or not ours. */
  async function pruneOne(entry: InventoryEntry, isWanted: (ref: ObjectRef) => boolean, signal: AbortSignal): Promise<boolean> {
    const { ref, bundle } = entry;
    failpoint("agent.beforeDelete");
    try {
      const outcome = await prune(entry, isWanted, signal);
      failpoint("agent.afterDelete");
      state.pruneFailures.delete(ref);
      if (outcome === "terminating") state.terminating.add(ref);
      else if (outcome === "gone") event("Pruned", `${describe(ref)} was deleted`, entry);
      else event("Released", `${describe(ref)} is not ours any more`, entry);
      return outcome !== "terminating";
    } catch (error) {
      if (signal.aborted) throw error;
      // Not confirmed: the entry stays, and the next pass tries again (E073).
      const coded = CodedError.from(error);
      const known = state.pruneFailures.get(ref)?.error.code;
      if (known !== coded.code) logger.warn({ [LogField.Code]: coded.code, [LogField.Bundle]: bundle }, coded.message);
      state.fail(state.pruneFailures, ref, bundle, coded);
      return false;
    }
  }

  function forget(ref: ObjectRefText): void {
    observer.forget(ref);
    state.lastApplied.delete(ref);
    state.lastAction.delete(ref);
    state.failures.delete(ref);
  }

  /** Gives the objects that are gone, or not ours. */
  async function pruneAll(deletions: readonly InventoryEntry[], desired: DesiredState, signal: AbortSignal): Promise<ObjectRefText[]> {
    const gone: ObjectRefText[] = [];
    const wanted = new Set([...desired.bundles.values()].flatMap((lines) => lines.map(({ ref }) => withoutNamespace(parseObjectRef(ref)))));
    for (const entry of deletions) {
      // A newer slice may want again what this one did not (I3).
      if (state.desired !== desired) break;
      if (state.mustWait(state.pruneFailures, entry.ref)) continue;
      if (await pruneOne(entry, (ref) => wanted.has(withoutNamespace(ref)), signal)) gone.push(entry.ref);
    }
    return gone;
  }

  /** A failure to delete what is not to be deleted any more is none. */
  function dropOldFailures(deletions: readonly InventoryEntry[]): void {
    const planned = new Set(deletions.map((entry) => entry.ref));
    for (const ref of state.pruneFailures.keys()) if (!planned.has(ref)) state.pruneFailures.delete(ref);
  }

  return async (desired, signal) => {
    const { deletions, released, renamed, ...plan } = planPrune(state.inventory, desired.slice, ownNamespace);
    tellHeld(plan);
    for (const ref of released) event("Released", `${describe(ref)} left Git and stays in the cluster`, { ref });
    dropOldFailures(deletions);
    state.terminating.clear();
    await markApproved(deletions, desired);
    const gone = await pruneAll(deletions, desired, signal);
    const leaving = new Set([...released, ...renamed, ...gone]);
    if (leaving.size === 0) return;
    if (leaving.size > renamed.length) {
      logger.info({ [LogField.Count]: leaving.size - renamed.length }, `pruned: ${gone.length} deleted, ${released.length} released`);
    }
    for (const ref of leaving) forget(ref);
    await keeper.save({ ...state.inventory, entries: new Map([...state.inventory.entries].filter(([ref]) => !leaving.has(ref))) });
  };
}

function describe(ref: ObjectRefText): string {
  return describeObjectRef(parseObjectRef(ref));
}
