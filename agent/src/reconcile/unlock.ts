import { CodedError } from "@muster/shared/errors";
import { type Digest, describeObjectRef, type ObjectRefText, parseObjectRef } from "@muster/shared/model";
import { LogField, type Logger } from "@muster/shared/telemetry";
import type { ManifestLine } from "@muster/shared/wire";
import type { Applier } from "../apply/applier.ts";
import type { Pruner } from "../apply/pruner.ts";
import { ADMISSION_GROUP, isDenial } from "../kube/admission.ts";
import { UNSURE } from "../plan/inventory.ts";
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

  async function attempt({ ref, work }: Task, signal: AbortSignal): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (signal.aborted) throw error;
      const coded = CodedError.from(error);
      const about = { [LogField.Code]: coded.code, [LogField.Object]: describeObjectRef(parseObjectRef(ref)) };
      logger.warn(about, `what may keep the slice from being kept could not be changed: ${coded.message}`);
    }
  }

  /** A slice that is newer still may pause it. */
  const isDue = (bundle: string) => () => !state.isToPause(bundle);

  function deletions(desired: DesiredState, signal: AbortSignal): Task[] {
    const plan = planPrune(state.inventory, desired.slice, ownNamespace);
    const context = { ...pruneContextOf(plan, desired, state.inventory), keep: false };
    const left = plan.deletions.filter(({ ref }) => isAdmission(ref));
    return left.map((entry) => ({ ref: entry.ref, work: () => prune(entry, { ...context, isDue: isDue(entry.bundle) }, signal) }));
  }

  function changes(desired: DesiredState, signal: AbortSignal): Task[] {
    const inForce = digestsInForce(state);
    return desired.slice.bundles.flatMap((bundle) => {
      const content = contentOf(bundle, desired);
      // What is new may refuse even more; it has its turn when the slice is kept.
      const isChanged = ({ ref, digest }: ManifestLine) =>
        isAdmission(ref) && state.inventory.entries.has(ref) && inForce.get(ref) !== digest;
      if (!content || content.options.paused) return [];
      const { options } = content;
      return (desired.bundles.get(bundle.name) ?? []).filter(isChanged).map((line) => {
        const uid = state.inventory.entries.get(line.ref)?.uid;
        const work = async () => {
          state.lastApplied.set(line.ref, UNSURE);
          const task = { line, bundle: bundle.name, options, isDue: isDue(bundle.name), ...(uid !== undefined && { uid }) };
          await applier.apply(task, signal);
          state.lastApplied.set(line.ref, line.digest);
        };
        return { ref: line.ref, work };
      });
    });
  }

  return async (refusal, desired, signal) => {
    if (!isDenial(refusal) || desired.slice.paused) return;
    await keeper.know(desired, signal);
    const tasks = [...deletions(desired, signal), ...changes(desired, signal)];
    // What an older slice that could not be kept has changed, and this one has not, is as the slice in force says again.
    state.ahead.clear();
    for (const { ref } of tasks) state.ahead.add(ref);
    for (const task of tasks) await attempt(task, signal);
  };
}

/** What is done to one object. */
interface Task {
  readonly ref: ObjectRefText;
  readonly work: () => Promise<unknown>;
}

function digestsInForce(state: ClusterState): ReadonlyMap<ObjectRefText, Digest> {
  const lines = (state.desired?.slice.bundles ?? []).flatMap(({ name }) => state.linesOf(name));
  return new Map(lines.map(({ ref, digest }) => [ref, digest]));
}

function isAdmission(ref: ObjectRefText): boolean {
  return parseObjectRef(ref).group === ADMISSION_GROUP;
}
