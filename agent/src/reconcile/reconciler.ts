import { CodedError } from "@muster/shared/errors";
import {
  type Action,
  type ClusterReport,
  describeObjectRef,
  formatRevision,
  type ObjectException,
  type ObjectRef,
  type ObjectRefText,
  parseObjectRef,
  type ReportedEvent,
  type SliceCondition,
} from "@muster/shared/model";
import { type Clock, createBackoff, type Failpoint, type Random, Wakeup } from "@muster/shared/runtime";
import { LogField, type Logger } from "@muster/shared/telemetry";
import type { Applier } from "../apply/applier.ts";
import type { Pruner } from "../apply/pruner.ts";
import type { Cluster } from "../kube/cluster.ts";
import type { DiscoveryCache } from "../kube/discovery-cache.ts";
import type { Observer } from "../observe/observer.ts";
import { EMPTY_INVENTORY, formatInventory, type Inventory, type InventoryEntry, parseInventory } from "../plan/inventory.ts";
import { planPrune } from "../plan/plan-prune.ts";
import { type DesiredState, dropUnusedBlobs, keepState } from "../pull/desired-state.ts";
import type { StateStore } from "../pull/state-store.ts";
import { type ApplyPhase, type ApplySummary, applyBundle } from "./apply-phase.ts";
import { type InspectedObject, inspectObjects, reportCluster, reportExceptions, toException } from "./bundle-report.ts";
import { ClusterState } from "./cluster-state.ts";

/** Options of {@link createReconciler}. */
export interface ReconcilerOptions {
  readonly cluster: Cluster;
  readonly discovery: DiscoveryCache;
  readonly observer: Observer;
  readonly applier: Applier;
  readonly prune: Pruner;
  readonly store: StateStore;
  readonly ownNamespace: string;
  /** Applies at once. Default 8. */
  readonly concurrency: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly failpoint: Failpoint;
}

/** Drives the cluster towards the desired state, for ever. */
export interface Reconciler {
  /** Takes over what was kept from the last run; call before {@link run}. */
  resume(desired: DesiredState): void;
  /** A newer slice, complete and verified; it is kept in the cluster, then applied. Resolves when it is kept. */
  take(desired: DesiredState, fetched: ReadonlyMap<string, Uint8Array>): Promise<void>;
  /** Tries everything again now; with a bundle, applies all of its objects anew. */
  trigger(bundle?: string): void;
  readonly desired: DesiredState | undefined;
  report(sliceProblem: SliceCondition | undefined): ClusterReport;
  exceptions(): ObjectException[];
  /** One object, those of a bundle, or all. */
  inspect(what: { readonly bundle?: string; readonly ref?: ObjectRef }): InspectedObject[];
  /** Called when a report may differ from the one before. */
  onChange(listener: () => void): void;
  onEvent(listener: (event: ReportedEvent) => void): void;
  /** Called when drift is first seen, though it may be corrected a moment later. */
  onDrift(listener: (exception: ObjectException) => void): void;
  run(signal: AbortSignal): Promise<void>;
}

const INVENTORY = "inventory";

export function createReconciler(options: ReconcilerOptions): Reconciler {
  const { observer, prune, store, clock, random, logger, failpoint } = options;
  const state = new ClusterState(clock, random);
  const phase: ApplyPhase = { ...options, state };
  const wakeup = new Wakeup();
  const changeListeners: (() => void)[] = [];
  const driftListeners: ((exception: ObjectException) => void)[] = [];
  const eventListeners: ((event: ReportedEvent) => void)[] = [];
  let loaded = false;
  let blobsToDrop = false;

  const changed = () => {
    for (const listener of changeListeners) listener();
  };
  const event = (type: string, message: string, about: { bundle?: string; ref?: ObjectRefText } = {}) => {
    const at = new Date(clock.wallMs()).toISOString();
    const reported: ReportedEvent = {
      at,
      type,
      message,
      ...(about.bundle && { bundle: about.bundle }),
      ...(about.ref && { object: parseObjectRef(about.ref) }),
    };
    for (const listener of eventListeners) listener(reported);
  };

  const drifted = new Set<ObjectRefText>();
  observer.onChange((observation) => {
    if (observation.drift && !drifted.has(observation.ref)) {
      drifted.add(observation.ref);
      const { kind, manager, paths } = observation.drift;
      const who = manager ? ` by ${manager}` : "";
      const what = paths.length > 0 ? ` (${paths.slice(0, 5).join(", ")}${paths.length > 5 ? ", …" : ""})` : "";
      event("DriftDetected", `${describeObjectRef(parseObjectRef(observation.ref))} is ${kind}${who}${what}`, observation);
      for (const listener of driftListeners) listener(toException(observation, state));
    }
    if (!observation.drift) drifted.delete(observation.ref);
    changed();
    wakeup.wake();
  });

  async function saveInventory(inventory: Inventory): Promise<void> {
    failpoint("agent.beforeInventoryWrite");
    await store.write(INVENTORY, Buffer.from(formatInventory(inventory)));
    state.inventory = inventory;
    failpoint("agent.afterInventoryWrite");
  }

  async function loadInventory(): Promise<void> {
    try {
      const bytes = await store.read(INVENTORY);
      state.inventory = bytes ? parseInventory(bytes.toString()) : EMPTY_INVENTORY;
    } catch (error) {
      const coded =
        error instanceof CodedError ? error : new CodedError("AGENT_STATE_CORRUPT", "The inventory cannot be read", { cause: error });
      if (coded.code !== "AGENT_STATE_CORRUPT") throw coded;
      // Without its memory the agent prunes nothing until one full apply has made the inventory anew (E096).
      logger.error({ code: coded.code, err: coded }, "the inventory is damaged; nothing is pruned until a full apply has rebuilt it");
      state.inventory = { ...EMPTY_INVENTORY, rebuilt: true };
    }
    loaded = true;
  }

  /** Before the first apply of an object its entry is written: whatever happens next, the object is known (I5). */
  async function claim(desired: DesiredState): Promise<void> {
    const entries = new Map(state.inventory.entries);
    let grown = false;
    for (const bundle of desired.slice.bundles) {
      const orphan = bundle.state === "desired" && !bundle.options.prune;
      for (const line of state.linesOf(bundle.name)) {
        const known = entries.get(line.ref);
        if (bundle.state === "keep" && known) continue;
        if (known && known.bundle === bundle.name && (known.orphan ?? false) === orphan && !known.approved) continue;
        entries.set(line.ref, {
          ref: line.ref,
          bundle: bundle.name,
          ...(known?.uid !== undefined && { uid: known.uid }),
          ...(orphan && { orphan: true as const }),
        });
        grown = true;
      }
    }
    if (grown) await saveInventory({ ...state.inventory, entries });
  }

  /** After the applies: new UIDs, and which bundles are complete. One write, and none if nothing is new. */
  async function record(summaries: readonly ApplySummary[]): Promise<void> {
    const { desired } = state;
    const entries = new Map(state.inventory.entries);
    const applied = new Map(state.inventory.applied);
    let grown = false;
    for (const { uids } of summaries) {
      for (const [ref, uid] of uids) {
        const entry = entries.get(ref);
        if (!entry || uid === "") continue;
        entries.set(ref, { ...entry, uid });
        grown = true;
      }
    }
    let complete = true;
    for (const bundle of desired?.slice.bundles ?? []) {
      const done = state.linesOf(bundle.name).every((line) => state.lastApplied.get(line.ref) === line.digest);
      complete &&= done;
      if (!done || bundle.state !== "desired" || applied.get(bundle.name) === bundle.manifestSet.digest) continue;
      applied.set(bundle.name, bundle.manifestSet.digest);
      grown = true;
    }
    const rebuilt = state.inventory.rebuilt && !complete;
    if (grown || rebuilt !== state.inventory.rebuilt) await saveInventory({ entries, applied, rebuilt });
  }

  async function prunePhase(desired: DesiredState, signal: AbortSignal): Promise<void> {
    const plan = planPrune(state.inventory, desired.slice, options.ownNamespace);
    const before = state.held?.id;
    state.held = plan.held;
    if (plan.held && plan.held.id !== before) {
      logger.warn({ code: "DELETION_HELD", [LogField.Count]: plan.held.objects }, plan.held.message);
      event("DeletionHeld", plan.held.message);
    }
    const gone = new Set<ObjectRefText>(plan.released);
    for (const ref of plan.released)
      event("Released", `${describeObjectRef(parseObjectRef(ref))} left Git and stays in the cluster`, { ref });
    for (const [ref] of state.pruneFailures) if (!plan.deletions.some((entry) => entry.ref === ref)) state.pruneFailures.delete(ref);
    state.terminating.clear();
    await markApproved(plan.deletions, desired);
    for (const entry of plan.deletions) {
      // A newer slice may want again what this one did not (I3).
      if (state.desired !== desired) break;
      if (state.mustWait(state.pruneFailures, entry.ref)) continue;
      failpoint("agent.beforeDelete");
      try {
        const outcome = await prune(entry, signal);
        failpoint("agent.afterDelete");
        state.pruneFailures.delete(entry.ref);
        if (outcome === "terminating") state.terminating.add(entry.ref);
        else {
          gone.add(entry.ref);
          event(
            outcome === "gone" ? "Pruned" : "Released",
            `${describeObjectRef(parseObjectRef(entry.ref))} ${outcome === "gone" ? "was deleted" : "is not ours any more"}`,
            entry,
          );
        }
      } catch (error) {
        if (signal.aborted) throw error;
        // Not confirmed: the entry stays, and the next pass tries again (E073).
        const coded = CodedError.from(error);
        if (state.pruneFailures.get(entry.ref)?.error.code !== coded.code)
          logger.warn({ [LogField.Code]: coded.code, [LogField.Bundle]: entry.bundle }, coded.message);
        state.fail(state.pruneFailures, entry.ref, entry.bundle, coded);
      }
    }
    if (gone.size === 0) return;
    logger.info({ [LogField.Count]: gone.size }, `pruned: ${gone.size - plan.released.length} deleted, ${plan.released.length} released`);
    for (const ref of gone) {
      observer.forget(ref);
      state.lastApplied.delete(ref);
      state.failures.delete(ref);
      state.lastAction.delete(ref);
    }
    await saveInventory({ ...state.inventory, entries: new Map([...state.inventory.entries].filter(([ref]) => !gone.has(ref))) });
  }

  /** An approval is for just these objects; noting it per object lets a crash between two deletions go on. */
  async function markApproved(deletions: readonly InventoryEntry[], desired: DesiredState): Promise<void> {
    if (desired.slice.approvedDeletions.length === 0) return;
    const open = deletions.filter((entry) => !entry.approved);
    if (open.length === 0) return;
    const entries = new Map(state.inventory.entries);
    for (const entry of open) entries.set(entry.ref, { ...entry, approved: true });
    await saveInventory({ ...state.inventory, entries });
  }

  /** Objects that left the slice but stay in the cluster (held, waiting) are not ours to correct any more. */
  function forgetUndesired(desired: DesiredState): void {
    const wanted = new Set([...desired.bundles.values()].flatMap((lines) => lines.map((line) => line.ref)));
    for (const { ref } of [...observer.all()]) if (!wanted.has(ref)) observer.forget(ref);
    for (const ref of state.failures.keys()) if (!wanted.has(ref)) state.failures.delete(ref);
    for (const ref of state.lastApplied.keys()) if (!wanted.has(ref)) state.lastApplied.delete(ref);
  }

  /** One pass, as a list of phases. Each may find nothing to do; a pass that finds nothing at all writes nothing. */
  async function pass(signal: AbortSignal): Promise<void> {
    if (!loaded) await loadInventory();
    const desired = state.desired;
    if (!desired || desired.slice.paused) return;
    const started = clock.monotonicMs();
    await options.discovery.current(signal);
    await claim(desired);
    failpoint("agent.beforeFirstApply");
    const summaries: ApplySummary[] = [];
    for (const bundle of desired.slice.bundles) {
      summaries.push(await applyBundle(phase, bundle, signal));
      // A newer slice does not wait for the rest of an older one.
      if (state.desired !== desired) break;
    }
    failpoint("agent.beforePrune");
    await record(summaries);
    tellCorrections(summaries);
    logSummary(desired, summaries, started);
    changed();
    if (state.desired !== desired) return wakeup.wake();
    await prunePhase(desired, signal);
    if (blobsToDrop) {
      blobsToDrop = false;
      await dropUnusedBlobs(store, desired);
    }
  }

  function tellCorrections(summaries: readonly ApplySummary[]): void {
    for (const ref of summaries.flatMap((summary) => summary.corrected)) {
      event("DriftCorrected", `${describeObjectRef(parseObjectRef(ref))} is as Git says again`, { ref });
    }
  }

  function logSummary(desired: DesiredState, summaries: readonly ApplySummary[], started: number): void {
    const counts: Partial<Record<Action, number>> = {};
    for (const summary of summaries) {
      for (const [action, count] of Object.entries(summary.counts)) counts[action as Action] = (counts[action as Action] ?? 0) + count;
    }
    if (Object.keys(counts).length === 0) return;
    const text = Object.entries(counts)
      .map(([action, count]) => `${count} ${action}`)
      .join(", ");
    logger.info(
      { [LogField.Generation]: desired.slice.generation, [LogField.DurationMs]: Math.round(clock.monotonicMs() - started) },
      `applied: ${text}`,
    );
  }

  return {
    resume(desired) {
      state.desired = desired;
      wakeup.wake();
    },
    async take(desired, fetched) {
      failpoint("agent.beforeHighWater");
      await keepState(store, desired, fetched);
      failpoint("agent.afterHighWater");
      const moved = state.desired;
      state.desired = desired;
      blobsToDrop = moved !== undefined;
      if (loaded) forgetUndesired(desired);
      // What somebody must mend may be mended now.
      state.retryNow();
      logger.info({ [LogField.Generation]: desired.slice.generation }, `took the slice of ${formatRevision(desired.slice.commits)}`);
      event("SliceTaken", `Generation ${desired.slice.epoch}.${desired.slice.generation} of ${formatRevision(desired.slice.commits)}`);
      changed();
      wakeup.wake();
    },
    trigger(bundle) {
      state.retryNow();
      for (const line of bundle ? state.linesOf(bundle) : []) state.lastApplied.delete(line.ref);
      wakeup.wake();
    },
    get desired() {
      return state.desired;
    },
    report: (sliceProblem) => reportCluster(state, observer, sliceProblem),
    exceptions: () => reportExceptions(state, observer),
    inspect: (what) => inspectObjects(state, observer, what),
    onChange: (listener) => void changeListeners.push(listener),
    onEvent: (listener) => void eventListeners.push(listener),
    onDrift: (listener) => void driftListeners.push(listener),
    async run(signal) {
      const backoff = createBackoff({ initialMs: 250, maxMs: 10_000, random });
      while (!signal.aborted) {
        let retryMs: number | undefined;
        const beganMs = clock.monotonicMs();
        try {
          await pass(signal);
          backoff.reset();
        } catch (error) {
          if (signal.aborted) return;
          const coded = CodedError.from(error);
          retryMs = backoff.next();
          logger.warn({ code: coded.code, err: coded }, "the pass was cut short; trying again");
        }
        changed();
        await wakeup.wait(retryMs ?? state.nextDueMs(beganMs), signal);
      }
    },
  };
}
