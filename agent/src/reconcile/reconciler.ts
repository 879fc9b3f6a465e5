import { CodedError } from "@muster/shared/errors";
import {
  type Action,
  type ClusterReport,
  DriftKind,
  describeObjectRef,
  formatRevision,
  type Manifest,
  type ObjectException,
  type ObjectRef,
  type ObjectRefText,
  parseObjectRef,
  type ReportedEvent,
  type Slice,
  type SliceCondition,
} from "@muster/shared/model";
import { type Clock, createBackoff, type Random, Wakeup } from "@muster/shared/runtime";
import { LogField, type Logger, type Metrics } from "@muster/shared/telemetry";
import type { Applier } from "../apply/applier.ts";
import type { Pruner } from "../apply/pruner.ts";
import type { AgentFailpoint } from "../failpoints.ts";
import type { Cluster } from "../kube/cluster.ts";
import type { DiscoveryCache } from "../kube/discovery-cache.ts";
import { askedDelayMs } from "../kube/map-error.ts";
import { readConditions } from "../observe/condition.ts";
import type { Observation, Observer } from "../observe/observer.ts";
import { UNSURE } from "../plan/inventory.ts";
import { contentOf, type DesiredState, dropUnusedBlobs } from "../pull/desired-state.ts";
import type { StateStore } from "../pull/state-store.ts";
import { type ApplyPhase, type ApplySummary, applyBundle } from "./apply-phase.ts";
import { describeFight, type InspectedObject, inspectObjects, reportCluster, reportExceptions, toException } from "./bundle-report.ts";
import { objectsOfChangedRules } from "./changed-rules.ts";
import { ClusterState } from "./cluster-state.ts";
import { findOurs } from "./find-ours.ts";
import { describeFlapping } from "./flap-counter.ts";
import { createInventoryKeeper } from "./inventory-keeper.ts";
import { keepSlice } from "./keep-slice.ts";
import { createLookAhead } from "./look-ahead.ts";
import { createStateMender } from "./mend-state.ts";
import { createPrunePhase } from "./prune-phase.ts";
import { createReadiness } from "./readiness.ts";
import { createRuleKeeper } from "./rule-keeper.ts";
import { createUnlock } from "./unlock.ts";
import { createWantedManifests } from "./wanted-manifests.ts";

/** Options of {@link createReconciler}. */
export interface ReconcilerOptions {
  readonly cluster: Cluster;
  readonly discovery: DiscoveryCache;
  readonly observer: Observer;
  readonly applier: Applier;
  readonly prune: Pruner;
  readonly store: StateStore;
  readonly ownNamespace: string;
  /** The agent works in these namespaces only. Default: anywhere. */
  readonly watchNamespaces?: readonly string[];
  /** Applies at once. */
  readonly concurrency: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly failpoint: AgentFailpoint;
}

/** Drives the cluster towards the desired state, for ever. */
export interface Reconciler {
  /** Takes over what was kept from the last run; call before {@link run}. */
  resume(desired: DesiredState): void;
  /** A newer slice is verified, and its manifest sets are not there yet: its pauses count. */
  coming(slice: Slice): void;
  /** A newer slice, complete and verified; it is kept in the cluster, then applied. Resolves when it is kept. */
  take(desired: DesiredState, fetched: ReadonlyMap<string, Uint8Array>): Promise<void>;
  /** Tries everything again now; with a bundle, applies all of its objects anew. */
  trigger(bundle?: string): void;
  /** Looks soon whether the kept state is still there; see {@link createStateMender}. */
  checkState(): void;
  readonly desired: DesiredState | undefined;
  /** An object as the slice in force has it. */
  wanted(bundle: string, ref: ObjectRefText): Manifest | undefined;
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

export function createReconciler(options: ReconcilerOptions): Reconciler {
  const applies = options.metrics.counter("muster_agent_applies_total", "Objects that were applied, by what came of it", ["action"]);
  const duration = options.metrics.histogram("muster_agent_reconcile_duration_seconds", "Time of a pass that had something to apply");
  const { observer, store, clock, random, logger, failpoint } = options;
  const state = new ClusterState(clock, random);
  const rules = createRuleKeeper(observer, state);
  const readiness = createReadiness({ ...options, state });
  const wakeup = new Wakeup();
  const changeListeners: (() => void)[] = [];
  const driftListeners: ((exception: ObjectException) => void)[] = [];
  const eventListeners: ((event: ReportedEvent) => void)[] = [];
  let blobsToDrop = false;
  let stateToCheck = false;
  let storing: Promise<void> = Promise.resolve();
  let unkept: DesiredState | undefined;

  /** Keeping a slice and dropping what none needs take turns: a set that was just kept would look unused. */
  function alone(work: () => Promise<void>): Promise<void> {
    const mine = storing.then(work);
    storing = mine.catch(() => {});
    return mine;
  }

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

  const keeper = createInventoryKeeper({
    state,
    store,
    logger,
    failpoint,
    event,
    findOurs: (where, signal) => findOurs({ ...options, where }, signal),
    watchNamespaces: options.watchNamespaces ?? [],
  });
  const mender = createStateMender({ state, store, keeper, logger, event });
  const prunePhase = createPrunePhase({ ...options, state, keeper, event });

  const unlock = createUnlock({ ...options, state, keeper });
  let running = AbortSignal.abort();

  const drifted = new Set<ObjectRefText>();
  const fought = new Set<ObjectRefText>();
  observer.onChange(({ ref, finished }) => {
    const ran = finished && state.lastApplied.get(ref);
    if (ran && ran !== UNSURE) state.finished.set(ref, ran);
  });
  observer.onChange(({ ref, drift }) => {
    // Its name is free again.
    if (drift?.kind === DriftKind.Missing && state.comingBack.has(ref)) state.retrySoon([ref]);
  });
  /** Says who changes an object back each time, once for each fight (E039). */
  function tellFight(observation: Observation): void {
    const { ref, drift, bundle } = observation;
    if (!state.isFoughtOver(ref)) fought.delete(ref);
    else if (drift && !fought.has(ref)) {
      fought.add(ref);
      event("DriftFight", describeFight(observation), observation);
      logger.warn({ [LogField.Code]: "DRIFT_FIGHT", [LogField.Bundle]: bundle }, describeFight(observation));
    }
  }
  observer.onChange((observation) => {
    if (!state.flaps.note(observation, state.lastApplied.get(observation.ref))) return;
    const message = describeFlapping(observation, state.flaps.count(observation.ref));
    event("Flapping", message, observation);
    logger.warn({ [LogField.Bundle]: observation.bundle }, message);
  });
  observer.onChange((seen) => {
    const observation = state.driftModes.told(seen);
    if (observation.drift && !drifted.has(observation.ref)) {
      drifted.add(observation.ref);
      const { kind, manager, paths } = observation.drift;
      const who = manager ? ` by ${manager}` : "";
      const what = paths.length > 0 ? ` (${paths.slice(0, 5).join(", ")}${paths.length > 5 ? ", …" : ""})` : "";
      event("DriftDetected", `${describeObjectRef(parseObjectRef(observation.ref))} is ${kind}${who}${what}`, observation);
      for (const listener of driftListeners) listener(toException(observation, state));
    }
    if (!observation.drift) drifted.delete(observation.ref);
    tellFight(observation);
    changed();
    wakeup.wake();
  });

  /** Objects that left the slice but stay in the cluster (held, waiting) are not ours to correct any more. */
  function forgetUndesired(desired: DesiredState): void {
    const wanted = new Map<ObjectRefText, string>();
    for (const { name } of desired.slice.bundles) for (const { ref } of state.linesOf(name)) wanted.set(ref, name);
    for (const { ref } of [...observer.all()]) if (!wanted.has(ref)) observer.forget(ref);
    // What failed in another bundle is not that one's any more: it would hold up whoever waits for it, also the new one itself.
    for (const [ref, { bundle }] of state.failures) if (wanted.get(ref) !== bundle) state.failures.delete(ref);
    for (const ref of state.pruneFailures.keys()) if (wanted.has(ref)) state.pruneFailures.delete(ref);
    for (const ref of state.lastApplied.keys()) if (!wanted.has(ref)) state.lastApplied.delete(ref);
  }

  /** One pass, as a list of phases. Each may find nothing to do; a pass that finds nothing at all writes nothing. */
  async function pass(signal: AbortSignal): Promise<void> {
    if (stateToCheck) await alone(() => mender.check());
    stateToCheck = false;
    // What a lost inventory is made anew from depends on the bundles that there are.
    if (state.desired) {
      await keeper.load(signal);
      await alone(() => mender.afterRewind());
    }
    const desired = state.desired;
    if (desired) await rules.prepare(desired);
    if (!desired || desired.slice.paused) return;
    readiness.begin();
    const started = clock.monotonicMs();
    await options.discovery.current(signal);
    await readConditions(desired.slice.bundles.flatMap((bundle) => contentOf(bundle, desired)?.options.drift.ignore ?? []));
    await keeper.claim(desired);
    // A newer slice came meanwhile, of which nothing is claimed yet; from here on its objects would be applied (I5).
    if (state.desired !== desired) return wakeup.wake();
    failpoint("agent.beforeFirstApply");
    const summaries: ApplySummary[] = [];
    const phase: ApplyPhase = { ...options, state, rules, readiness, lookAhead: createLookAhead({ ...options, state }) };
    for (const bundle of desired.slice.bundles) {
      summaries.push(await applyBundle(phase, bundle, signal));
      // A newer slice does not wait for the rest of an older one.
      if (state.desired !== desired) break;
    }
    failpoint("agent.beforePrune");
    await keeper.record();
    failpoint("agent.afterRecord");
    tellCorrections(summaries);
    logSummary(desired, summaries, started);
    changed();
    if (state.desired !== desired) return wakeup.wake();
    await prunePhase(desired, signal);
    if (blobsToDrop) await alone(dropBlobs);
  }

  async function dropBlobs(): Promise<void> {
    if (!state.desired || !blobsToDrop) return;
    await dropUnusedBlobs(store, state.desired);
    blobsToDrop = false;
  }

  /** Until somebody wakes the loop, or the time has passed; for ever, if undefined. */
  async function rest(ms: number | undefined, signal: AbortSignal): Promise<void> {
    const awake = new AbortController();
    if (ms !== undefined) {
      clock.sleep(ms, AbortSignal.any([signal, awake.signal])).then(
        () => wakeup.wake(),
        () => {},
      );
    }
    await wakeup.wait(undefined, signal);
    awake.abort();
  }

  function tellCorrections(summaries: readonly ApplySummary[]): void {
    for (const { bundle, corrected, adopted } of summaries) {
      for (const [ref, paths] of adopted) {
        const what = paths.length > 0 ? `; what differed is as Git says now: ${paths.join(", ")}` : "";
        event("Adopted", `${describeObjectRef(parseObjectRef(ref))} was there already and is ours now${what}`, { ref, bundle });
      }
      for (const ref of corrected)
        event("DriftCorrected", `${describeObjectRef(parseObjectRef(ref))} is as Git says again`, { ref, bundle });
    }
  }

  function logSummary(desired: DesiredState, summaries: readonly ApplySummary[], started: number): void {
    const counts: Partial<Record<Action, number>> = {};
    for (const summary of summaries) {
      for (const [action, count] of Object.entries(summary.counts)) counts[action as Action] = (counts[action as Action] ?? 0) + count;
    }
    if (Object.keys(counts).length === 0) return;
    duration.observe((clock.monotonicMs() - started) / 1_000);
    for (const [action, count] of Object.entries(counts)) applies.add(count, { action });
    const text = Object.entries(counts)
      .map(([action, count]) => `${count} ${action}`)
      .join(", ");
    logger.info(
      { [LogField.Generation]: desired.slice.generation, [LogField.DurationMs]: Math.round(clock.monotonicMs() - started) },
      `applied: ${text}`,
    );
  }

  function noteComing(slice: Slice): void {
    if (!state.noteComing(slice)) return;
    changed();
    // What one before it held back may go on.
    wakeup.wake();
  }

  return {
    resume(desired) {
      state.desired = desired;
      state.resumed = true;
      wakeup.wake();
    },
    coming: noteComing,
    async take(desired, fetched) {
      failpoint("agent.beforeHighWater");
      noteComing(desired.slice);
      await alone(async () => {
        // Of a slice that could be kept in part only, nothing may be dropped until one was kept as a whole.
        blobsToDrop = false;
        // A slice that could be kept in part only may be what a new process would find.
        const before = { kept: new Map([...(state.desired?.kept ?? []), ...(unkept?.kept ?? [])]) };
        unkept = desired;
        const keep = async () => {
          await keeper.begin(desired, running);
          await keepSlice(desired, { store, keeper, fetched, failpoint, before });
        };
        await keep().catch(async (refusal: unknown) => {
          // Another agent has kept a newer one, which is what comes now.
          if (CodedError.from(refusal).code === "SLICE_STALE") {
            state.forgetComing(desired.slice);
            wakeup.wake();
          }
          await unlock(refusal, desired, running);
          throw refusal;
        });
        unkept = undefined;
        keeper.kept(desired.slice);
        blobsToDrop = state.desired !== undefined;
        for (const ref of objectsOfChangedRules(state.desired, desired)) state.forgetApplied(ref);
        state.desired = desired;
      });
      failpoint("agent.afterHighWater");
      forgetUndesired(desired);
      // What somebody must mend may be mended now.
      state.retryNow();
      logger.info({ [LogField.Generation]: desired.slice.generation }, `took the slice of ${formatRevision(desired.slice.commits)}`);
      event("SliceTaken", `Generation ${desired.slice.epoch}.${desired.slice.generation} of ${formatRevision(desired.slice.commits)}`);
      changed();
      wakeup.wake();
    },
    trigger(bundle) {
      state.retryNow();
      for (const line of bundle ? state.linesOf(bundle) : []) state.forgetApplied(line.ref);
      wakeup.wake();
    },
    checkState() {
      stateToCheck = true;
      wakeup.wake();
    },
    get desired() {
      return state.desired;
    },
    wanted: createWantedManifests((bundle) => state.linesOf(bundle)),
    report: (sliceProblem) => reportCluster(state, observer, sliceProblem),
    exceptions: () => reportExceptions(state, observer),
    inspect: (what) => inspectObjects(state, observer, what),
    onChange: (listener) => void changeListeners.push(listener),
    onEvent: (listener) => void eventListeners.push(listener),
    onDrift: (listener) => void driftListeners.push(listener),
    async run(signal) {
      running = signal;
      const backoff = createBackoff({ initialMs: 250, maxMs: 10_000, random });
      while (!signal.aborted) {
        let retryMs: number | undefined;
        const beganMs = clock.monotonicMs();
        try {
          await pass(signal);
          // Bundles may have waited for others that looked as if they were not in order.
          if (state.passProblem) wakeup.wake();
          state.passProblem = undefined;
          backoff.reset();
        } catch (error) {
          if (signal.aborted) return;
          const coded = CodedError.from(error);
          state.passProblem = coded;
          retryMs = Math.max(backoff.next(), askedDelayMs(coded, random));
          logger.warn({ code: coded.code, err: coded }, "the pass was cut short; trying again");
        }
        changed();
        await rest(retryMs ?? state.nextDueMs(beganMs), signal);
      }
    },
  };
}
