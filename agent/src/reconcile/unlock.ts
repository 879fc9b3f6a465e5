import { CodedError } from "@muster/shared/errors";
import { type Digest, describeObjectRef, type ObjectRefText, parseObjectRef } from "@muster/shared/model";
import { LogField, type Logger } from "@muster/shared/telemetry";
import type { Applier } from "../apply/applier.ts";
import type { Pruner } from "../apply/pruner.ts";
import { ADMISSION_GROUP, isDenial } from "../kube/admission.ts";
import { planPrune } from "../plan/plan-prune.ts";
import { contentOf, type DesiredState } from "../pull/desired-state.ts";
import type { ClusterState } from "./cluster-state.ts";
import type { InventoryKeeper } from "./inventory-keeper.ts";
import { pruneContextOf } from "./prune-phase.ts";

/** Options of {@link createUnlock}. */
export interface UnlockOptions {
  readonly state: ClusterState;
  readonly keeper: Pick<InventoryKeeper, "know">;
  readonly applier: Applier;
  readonly prune: Pruner;
  readonly ownNamespace: string;
  readonly logger: Logger;
}

/**
 * What refuses every write also refuses to keep a slice, so the slice that takes it away could never come into force: the cluster
 * would be locked for good (E014). Of a verified slice that admission has refused to keep, this does what concerns admission
 * objects that the inventory knows: deletes those that left, as far as the prune plan allows, and applies those that changed. It
 * writes no state: the entries stay until the slice is kept, and a pass confirms what came of them. Until then no pass of the
 * slice in force touches these objects ({@link ClusterState.ahead}), or it would lock the cluster again at once.
 *
 * Never throws because of an object: the refusal is what is told, and the slice is tried again.
 */
export function createUnlock(options: UnlockOptions): (refusal: unknown, desired: DesiredState, signal: AbortSignal) => Promise<void> {
  const { state, keeper, applier, prune, ownNamespace, logger } = options;

  async function ahead(ref: ObjectRefText, work: () => Promise<unknown>, signal: AbortSignal): Promise<void> {
    state.ahead.add(ref);
    try {
      await work();
    } catch (error) {
      if (signal.aborted) throw error;
      const coded = CodedError.from(error);
      const about = { [LogField.Code]: coded.code, [LogField.Object]: describeObjectRef(parseObjectRef(ref)) };
      logger.warn(about, `what may keep the slice from being kept could not be changed: ${coded.message}`);
    }
  }

  async function deleteWhatLeft(desired: DesiredState, signal: AbortSignal): Promise<void> {
    const plan = planPrune(state.inventory, desired.slice, ownNamespace);
    const context = { ...pruneContextOf(plan, desired, state.inventory), keep: false };
    for (const entry of plan.deletions.filter(({ ref }) => isAdmission(ref))) {
      await ahead(entry.ref, () => prune(entry, context, signal), signal);
    }
  }

  async function applyWhatChanged(desired: DesiredState, signal: AbortSignal): Promise<void> {
    const inForce = digestsInForce(state);
    for (const bundle of desired.slice.bundles) {
      const content = contentOf(bundle, desired);
      const lines = (content && desired.bundles.get(bundle.name)) ?? [];
      for (const line of lines.filter(({ ref }) => isAdmission(ref))) {
        const known = state.inventory.entries.get(line.ref);
        // What is new may refuse even more; it has its turn when the slice is kept.
        if (!content || !known || inForce.get(line.ref) === line.digest) continue;
        const task = { line, bundle: bundle.name, options: content.options, ...(known.uid && { uid: known.uid }) };
        const apply = async () => {
          await applier.apply(task, signal);
          state.lastApplied.set(line.ref, line.digest);
        };
        await ahead(line.ref, apply, signal);
      }
    }
  }

  return async (refusal, desired, signal) => {
    if (!isDenial(refusal) || desired.slice.paused) return;
    await keeper.know(desired, signal);
    // What an older slice that could not be kept has changed, and this one has not, is as the slice in force says again.
    state.ahead.clear();
    await deleteWhatLeft(desired, signal);
    await applyWhatChanged(desired, signal);
  };
}

function digestsInForce(state: ClusterState): ReadonlyMap<ObjectRefText, Digest> {
  const lines = (state.desired?.slice.bundles ?? []).flatMap(({ name }) => state.linesOf(name));
  return new Map(lines.map(({ ref, digest }) => [ref, digest]));
}

function isAdmission(ref: ObjectRefText): boolean {
  return parseObjectRef(ref).group === ADMISSION_GROUP;
}
