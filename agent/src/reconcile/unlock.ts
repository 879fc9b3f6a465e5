import { CodedError } from "@muster/shared/errors";
import { type ObjectRefText, parseObjectRef } from "@muster/shared/model";
import type { Applier } from "../apply/applier.ts";
import type { Pruner } from "../apply/pruner.ts";
import { planPrune } from "../plan/plan-prune.ts";
import { contentOf, type DesiredState } from "../pull/desired-state.ts";
import type { ClusterState } from "./cluster-state.ts";
import { pruneContextOf } from "./prune-phase.ts";

/** Options of {@link createUnlock}. */
export interface UnlockOptions {
  readonly state: ClusterState;
  readonly applier: Applier;
  readonly prune: Pruner;
  readonly ownNamespace: string;
}

/** Kinds that can refuse writes. The API server lets no policy and no webhook refuse changes of these themselves. */
const ADMISSION_GROUP = "admissionregistration.k8s.io";

/**
 * What refuses every write also refuses to keep a slice, so the slice that takes it away could never come into force: the cluster
 * would be locked for good (E014). Of a verified slice that admission has refused to keep, this does what concerns admission
 * objects of ours: deletes those that left, as far as the prune plan allows, and applies those that changed. It writes no state
 * and tells nothing: the entries stay until the slice is kept, and a pass confirms what came of them.
 */
export function createUnlock(options: UnlockOptions): (refusal: unknown, desired: DesiredState, signal: AbortSignal) => Promise<void> {
  const { state, applier, prune, ownNamespace } = options;

  async function deleteWhatLeft(desired: DesiredState, signal: AbortSignal): Promise<void> {
    const plan = planPrune(state.inventory, desired.slice, ownNamespace);
    const context = { ...pruneContextOf(plan, desired, state.inventory), keep: false };
    for (const entry of plan.deletions.filter(({ ref }) => isAdmission(ref))) {
      await prune(entry, context, signal);
    }
  }

  async function applyWhatChanged(desired: DesiredState, signal: AbortSignal): Promise<void> {
    for (const bundle of desired.slice.bundles) {
      const content = contentOf(bundle, desired);
      const lines = (content && desired.bundles.get(bundle.name)) ?? [];
      for (const line of lines.filter(({ ref }) => isAdmission(ref))) {
        const known = state.inventory.entries.get(line.ref);
        // What is new may refuse even more; it has its turn when the slice is kept.
        if (!content || content.options.paused || !known || state.lastApplied.get(line.ref) === line.digest) continue;
        const { uid } = known;
        await applier.apply({ line, bundle: bundle.name, options: content.options, ...(uid && { uid }) }, signal);
        state.lastApplied.set(line.ref, line.digest);
      }
    }
  }

  return async (refusal, desired, signal) => {
    if (!isDenial(refusal) || desired.slice.paused) return;
    await deleteWhatLeft(desired, signal);
    await applyWhatChanged(desired, signal);
  };
}

function isAdmission(ref: ObjectRefText): boolean {
  return parseObjectRef(ref).group === ADMISSION_GROUP;
}

function isDenial(error: unknown): boolean {
  for (let cause = error; cause instanceof CodedError; cause = cause.cause) if (cause.code === "KUBE_DENIED") return true;
  return false;
}
