import type { CodedError } from "@muster/shared/errors";
import type { Action, Digest, HeldDeletion, ObjectRefText } from "@muster/shared/model";
import { type Backoff, type Clock, createBackoff, type Random } from "@muster/shared/runtime";
import type { ManifestLine } from "@muster/shared/wire";
import { EMPTY_INVENTORY, type Inventory } from "../plan/inventory.ts";
import type { DesiredState } from "../pull/desired-state.ts";

/** Why one object is not as it should be, and when it is tried again. */
export interface Failure {
  readonly error: CodedError;
  readonly bundle: string;
  /** Monotonic milliseconds. */
  retryAtMs: number;
  readonly backoff: Backoff;
}

/** More corrections of one object in a minute than this are a fight with another controller (E039). */
const FIGHT_PER_MINUTE = 5;

/** All that the reconcile loop remembers. Everything but `lastApplied` and the failures is also kept in the cluster. */
export class ClusterState {
  #desired: DesiredState | undefined;
  #lines: ReadonlyMap<string, readonly ManifestLine[]> = new Map();
  inventory: Inventory = EMPTY_INVENTORY;
  /** The desired state came out of the cluster, where an earlier process had kept it. */
  resumed = false;
  /** Per object, the digest of the manifest that this process applied last. */
  readonly lastApplied = new Map<ObjectRefText, Digest>();
  /** What the last apply of this process did to each object. */
  readonly lastAction = new Map<ObjectRefText, Action>();
  readonly failures = new Map<ObjectRefText, Failure>();
  /** Deletions that did not go through. */
  readonly pruneFailures = new Map<ObjectRefText, Failure>();
  /** Bundles that wait for another one, with the reason. */
  readonly gates = new Map<string, string>();
  held: HeldDeletion | undefined;
  /** Why the last pass came to no end; while there is one, no bundle is where Git wants it. */
  passProblem: CodedError | undefined;
  /** Left Git, but stand where nothing is ever deleted. */
  protected: readonly ObjectRefText[] = [];
  /** Deleted, but finalizers are outstanding. */
  readonly terminating = new Set<ObjectRefText>();
  readonly #corrections = new Map<ObjectRefText, number[]>();
  readonly #clock: Clock;
  readonly #random: Random;

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
  }

  /** The slice in force. */
  get desired(): DesiredState | undefined {
    return this.#desired;
  }

  set desired(desired: DesiredState | undefined) {
    this.#desired = desired;
    this.#lines = desired ? linesByBundle(desired) : new Map();
  }

  /** Objects of a bundle as the slice wants them. */
  linesOf(bundle: string): readonly ManifestLine[] {
    return this.#lines.get(bundle) ?? [];
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
    const asked = error.data["retryAfterMs"];
    const delay = Math.max(backoff.next(), typeof asked === "number" ? asked : 0);
    map.set(ref, { error, bundle, backoff, retryAtMs: this.#clock.monotonicMs() + delay });
  }

  /** True if a failure says to wait still. */
  mustWait(map: ReadonlyMap<ObjectRefText, Failure>, ref: ObjectRefText): boolean {
    const failure = map.get(ref);
    return failure !== undefined && failure.retryAtMs > this.#clock.monotonicMs();
  }

  /** Forgets all waiting: somebody asked for a try now. */
  retryNow(): void {
    for (const failure of [...this.failures.values(), ...this.pruneFailures.values()]) failure.retryAtMs = 0;
    this.#corrections.clear();
  }

  /** Notes a correction of drift; gives how many there were in the last minute. */
  noteCorrection(ref: ObjectRefText): number {
    const now = this.#clock.monotonicMs();
    const recent = (this.#corrections.get(ref) ?? []).filter((at) => now - at < 60_000);
    recent.push(now);
    this.#corrections.set(ref, recent);
    return recent.length;
  }

  /** Milliseconds until an object that somebody fights for may be corrected again; 0 if it may be now. */
  correctionDelayMs(ref: ObjectRefText): number {
    const recent = this.#corrections.get(ref) ?? [];
    const surplus = recent.length - FIGHT_PER_MINUTE;
    const last = recent.at(-1);
    if (surplus < 0 || last === undefined) return 0;
    return Math.max(0, last + Math.min(60_000, 2_000 * 2 ** surplus) - this.#clock.monotonicMs());
  }

  /**
   * Milliseconds until the next thing is due by itself; undefined if nothing is. What was due when the last pass began and
   * was not tried then waits for something else (a dependency, the end of a pause), and is no reason to wake up.
   */
  nextDueMs(passBeganMs: number): number | undefined {
    const now = this.#clock.monotonicMs();
    const due = [...this.failures.values(), ...this.pruneFailures.values()]
      .filter((failure) => failure.retryAtMs > passBeganMs)
      .map((failure) => failure.retryAtMs - now);
    if (this.terminating.size > 0) due.push(1_000);
    for (const [ref, recent] of this.#corrections) {
      const delay = this.correctionDelayMs(ref);
      if (delay > 0) due.push(delay);
      if (recent.every((at) => now - at > 60_000)) this.#corrections.delete(ref);
    }
    return due.length === 0 ? undefined : Math.max(10, Math.min(...due));
  }
}

/** An object that moved from a kept bundle to one that the slice knows belongs to the latter, or the two would fight for it. */
function linesByBundle(desired: DesiredState): ReadonlyMap<string, readonly ManifestLine[]> {
  const known = new Set(desired.slice.bundles.flatMap((bundle) => (bundle.state === "desired" ? bundle.objects : [])));
  const lines = new Map(desired.bundles);
  for (const name of desired.kept.keys())
    lines.set(
      name,
      (lines.get(name) ?? []).filter((line) => !known.has(line.ref)),
    );
  return lines;
}
