import { CodedError } from "@muster/shared/errors";
import {
  Action,
  type BundleOptions,
  DriftKind,
  DriftMode,
  describeObjectRef,
  Health,
  type Manifest,
  type ObjectRefText,
  parseObjectRef,
  type SliceBundle,
  SyncState,
} from "@muster/shared/model";
import { forEachLimited } from "@muster/shared/runtime";
import { LogField, type Logger } from "@muster/shared/telemetry";
import type { ManifestLine } from "@muster/shared/wire";
import type { Applier } from "../apply/applier.ts";
import type { AgentFailpoint } from "../failpoints.ts";
import type { Cluster } from "../kube/cluster.ts";
import type { DiscoveryCache } from "../kube/discovery-cache.ts";
import type { Observer } from "../observe/observer.ts";
import { quarantined } from "../observe/quarantine.ts";
import { bundlesOf, UNSURE } from "../plan/inventory.ts";
import { Rank, rankOf } from "../plan/ranks.ts";
import { contentOf, type DesiredState } from "../pull/desired-state.ts";
import { reportBundle } from "./bundle-report.ts";
import type { Blocker, ClusterState } from "./cluster-state.ts";
import type { LookAhead } from "./look-ahead.ts";
import type { Readiness } from "./readiness.ts";
import type { RuleKeeper } from "./rule-keeper.ts";

/** What the apply of one bundle did. */
export interface ApplySummary {
  readonly bundle: string;
  readonly counts: Readonly<Partial<Record<Action, number>>>;
  /** Objects whose drift was corrected. */
  readonly corrected: readonly ObjectRefText[];
  /** Objects that were there before they were ours, with what was changed of them. */
  readonly adopted: ReadonlyMap<ObjectRefText, readonly string[]>;
}

/** What the apply phase works with. */
export interface ApplyPhase {
  readonly state: ClusterState;
  readonly applier: Applier;
  readonly observer: Observer;
  readonly discovery: DiscoveryCache;
  readonly cluster: Cluster;
  readonly failpoint: AgentFailpoint;
  readonly logger: Logger;
  /** Applies at once. */
  readonly concurrency: number;
  readonly rules: RuleKeeper;
  readonly readiness: Readiness;
  /** Of this pass. */
  readonly lookAhead: LookAhead;
}

/** One bundle's turn: how its objects are applied, and what came of it so far. */
interface Turn {
  readonly bundle: string;
  /** The slice in force when the turn began. */
  readonly desired: DesiredState | undefined;
  /** Aborts when it is not in force any more. */
  readonly superseded: AbortSignal;
  readonly options: BundleOptions;
  /** What stands where new objects shall be, as far as a list has shown it. */
  readonly before: ReadonlyMap<ObjectRefText, Manifest | null>;
  /** All of it was applied as it is to be, perhaps by an earlier process. */
  readonly wasComplete: boolean;
  readonly counts: Partial<Record<Action, number>>;
  readonly corrected: ObjectRefText[];
  readonly adopted: Map<ObjectRefText, readonly string[]>;
}

/** Applies what one bundle needs, rank by rank. One object's failure stops nothing else. */
export async function applyBundle(phase: ApplyPhase, bundle: SliceBundle, signal: AbortSignal): Promise<ApplySummary> {
  const { state } = phase;
  const { desired } = state;
  const { name } = bundle;
  const nothing: ApplySummary = { bundle: name, counts: {}, corrected: [], adopted: new Map() };
  // A kept bundle is applied as the last good slice said, and corrected: that is what “keep” means.
  const content = desired && contentOf(bundle, desired);
  if (!content || state.isToPause(name)) return nothing;
  const { options } = content;
  const gate = await gateOf(phase, name, options, signal);
  // Of what came meanwhile nothing is claimed yet (I5).
  if (state.desired !== desired) return nothing;
  const isGated = gate.length > 0;
  if (isGated) state.gates.set(name, gate);
  else state.gates.delete(name);
  const wasComplete = state.inventory.applied.get(name) === content.manifestSet.digest;
  const needed = state
    .linesOf(name)
    .filter((line) =>
      options.paused
        ? isUnseen(phase, line) && isCompared(phase, { bundle: name, options, wasComplete }, line)
        : needsApply(phase, line, name, isGated),
    );
  if (needed.length === 0) return nothing;

  const turn: Turn = {
    bundle: name,
    desired,
    superseded: state.superseded,
    options,
    before: await phase.lookAhead.at(name, needed, signal),
    wasComplete,
    counts: {},
    corrected: [],
    adopted: new Map(),
  };
  const failedBefore = new Set(state.failures.keys());
  for (const rank of Object.values(Rank)) {
    const lines = needed.filter((line) => rankOf(parseObjectRef(line.ref)) === rank);
    await forEachLimited(lines, phase.concurrency, (line) => applyOne(phase, turn, line, signal));
    await waitForDefinitions(phase, turn, rank, lines, failedBefore, signal);
    // What a newer slice wants must not wait for the rest of this one.
    if (state.desired !== turn.desired) break;
  }
  const { counts, corrected, adopted } = turn;
  return { bundle: name, counts, corrected, adopted };
}

/**
 * An object of ours that was applied as it is to be, by an earlier process if not by this one. What drifted from that is written over in mode
 * correct only: in the other modes, and in a pause, a new process compares.
 */
function isCompared(
  { state }: ApplyPhase,
  { bundle, options, wasComplete }: Pick<Turn, "bundle" | "options" | "wasComplete">,
  { ref, digest }: ManifestLine,
): boolean {
  const entry = state.inventory.entries.get(ref);
  const last = state.lastApplied.get(ref) ?? entry?.applied;
  if (entry?.uid === undefined || !(last === undefined ? wasComplete : last === digest)) return false;
  return options.paused === true || state.driftModes.of(bundle, ref) !== DriftMode.Correct;
}

function isUnseen({ state }: ApplyPhase, line: ManifestLine): boolean {
  return !state.isApplied(line) && !state.mustWait(state.failures, line.ref);
}

/** Applies one object and notes what came of it. Throws only when the signal aborts. */
async function applyOne(phase: ApplyPhase, turn: Turn, line: ManifestLine, signal: AbortSignal): Promise<void> {
  const { state, observer } = phase;
  const { ref } = line;
  // With a newer slice its options may be others, too.
  const isDue = () => state.desired === turn.desired && !state.isToPause(turn.bundle) && !state.ahead.has(ref);
  if (!isDue()) return;
  const drift = observer.get(ref)?.drift;
  const wasDrifted = drift !== undefined && state.lastApplied.get(ref) === line.digest;
  const known = state.inventory.entries.get(ref)?.uid;
  const found = turn.before.get(ref);
  const dryRun = isCompared(phase, turn, line);
  // What stands in its place now may be somebody else's: who writes is to look.
  const uid = !dryRun && drift?.kind === DriftKind.Unexpected ? undefined : known;
  // A pause that came meanwhile counts at once, and what is compared in one is not written for any reason.
  if (!dryRun && (state.paused.has(turn.bundle) || state.desired?.slice.paused)) return;
  try {
    const task = {
      line,
      bundle: turn.bundle,
      options: turn.options,
      isKnown: (name: string) => isKnownBundle(state, name) || state.inventory.entries.get(ref)?.was?.includes(name) === true,
      isDue,
      dryRun,
      ...(uid && { uid }),
      ...(found !== undefined && { before: found }),
    };
    // Until it is answered: an apply may be done and its answer lost, and a newer slice may want what was there before.
    if (!dryRun && state.lastApplied.get(ref) !== line.digest) state.lastApplied.set(ref, UNSURE);
    const result = await phase.applier.apply(task, signal);
    phase.failpoint("agent.afterApply");
    if (!dryRun) state.noteComingBack(ref, observer.get(ref)?.health === Health.Terminating);
    // What is being deleted still, and wanted again, is not there for good: only reported, nobody would make it anew when it is gone.
    if (state.driftModes.of(turn.bundle, ref) !== DriftMode.Correct && observer.get(ref)?.health === Health.Terminating)
      throw new CodedError(
        "OBJECT_TERMINATING",
        `${describeObjectRef(parseObjectRef(ref))} is being deleted, and made anew when it is gone`,
      );
    // What a newer slice wants of it is not known to have been done, though it may be the same manifest.
    if (state.desired === turn.desired) state.lastApplied.set(ref, line.digest);
    state.failures.delete(ref);
    noteAction(phase, turn, ref, result.action);
    // What a dry run would have created has a UID that never was.
    if (!dryRun && uid !== result.uid) state.newUids.set(ref, result.uid);
    if (result.adopted) turn.adopted.set(ref, result.adopted);
    if (wasDrifted) {
      state.noteCorrection(ref);
      turn.corrected.push(ref);
    }
  } catch (error) {
    if (signal.aborted) throw error;
    // Given up on the way, perhaps between its deletion and its making anew: whether it is as it is to be, nobody knows.
    if (!observer.get(ref) && state.lastApplied.has(ref)) state.lastApplied.set(ref, UNSURE);
    // A newer slice came meanwhile, and forgot all waiting: what it wants has not failed yet.
    if (!isDue()) return;
    noteAction(phase, turn, ref, Action.Failed);
    note(phase, ref, turn.bundle, quarantined(ref, error));
  }
}

function isKnownBundle({ desired, inventory }: ClusterState, name: string): boolean {
  return (desired?.slice.bundles ?? []).some((bundle) => bundle.name === name) || bundlesOf(inventory).has(name);
}

function noteAction(phase: ApplyPhase, turn: Turn, ref: ObjectRefText, action: Action): void {
  phase.state.lastAction.set(ref, action);
  turn.counts[action] = (turn.counts[action] ?? 0) + 1;
}

/** Custom resources need their kind: wait until new CRDs serve, then ask discovery again (E001). */
async function waitForDefinitions(
  phase: ApplyPhase,
  turn: Turn,
  rank: Rank,
  lines: readonly ManifestLine[],
  before: ReadonlySet<ObjectRefText>,
  signal: AbortSignal,
): Promise<void> {
  if (rank !== Rank.Definitions) return;
  const isThere = ({ ref }: ManifestLine) => !phase.state.failures.has(ref) && phase.observer.get(ref)?.drift?.kind !== DriftKind.Missing;
  const crds = lines.filter((line) => line.head.kind === "CustomResourceDefinition" && isThere(line));
  if (crds.length === 0) return;
  const { bundle, superseded } = turn;
  const either = AbortSignal.any([signal, superseded]);
  await forEachLimited(crds, phase.concurrency, async (line) => {
    // One that was waited for in vain must not hold up every later pass.
    const timeoutMs = before.has(line.ref) ? 100 : 10_000;
    await phase.applier.waitEstablished(line.ref, either, timeoutMs).catch((error: unknown) => {
      if (signal.aborted) throw error;
      // A newer slice has come, which waits for nothing of this one (E136).
      if (superseded.aborted) return;
      note(phase, line.ref, bundle, CodedError.from(error));
    });
  });
  if (superseded.aborted) return;
  phase.failpoint("agent.afterDefinitions");
  await phase.discovery.refresh({ minAgeMs: 0, signal });
}

/** Notes a failure; says so once, not at every try. */
function note(phase: ApplyPhase, ref: ObjectRefText, bundle: string, error: CodedError): void {
  const known = phase.state.failures.get(ref)?.error.code;
  phase.state.fail(phase.state.failures, ref, bundle, error);
  if (known === error.code) return;
  phase.logger.warn(
    { [LogField.Code]: error.code, [LogField.Bundle]: bundle, [LogField.Object]: describeObjectRef(parseObjectRef(ref)) },
    error.message,
  );
}

function needsApply(phase: ApplyPhase, line: ManifestLine, bundle: string, gated: boolean): boolean {
  const { state, observer } = phase;
  if (state.ahead.has(line.ref) || state.mustWait(state.failures, line.ref)) return false;
  if (!state.isApplied(line)) return !gated;
  const drifted = observer.get(line.ref)?.drift !== undefined;
  if (drifted) return state.driftModes.of(bundle, line.ref) === DriftMode.Correct && state.correctionDelayMs(line.ref) === 0;
  return state.failures.has(line.ref);
}

/** What a bundle must wait for; empty if for nothing (E009, E011). */
async function gateOf(phase: ApplyPhase, bundle: string, options: BundleOptions, signal: AbortSignal): Promise<readonly Blocker[]> {
  const { state, observer, rules, readiness } = phase;
  const bundles = state.desired?.slice.bundles ?? [];
  const gate = options.dependsOn.flatMap((name): Blocker[] => {
    const blocked = (why: string) => [{ what: name, message: `It depends on the bundle ${name}, ${why}` }];
    const dependency = bundles.find((one) => one.name === name);
    if (!dependency) return blocked("which this cluster does not have");
    const report = reportBundle(dependency, state, observer, { pausedAsItIs: true, forDependents: true });
    if (report.state !== SyncState.Synced) return blocked(`which is ${state.paused.has(name) ? "paused" : report.state}`);
    return report.health === Health.Current ? [] : blocked(`whose health is ${report.health}`);
  });
  // Objects are asked only where the bundles themselves are in order, and somebody waits for them.
  const isWaiting = gate.length === 0 && !options.paused && state.linesOf(bundle).some((line) => !state.isApplied(line));
  return isWaiting ? readiness.blockers(rules.of(bundle).ready, signal) : gate;
}
