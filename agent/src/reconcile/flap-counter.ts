import { describeObjectRef, Health, type ObjectRefText, parseObjectRef } from "@muster/shared/model";
import type { Clock } from "@muster/shared/runtime";
import type { Observation } from "../observe/observer.ts";
import type { AppliedAs } from "../plan/inventory.ts";

/** Milliseconds that are looked back over. */
const WINDOW_MS = 10 * 60_000;

/** An object that has stopped being Current so often in the window flaps. */
const FLAPS = 4;

/** Objects that are kept in mind, and times of each. */
const MAX_OBJECTS = 1_000;
const MAX_TIMES = 20;

interface Losses {
  /** What the slice wanted of it then: a new revision may make it begin anew, which is no flapping. */
  digest: AppliedAs | undefined;
  /** When it stopped being Current, monotonic milliseconds, within the window. */
  at: number[];
  wasCurrent: boolean;
  told: boolean;
}

/** Counts how often objects stop being Current though nobody wants anything else of them (E138). */
export class FlapCounter {
  readonly #objects = new Map<ObjectRefText, Losses>();
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Notes what is seen of an object. True once the object has begun to flap, and not again until it has been calm for the window. */
  note({ ref, health }: Pick<Observation, "ref" | "health">, digest: AppliedAs | undefined): boolean {
    const isCurrent = health === Health.Current;
    const known = this.#objects.get(ref);
    // Whoever has never been Current cannot stop being it, and whoever is Current for the first time has not stopped yet.
    if (!known && !isCurrent) return false;
    const losses: Losses = known && known.digest === digest ? known : { digest, at: [], wasCurrent: isCurrent, told: false };
    // The latest stand last: those that have been calm for longest are forgotten first.
    this.#objects.delete(ref);
    this.#objects.set(ref, losses);
    this.#forget();
    if (losses.wasCurrent && !isCurrent) losses.at = [...this.#recent(losses), this.#clock.monotonicMs()].slice(-MAX_TIMES);
    losses.wasCurrent = isCurrent;
    if (this.#recent(losses).length < FLAPS) losses.told = false;
    else if (!losses.told) {
      losses.told = true;
      return true;
    }
    return false;
  }

  /** How often an object that flaps has stopped being Current in the window; 0 if it does not flap. */
  count(ref: ObjectRefText): number {
    const losses = this.#objects.get(ref);
    const count = losses ? this.#recent(losses).length : 0;
    return count >= FLAPS ? count : 0;
  }

  #recent({ at }: Losses): number[] {
    const since = this.#clock.monotonicMs() - WINDOW_MS;
    return at.filter((one) => one > since);
  }

  #forget(): void {
    const [oldest] = this.#objects.keys();
    if (this.#objects.size > MAX_OBJECTS && oldest !== undefined) this.#objects.delete(oldest);
  }
}

/** A sentence for people. */
export function describeFlapping({ ref, health, message }: Observation, count: number): string {
  const now = message ? `${health}: ${message}` : health;
  return `${describeObjectRef(parseObjectRef(ref))} has stopped being healthy ${count} times in ${WINDOW_MS / 60_000} minutes; now it is ${now}`;
}
