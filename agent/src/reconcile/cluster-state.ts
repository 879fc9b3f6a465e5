import { CodedError } from "@muster/shared/errors";
import {
  type Action,
  compareGenerations,
  type Digest,
  DriftMode,
  describeObjectRef,
  type HeldDeletion,
  type ObjectRefText,
  parseObjectRef,
  type Slice,
  type SliceBundle,
} from "@muster/shared/model";
import { type Backoff, type Clock, createBackoff, type Random } from "@muster/shared/runtime";
import type { ManifestLine } from "@muster/shared/wire";
import { askedDelayMs } from "../kube/map-error.ts";
import { type AppliedAs, EMPTY_INVENTORY, type Inventory, type InventoryEntry, UNSURE } from "../plan/inventory.ts";
import { contentOf, type DesiredState } from "../pull/desired-state.ts";
import { DriftModes } from "./drift-modes.ts";
import { FlapCounter } from "./flap-counter.ts";

/** Why one object is not as it should be, and when it is tried again. */
export interface Failure {
  readonly error: CodedError;
  readonly bundle: string;
  /** Monotonic milliseconds. */
  retryAtMs: number;
  readonly backoff: Backoff;
}

/** Something that a bundle waits for. */
export interface Blocker {
  /** The bundle, and the object and its expression if it is one of it. */
  readonly what: string;
  /** A sentence for people. */
  readonly message: string;
}

/** Something that is not ours to do, and when to look again whether it was done. */
export interface Waiting {
  /** For people. */
  readonly message: string;
  /** It has taken so long that somebody should look. */
  readonly stuck?: CodedError;
  /** Monotonic milliseconds. */
  retryAtMs: number;
  readonly backoff: Backoff;
}

/** Finalizers that take longer than this are nobody's work any more, as far as one can tell. Milliseconds. */
const STUCK_AFTER_MS = 600_000;

/** More corrections of one object in a minute than this are a fight with another controller (E039). */
const FIGHT_PER_MINUTE = 5;

/** First and longest wait before a correction in a fight, in milliseconds. */
const FIGHT_WAIT_MS = { first: 2_000, longest: 60_000 };

/** The latest corrections of one object. */
interface Corrections {
  /** Monotonic milliseconds, within a minute before the last one. */
  readonly at: readonly number[];
  /** How often it was corrected since this became a fight; 0 while it is none. */
  readonly rounds: number;
}

/** All that the reconcile loop remembers. Everything but `lastApplied` and the failures is also kept in the cluster. */
export class ClusterState {
  #desired: DesiredState | undefined;
  #lines: ReadonlyMap<string, readonly ManifestLine[]> = new Map();
  inventory: Inventory = EMPTY_INVENTORY;
  /** The desired state came out of the cluster, where an earlier process had kept it. */
  resumed = false;
  /** Per object, what this process applied last. */
  readonly lastApplied = new Map<ObjectRefText, AppliedAs>();
  /** Objects that were applied while they were being deleted: they are to be made anew when they are gone, whatever their drift mode is by then. */
  readonly comingBack = new Set<ObjectRefText>();
  /** Jobs that were seen to complete and remove themselves, with the digest that they ran as; kept with the inventory. */
  readonly finished = new Map<ObjectRefText, Digest>();
  /** UIDs that the inventory does not have yet: a pass may end before they are written. */
  readonly newUids = new Map<ObjectRefText, string>();
  /** What the last apply of this process did to each object. */
  readonly lastAction = new Map<ObjectRefText, Action>();
  readonly failures = new Map<ObjectRefText, Failure>();
  /** Deletions that did not go through. */
  readonly pruneFailures = new Map<ObjectRefText, Failure>();
  /** Bundles that wait for other ones, with the reasons. */
  readonly gates = new Map<string, readonly Blocker[]>();
  /** Bundles of which an expression cannot be read. */
  readonly ruleProblems = new Map<string, CodedError>();
  readonly flaps: FlapCounter;
  /** Monotonic milliseconds at which what others wait for is to be looked at again, though nothing has told that it changed. */
  lookAgainAtMs: number | undefined;
  /** Admission objects that a newer slice has the say in already, though it could not be kept yet (E014). */
  readonly ahead = new Set<ObjectRefText>();
  held: HeldDeletion | undefined;
  driftModes = new DriftModes(undefined, () => []);
  /** Per bundle, objects that an earlier bundle of the slice has as well. */
  duplicates: ReadonlyMap<string, ReadonlySet<ObjectRefText>> = new Map();
  /** Bundles of which nothing is applied, corrected or deleted. */
  paused: ReadonlySet<string> = new Set();
  /** What left a paused bundle, and waits for the end of the pause. */
  frozen: readonly InventoryEntry[] = [];
  /** Why the last pass came to no end; while there is one, no bundle is where Git wants it. */
  passProblem: CodedError | undefined;
  /** Left Git, but stand where nothing is ever deleted. */
  protected: readonly ObjectRefText[] = [];
  /** Left Git, stand where nothing is ever deleted, and are looked at now and then: somebody may delete them by hand. */
  readonly shielded = new Map<ObjectRefText, Pick<Waiting, "retryAtMs" | "backoff">>();
  /** Deleted, but finalizers are outstanding. */
  readonly terminating = new Map<ObjectRefText, Waiting>();
  readonly #corrections = new Map<ObjectRefText, Corrections>();
  #coming: { readonly slice: Slice; readonly bundles: ReadonlySet<string> } | undefined;
  #superseded = new AbortController();
  readonly #clock: Clock;
  readonly #random: Random;

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
    this.flaps = new FlapCounter(clock);
  }

  /** The slice in force. */
  get desired(): DesiredState | undefined {
    return this.#desired;
  }

  /** Aborts when another slice comes into force. */
  get superseded(): AbortSignal {
    return this.#superseded.signal;
  }

  set desired(desired: DesiredState | undefined) {
    this.#desired = desired;
    this.#superseded.abort();
    this.#superseded = new AbortController();
    this.ahead.clear();
    this.duplicates = desired ? duplicatesOf(desired.slice) : new Map();
    this.paused = desired ? pausedOf(desired) : new Set();
    if (desired) this.forgetComing(desired.slice);
    this.#lines = desired ? linesByBundle(desired, this.duplicates) : new Map();
    this.driftModes = new DriftModes(desired, (bundle) => this.linesOf(bundle));
    for (const ref of this.comingBack) if (this.lastApplied.has(ref) && !this.#isCorrected(ref)) this.lastApplied.set(ref, UNSURE);
  }

  /**
   * A verified slice that is to come into force, and is not kept yet. Its pauses count at once: whoever pulls the brake does not wait until
   * a cluster that is in trouble has stored a Secret. They count as long as nothing newer has come, also if the slice itself turns out
   * to be one that cannot be taken. One that is not newer than what is known says nothing. Gives true if it does.
   */
  noteComing(slice: Slice): boolean {
    const known = this.#coming?.slice ?? this.#desired?.slice;
    if (known && compareGenerations(slice, known) <= 0) return false;
    const bundles = new Set(slice.bundles.filter(isSaidPaused).map(({ name }) => name));
    this.#coming = { slice, bundles };
    return true;
  }

  /** A slice is in force, or will never be. */
  forgetComing(slice: Slice): void {
    if (this.#coming && compareGenerations(this.#coming.slice, slice) <= 0) this.#coming = undefined;
  }

  /** Whether a newer slice than the one in force is verified, and waits for its manifest sets or to be kept. */
  get isNewerComing(): boolean {
    return this.#coming !== undefined;
  }

  /** Whether a slice that is to come into force pauses a bundle. */
  isToPause(bundle: string): boolean {
    return this.#coming !== undefined && (this.#coming.slice.paused || this.#coming.bundles.has(bundle));
  }

  #isCorrected(ref: ObjectRefText): boolean {
    const bundle = this.inventory.entries.get(ref)?.bundle;
    return bundle !== undefined && this.driftModes.of(bundle, ref) === DriftMode.Correct;
  }

  /** Objects of a bundle as the slice wants them. */
  linesOf(bundle: string): readonly ManifestLine[] {
    return this.#lines.get(bundle) ?? [];
  }

  /** A Job that has run as the slice wants it and has removed itself since, or is about to (E132). */
  isFinished({ ref, digest }: Pick<ManifestLine, "ref" | "digest">): boolean {
    return this.finished.get(ref) === digest || this.inventory.entries.get(ref)?.finished === digest;
  }

  noteComingBack(ref: ObjectRefText, isTerminating: boolean): void {
    if (isTerminating) this.comingBack.add(ref);
    else this.comingBack.delete(ref);
  }

  /** What an object was applied as counts no more; that nobody knows what it is stays true. */
  forgetApplied(ref: ObjectRefText): void {
    if (this.lastApplied.get(ref) !== UNSURE) this.lastApplied.delete(ref);
  }

  /** There is nothing to apply: this process has done it, or it has run its course. */
  isApplied(line: Pick<ManifestLine, "ref" | "digest">): boolean {
    return this.lastApplied.get(line.ref) === line.digest || this.isFinished(line);
  }

  /** Notes a failure and when to try again: soon if it may pass by itself, rarely if somebody must act. */
  fail(map: Map<ObjectRefText, Failure>, ref: ObjectRefText, bundle: string, error: CodedError): void {
    const known = map.get(ref);
    const sameKind = known && known.error.code === error.code;
    const backoff = sameKind
      ? known.backoff
      : createBackoff(
          error.retryable
            ? { initialMs: 500, maxMs: 60_000, random: this.#random }
            : { initialMs: 30_000, maxMs: 300_000, random: this.#random },
        );
    const delay = Math.max(backoff.next(), askedDelayMs(error, this.#random));
    map.set(ref, { error, bundle, backoff, retryAtMs: this.#clock.monotonicMs() + delay });
  }

  /**
   * Notes that an object is being deleted since a time (RFC 3339); it is looked at ever more rarely, for a finalizer may be forgotten by all
   * (E103). Gives an error once that has lasted too long (E075).
   */
  noteTerminating(ref: ObjectRefText, message: string, since: string): CodedError | undefined {
    const known = this.terminating.get(ref);
    const backoff = known?.backoff ?? createBackoff({ initialMs: 1_000, maxMs: 30_000, random: this.#random });
    const isStuck = this.#clock.wallMs() - Date.parse(since) > STUCK_AFTER_MS;
    const stuck = isStuck ? new CodedError("PRUNE_STUCK", `${describeObjectRef(parseObjectRef(ref))} left Git; ${message}`) : undefined;
    this.terminating.set(ref, { message, backoff, retryAtMs: this.#clock.monotonicMs() + backoff.next(), ...(stuck && { stuck }) });
    return known?.stuck ? undefined : stuck;
  }

  /** Notes that an object will not be deleted, and when to look at it again. */
  noteShielded(ref: ObjectRefText): void {
    const backoff = this.shielded.get(ref)?.backoff ?? createBackoff({ initialMs: 30_000, maxMs: 300_000, random: this.#random });
    this.shielded.set(ref, { backoff, retryAtMs: this.#clock.monotonicMs() + backoff.next() });
  }

  /** What is to be looked at again at some time. */
  get #waiting(): { retryAtMs: number }[] {
    return [this.failures, this.pruneFailures, this.terminating, this.shielded].flatMap((map) => [...map.values()]);
  }

  /** True if a failure, or an object that is being deleted, is to be waited for still. */
  mustWait(map: ReadonlyMap<ObjectRefText, { readonly retryAtMs: number }>, ref: ObjectRefText): boolean {
    const waiting = map.get(ref);
    return waiting !== undefined && waiting.retryAtMs > this.#clock.monotonicMs();
  }

  /** Forgets all waiting: somebody asked for a try now. */
  retryNow(): void {
    for (const waiting of this.#waiting) waiting.retryAtMs = 0;
    this.#corrections.clear();
  }

  /** Tries these again in the next pass. */
  retrySoon(refs: Iterable<ObjectRefText>): void {
    for (const ref of refs) {
      const failure = this.failures.get(ref);
      if (failure) failure.retryAtMs = this.#clock.monotonicMs();
    }
  }

  /** Notes a correction of drift. */
  noteCorrection(ref: ObjectRefText): void {
    const now = this.#clock.monotonicMs();
    const known = this.#corrections.get(ref);
    const at = [...(known?.at ?? []).filter((one) => now - one < 60_000), now];
    const going = known !== undefined && !this.#isOver(known);
    this.#corrections.set(ref, {
      at,
      rounds: (going ? known.rounds : 0) + (at.length >= FIGHT_PER_MINUTE || (going && known.rounds > 0) ? 1 : 0),
    });
  }

  /** True while somebody changes an object back each time that it is corrected. */
  isFoughtOver(ref: ObjectRefText): boolean {
    const known = this.#corrections.get(ref);
    return known !== undefined && known.rounds > 0 && !this.#isOver(known);
  }

  /** Milliseconds until an object that somebody fights for may be corrected again; 0 if it may be now. */
  correctionDelayMs(ref: ObjectRefText): number {
    const known = this.#corrections.get(ref);
    return known ? Math.max(0, (known.at.at(-1) ?? 0) + fightWaitMs(known) - this.#clock.monotonicMs()) : 0;
  }

  /** The other one had its chance, and a minute more, and left it. */
  #isOver(corrections: Corrections): boolean {
    return this.#clock.monotonicMs() - (corrections.at.at(-1) ?? 0) > fightWaitMs(corrections) + 60_000;
  }

  /**
   * Milliseconds until the next thing is due by itself; undefined if nothing is. What was due when the last pass began and
   * was not tried then waits for something else (a dependency, the end of a pause), and is no reason to wake up.
   */
  nextDueMs(passBeganMs: number): number | undefined {
    const now = this.#clock.monotonicMs();
    const due = this.#waiting.filter((waiting) => waiting.retryAtMs > passBeganMs).map((waiting) => waiting.retryAtMs - now);
    if (this.lookAgainAtMs !== undefined && this.lookAgainAtMs > passBeganMs) due.push(this.lookAgainAtMs - now);
    for (const [ref, corrections] of this.#corrections) {
      const delay = this.correctionDelayMs(ref);
      if (delay > 0) due.push(delay);
      if (this.#isOver(corrections)) this.#corrections.delete(ref);
    }
    return due.length === 0 ? undefined : Math.max(10, Math.min(...due));
  }
}

/** An object that moved from a kept bundle to one that the slice knows belongs to the latter, or the two would fight for it. */
function linesByBundle(
  desired: DesiredState,
  duplicates: ReadonlyMap<string, ReadonlySet<ObjectRefText>>,
): ReadonlyMap<string, readonly ManifestLine[]> {
  const known = new Set(desired.slice.bundles.flatMap((bundle) => (bundle.state === "desired" ? bundle.objects : [])));
  const lines = new Map(desired.bundles);
  for (const name of desired.kept.keys())
    lines.set(
      name,
      (lines.get(name) ?? []).filter((line) => !known.has(line.ref)),
    );
  for (const [name, refs] of duplicates)
    lines.set(
      name,
      (lines.get(name) ?? []).filter((line) => !refs.has(line.ref)),
    );
  return lines;
}

function isSaidPaused(bundle: SliceBundle): boolean {
  return (bundle.state === "desired" ? bundle.options.paused : bundle.paused) === true;
}

/** A kept bundle is paused as the slice that keeps it says or, if it does not, as it was. */
function pausedOf(desired: DesiredState): ReadonlySet<string> {
  return new Set(desired.slice.bundles.filter((bundle) => contentOf(bundle, desired)?.options.paused).map((bundle) => bundle.name));
}

/** The hub refuses an object that two bundles have. If such a slice comes all the same, the first one has it, or the two would fight (E091). */
function duplicatesOf(slice: Slice): ReadonlyMap<string, ReadonlySet<ObjectRefText>> {
  const seen = new Set<ObjectRefText>();
  const duplicates = new Map<string, Set<ObjectRefText>>();
  for (const bundle of slice.bundles) {
    const refs = bundle.state === "desired" ? bundle.objects : [];
    const again = refs.filter((ref) => seen.has(ref));
    if (again.length > 0) duplicates.set(bundle.name, new Set(again));
    for (const ref of refs) seen.add(ref);
  }
  return duplicates;
}

/** How long one side of a fight waits after its last correction: twice as long each time. */
function fightWaitMs({ rounds }: Corrections): number {
  return rounds === 0 ? 0 : Math.min(FIGHT_WAIT_MS.longest, FIGHT_WAIT_MS.first * 2 ** (rounds - 1));
}
