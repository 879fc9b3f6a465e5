import { CodedError, type ErrorCode } from "@muster/shared/errors";
import {
  type BundleReport,
  type ClusterReport,
  describeObjectRef,
  type FieldOwner,
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
import type { Blocker, ClusterState, Failure } from "./cluster-state.ts";
import { describeFlapping } from "./flap-counter.ts";

/** One object, as an operator asks for it. */
export interface InspectedObject extends ObjectException {
  readonly uid: string;
  /** What the last apply of this process did; empty if there was none. */
  readonly lastAction: string;
  /** Managers that own fields of ours, too. Absent: none. */
  readonly sharedWith?: readonly FieldOwner[];
}

/** Codes that say “not yet” rather than “it does not work”. */
const WAITING: ReadonlySet<ErrorCode> = new Set([
  "KIND_UNKNOWN",
  "KIND_UNAVAILABLE",
  "NAMESPACE_MISSING",
  "NAMESPACE_TERMINATING",
  "OBJECT_TERMINATING",
  "PRUNE_WAITING",
  "PRUNE_PROTECTED",
  "DEPENDENCY_NOT_READY",
  "KUBE_QUOTA",
]);

/** Codes of objects that left Git and are still there, by nobody's fault. */
const LEAVES_LATER: ReadonlySet<ErrorCode> = new Set(["PRUNE_WAITING", "PRUNE_PROTECTED"]);

/** What a bundle waits for is told up to here. */
const MAX_BLOCKERS = 20;

/** Options of {@link reportBundle}. */
export interface ReportOptions {
  /** Where it stands beneath a pause. Default: that it is paused. */
  readonly pausedAsItIs?: boolean;
  /**
   * As bundles that depend on it see it: what it has yet to delete may itself wait for them, or for a person, and is nothing that they need.
   * Default: false.
   */
  readonly forDependents?: boolean;
}

/** Where a bundle stands, from what was applied and what is observed. */
export function reportBundle(bundle: SliceBundle, state: ClusterState, observer: Observer, options: ReportOptions = {}): BundleReport {
  const lines = state.linesOf(bundle.name);
  const healths: Health[] = [];
  let ruleProblem: string | undefined;
  let drifted = 0;
  let pending = 0;
  for (const line of lines) {
    const seen = observer.get(line.ref);
    const observation = seen && state.driftModes.told(seen);
    if (!state.isApplied(line)) pending += 1;
    if (observation?.drift) drifted += 1;
    if (observation?.ruleProblem !== undefined) ruleProblem ??= describeRuleProblem(observation);
    if (seen && state.driftModes.isLetGo(seen)) continue;
    healths.push(observation?.health ?? (state.isFinished(line) ? Health.Current : Health.Unknown));
  }
  const failures = [...state.failures.values(), ...state.pruneFailures.values(), ...stuckOf(state)]
    .filter((failure) => failure.bundle === bundle.name)
    .filter(({ error }) => !options.forDependents || !LEAVES_LATER.has(error.code));
  const first = failures.find((failure) => !WAITING.has(failure.error.code)) ?? failures[0];
  // What is applied already waits for nobody.
  const gate = pending > 0 ? (state.gates.get(bundle.name) ?? []) : [];
  const invalid = state.ruleProblems.get(bundle.name);
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
  return { ...base, ...standing(), ...blockedBy(gate) };

  /** The first of these that holds says where the bundle stands. */
  function standing(): Pick<BundleReport, "state" | "reason" | "message"> {
    const pause = pausing();
    if (pause) return pause;
    if (first) return failing(first, failures);
    const [duplicate] = state.duplicates.get(bundle.name) ?? [];
    if (duplicate !== undefined) return duplicated(duplicate);
    if (state.passProblem) return cutShort(state.passProblem);
    if (invalid) return { state: SyncState.Failed, reason: invalid.code, message: invalid.message };
    if (gate[0]) return { state: SyncState.Pending, reason: "DEPENDENCY_NOT_READY", message: describeGate(gate[0], gate.length) };
    if (bundle.state === "keep" && lines.length === 0) return { state: SyncState.Pending, reason: bundle.reason };
    if (pending > 0) return { state: SyncState.Progressing, message: `${lines.length - pending} of ${lines.length} objects applied` };
    if (drifted > 0) return outOfSync();
    return { state: SyncState.Synced, ...remark() };
  }

  /** What nobody has to wait for, and somebody is to know. */
  function remark(): Pick<BundleReport, "reason" | "message"> {
    const error = state.driftModes.firstMisspelt(bundle.name);
    if (error) return { reason: error.code, message: error.message };
    return ruleProblem === undefined ? {} : { reason: "DRIFT_IGNORE_FAILED", message: ruleProblem };
  }

  /** What a pause keeps back (E100). */
  function pausing(): Pick<BundleReport, "state" | "reason" | "message"> | undefined {
    if (state.desired?.slice.paused) return { state: SyncState.Paused, reason: "Paused" };
    if (options.pausedAsItIs) return undefined;
    if (!state.paused.has(bundle.name))
      return state.isToPause(bundle.name)
        ? { state: SyncState.Paused, reason: "Paused", message: "paused in Git; the slice that says so is not in force yet" }
        : undefined;
    const frozen = state.frozen.filter((entry) => entry.bundle === bundle.name).length;
    const waits = [
      ...(pending > 0 ? [`${pending} of ${lines.length} objects are not applied`] : []),
      ...(drifted > 0 ? [`${drifted} ${drifted === 1 ? "has" : "have"} drifted`] : []),
      ...(frozen > 0 ? [`${frozen} left Git`] : []),
    ];
    return { state: SyncState.Paused, reason: "Paused", message: `paused in Git${waits.length > 0 ? `; ${waits.join(", ")}` : ""}` };
  }

  function outOfSync(): Pick<BundleReport, "state" | "reason" | "message"> {
    const fought = lines.map((line) => observer.get(line.ref)).find((one) => one?.drift && state.isFoughtOver(one.ref));
    return { state: SyncState.OutOfSync, ...(fought ? { reason: "DRIFT_FIGHT", message: describeFight(fought) } : { reason: "Drifted" }) };
  }
}

/** The agent cannot do its work at all, for example because it may not write its own state. */
function cutShort(error: CodedError): Pick<BundleReport, "state" | "reason" | "message"> {
  return { state: error.retryable ? SyncState.Pending : SyncState.Failed, reason: error.code, message: error.message };
}

/** Deletions that nobody completes. */
function stuckOf(state: ClusterState): Told[] {
  return [...state.terminating].flatMap(([ref, { stuck: error }]) =>
    error ? { error, bundle: state.inventory.entries.get(ref)?.bundle ?? "" } : [],
  );
}

type Told = Pick<Failure, "error" | "bundle">;

function failing({ error }: Told, failures: readonly Told[]): Pick<BundleReport, "state" | "reason" | "message"> {
  return { state: WAITING.has(error.code) ? SyncState.Pending : SyncState.Failed, reason: error.code, message: summarize(error, failures) };
}

function blockedBy(gate: readonly Blocker[]): Pick<BundleReport, "blockedBy"> {
  return gate.length === 0 ? {} : { blockedBy: gate.slice(0, MAX_BLOCKERS).map(({ what }) => what) };
}

function describeGate({ message }: Blocker, count: number): string {
  return count === 1 ? message : `${message} (and ${count - 1} more)`;
}

/** Kinds of failures that are told of beside the first. */
const TOP_CODES = 5;

/** The first failure in full, and how many there are of each kind: thousands of them are one sentence (E118). */
function summarize(first: CodedError, failures: readonly Told[]): string {
  if (failures.length === 1) return first.message;
  const counts = new Map<ErrorCode, number>();
  for (const { error } of failures) counts.set(error.code, (counts.get(error.code) ?? 0) + 1);
  const sorted = [...counts].sort(([, a], [, b]) => b - a);
  const kinds = sorted.slice(0, TOP_CODES).map(([code, count]) => `${count} ${code}`);
  const others = sorted.slice(TOP_CODES).reduce((sum, [, count]) => sum + count, 0);
  if (others > 0) kinds.push(`${others} others`);
  return `${first.message} (and ${failures.length - 1} more${kinds.length > 1 ? `: ${kinds.join(", ")} in all` : ""})`;
}

/** Who changes an object back each time (E039). */
export function describeFight({ ref, drift }: Observation): string {
  return `${describeObjectRef(parseObjectRef(ref))}: fighting with manager ${drift?.manager ?? "(unknown)"} over ${drift?.paths.slice(0, 5).join(", ") || "the object"}`;
}

/** A condition in `drift.ignore` that cannot be told of an object: its rule does not count. */
function describeRuleProblem({ ref, ruleProblem = "" }: Observation): string {
  return `${describeObjectRef(parseObjectRef(ref))}: a rule of drift.ignore does not count: ${ruleProblem}`;
}

function ruleError(observation: Observation): CodedError | undefined {
  return observation.ruleProblem === undefined ? undefined : new CodedError("DRIFT_IGNORE_FAILED", describeRuleProblem(observation));
}

function duplicated(ref: ObjectRefText): Pick<BundleReport, "state" | "reason" | "message"> {
  const message = `${describeObjectRef(parseObjectRef(ref))} is in an earlier bundle of this cluster as well, which has it now`;
  return { state: SyncState.Failed, reason: "OBJECT_DUPLICATE", message };
}

/** Everything about the cluster apart from single objects. */
export function reportCluster(state: ClusterState, observer: Observer, sliceProblem: SliceCondition | undefined): ClusterReport {
  const slice = state.desired?.slice;
  const bundles = (slice?.bundles ?? []).map((bundle) => reportBundle(bundle, state, observer));
  // A pause takes nothing away from what was applied before it.
  const isDone = (bundle: SliceBundle, report: BundleReport | undefined) =>
    isApplied(report) || (report?.state === SyncState.Paused && isApplied(reportBundle(bundle, state, observer, { pausedAsItIs: true })));
  const done = slice?.bundles.every((bundle, index) => isDone(bundle, bundles[index])) ?? false;
  const generation = slice && { epoch: slice.epoch, generation: slice.generation };
  return {
    ...(generation && { seen: generation }),
    ...(generation && done && { applied: generation }),
    bundles,
    ...(state.held && { heldDeletion: state.held }),
    ...(sliceProblem && { sliceProblem }),
  };
}

function isApplied(report: BundleReport | undefined): boolean {
  return report?.state === SyncState.Synced || report?.state === SyncState.OutOfSync;
}

/** One object that is not plainly healthy and in sync. */
export function toException(seen: Observation, state: ClusterState): ObjectException {
  const observation = state.driftModes.told(seen);
  const error =
    state.failures.get(observation.ref)?.error ?? state.driftModes.misspelt(observation.bundle, observation.ref) ?? ruleError(observation);
  const isFought = observation.drift !== undefined && state.isFoughtOver(observation.ref);
  const flaps = state.flaps.count(observation.ref);
  const said = flaps > 0 ? describeFlapping(observation, flaps) : observation.message;
  const message = error?.message ?? (isFought ? describeFight(observation) : said);
  return {
    ref: parseObjectRef(observation.ref),
    bundle: observation.bundle,
    health: observation.health,
    ...((error || isFought) && { code: error?.code ?? "DRIFT_FIGHT" }),
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
      ...(observation && observation.sharedWith.length > 0 && { sharedWith: observation.sharedWith }),
    });
  };
  for (const { ref, bundle } of state.inventory.entries.values()) add(ref, bundle);
  for (const bundle of state.desired?.slice.bundles ?? []) for (const line of state.linesOf(bundle.name)) add(line.ref, bundle.name);
  return [...known.values()];
}

function isInOrder(seen: Observation, state: ClusterState): boolean {
  const { ref, bundle, health, drift, ruleProblem } = state.driftModes.told(seen);
  if (state.failures.has(ref) || state.driftModes.misspelt(bundle, ref) || ruleProblem !== undefined) return false;
  return (health === Health.Current && !drift) || state.driftModes.isLetGo(seen);
}

/** Objects that are not plainly healthy and in sync. */
export function reportExceptions(state: ClusterState, observer: Observer): ObjectException[] {
  const exceptions: ObjectException[] = [];
  for (const observation of observer.all()) {
    if (isInOrder(observation, state)) continue;
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
  for (const [ref, { message, stuck }] of state.terminating) {
    const bundle = state.inventory.entries.get(ref)?.bundle ?? "";
    exceptions.push({
      ref: parseObjectRef(ref),
      bundle,
      health: Health.Terminating,
      ...(stuck && { code: stuck.code }),
      message: `Left Git; ${message}`,
    });
  }
  return exceptions;
}
