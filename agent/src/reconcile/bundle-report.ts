import type { CodedError, ErrorCode } from "@muster/shared/errors";
import {
  type BundleReport,
  type ClusterReport,
  describeObjectRef,
  formatObjectRef,
  Health,
  type ObjectException,
  type ObjectRef,
  type ObjectRefText,
  parseObjectRef,
  type SliceBundle,
  type SliceCondition,
  SyncState,
  worstHealth,
} from "@muster/shared/model";
import type { Observation, Observer } from "../observe/observer.ts";
import type { ClusterState } from "./cluster-state.ts";

/** One object, as an operator asks for it. */
export interface InspectedObject extends ObjectException {
  readonly uid: string;
  /** What the last apply of this process did; empty if there was none. */
  readonly lastAction: string;
}

/** Codes that say “not yet” rather than “it does not work”. */
const WAITING: ReadonlySet<ErrorCode> = new Set(["KIND_UNKNOWN", "NAMESPACE_MISSING", "NAMESPACE_TERMINATING", "DEPENDENCY_NOT_READY"]);

/** Where a bundle stands, from what was applied and what is observed. */
export function reportBundle(bundle: SliceBundle, state: ClusterState, observer: Observer): BundleReport {
  const lines = state.linesOf(bundle.name);
  const healths: Health[] = [];
  let drifted = 0;
  let pending = 0;
  for (const line of lines) {
    const observation = observer.get(line.ref);
    if (state.lastApplied.get(line.ref) !== line.digest) pending += 1;
    if (observation?.drift) drifted += 1;
    healths.push(observation?.health ?? Health.Unknown);
  }
  const failures = [...state.failures.values(), ...state.pruneFailures.values()].filter((failure) => failure.bundle === bundle.name);
  const first = failures.find((failure) => !WAITING.has(failure.error.code)) ?? failures[0];
  const gate = state.gates.get(bundle.name);
  const complete = pending === 0 && bundle.state === "desired";
  const applied = complete ? bundle.manifestSet.digest : state.inventory.applied.get(bundle.name);
  const base = {
    bundle: bundle.name,
    // Nothing to wait for is healthy (E137); nothing known is not.
    health: lines.length === 0 && bundle.state === "keep" ? Health.Unknown : worstHealth(healths),
    ...(applied && { applied }),
    objects: lines.length,
    drifted,
    failed: failures.filter((failure) => !WAITING.has(failure.error.code)).length,
  };
  return { ...base, ...standing() };

  /** The first of these that holds says where the bundle stands. */
  function standing(): Pick<BundleReport, "state" | "reason" | "message"> {
    if (state.desired?.slice.paused) return { state: SyncState.Paused, reason: "Paused" };
    if (first) return failing(first, failures.length);
    if (state.passProblem) return cutShort(state.passProblem);
    if (gate && pending > 0) return { state: SyncState.Pending, reason: "DEPENDENCY_NOT_READY", message: gate };
    if (bundle.state === "keep" && lines.length === 0) return { state: SyncState.Pending, reason: bundle.reason };
    if (pending > 0) return { state: SyncState.Progressing, message: `${lines.length - pending} of ${lines.length} objects applied` };
    if (drifted > 0) return { state: SyncState.OutOfSync, reason: "Drifted" };
    return { state: SyncState.Synced };
  }
}

/** The agent cannot do its work at all, for example because it may not write its own state. */
function cutShort(error: CodedError): Pick<BundleReport, "state" | "reason" | "message"> {
  return { state: error.retryable ? SyncState.Pending : SyncState.Failed, reason: error.code, message: error.message };
}

function failing({ error }: { readonly error: CodedError }, count: number): Pick<BundleReport, "state" | "reason" | "message"> {
  const more = count > 1 ? ` (and ${count - 1} more)` : "";
  return { state: WAITING.has(error.code) ? SyncState.Pending : SyncState.Failed, reason: error.code, message: `${error.message}${more}` };
}

/** Everything about the cluster apart from single objects. */
export function reportCluster(state: ClusterState, observer: Observer, sliceProblem: SliceCondition | undefined): ClusterReport {
  const slice = state.desired?.slice;
  const bundles = (slice?.bundles ?? []).map((bundle) => reportBundle(bundle, state, observer));
  const done = slice !== undefined && bundles.every((bundle) => bundle.state === SyncState.Synced || bundle.state === SyncState.OutOfSync);
  const generation = slice && { epoch: slice.epoch, generation: slice.generation };
  return {
    ...(generation && { seen: generation }),
    ...(generation && done && { applied: generation }),
    bundles,
    ...(state.held && { heldDeletion: state.held }),
    ...(sliceProblem && { sliceProblem }),
  };
}

/** One object that is not plainly healthy and in sync. */
export function toException(observation: Observation, state: ClusterState): ObjectException {
  const failure = state.failures.get(observation.ref);
  const message = failure?.error.message ?? observation.message;
  return {
    ref: parseObjectRef(observation.ref),
    bundle: observation.bundle,
    health: observation.health,
    ...(failure && { code: failure.error.code }),
    ...(message && { message }),
    ...(observation.drift && { drift: observation.drift }),
  };
}

/** Objects as an operator asks for them: one, those of a bundle, or all. */
export function inspectObjects(
  state: ClusterState,
  observer: Observer,
  what: { readonly bundle?: string; readonly ref?: ObjectRef },
): InspectedObject[] {
  const only = what.ref && formatObjectRef(what.ref);
  const known = new Map<ObjectRefText, InspectedObject>();
  const add = (ref: ObjectRefText, bundle: string) => {
    if ((only !== undefined && ref !== only) || (what.bundle !== undefined && bundle !== what.bundle)) return;
    const observation = observer.get(ref);
    const failure = state.failures.get(ref) ?? state.pruneFailures.get(ref);
    const exception = observation
      ? toException(observation, state)
      : {
          ref: parseObjectRef(ref),
          bundle,
          health: Health.Unknown,
          ...(failure && { code: failure.error.code, message: failure.error.message }),
        };
    known.set(ref, {
      ...exception,
      uid: observation?.uid ?? state.inventory.entries.get(ref)?.uid ?? "",
      lastAction: state.lastAction.get(ref) ?? "",
    });
  };
  for (const { ref, bundle } of state.inventory.entries.values()) add(ref, bundle);
  for (const bundle of state.desired?.slice.bundles ?? []) for (const line of state.linesOf(bundle.name)) add(line.ref, bundle.name);
  return [...known.values()];
}

/** Objects that are not plainly healthy and in sync. */
export function reportExceptions(state: ClusterState, observer: Observer): ObjectException[] {
  const exceptions: ObjectException[] = [];
  for (const observation of observer.all()) {
    if (observation.health === Health.Current && !observation.drift && !state.failures.has(observation.ref)) continue;
    exceptions.push(toException(observation, state));
  }
  for (const [ref, failure] of [...state.failures, ...state.pruneFailures]) {
    if (observer.get(ref) && !state.pruneFailures.has(ref)) continue;
    exceptions.push({
      ref: parseObjectRef(ref),
      bundle: failure.bundle,
      health: Health.Unknown,
      code: failure.error.code,
      message: failure.error.message,
    });
  }
  for (const text of state.protected) {
    const ref = parseObjectRef(text);
    const message = `${describeObjectRef(ref)} left Git, and is never deleted where it stands`;
    exceptions.push({
      ref,
      bundle: state.inventory.entries.get(text)?.bundle ?? "",
      health: Health.Unknown,
      code: "PRUNE_PROTECTED",
      message,
    });
  }
  for (const ref of state.terminating) {
    const bundle = state.inventory.entries.get(ref)?.bundle ?? "";
    exceptions.push({
      ref: parseObjectRef(ref),
      bundle,
      health: Health.Terminating,
      message: "Deleted from Git; its finalizers are outstanding",
    });
  }
  return exceptions;
}
