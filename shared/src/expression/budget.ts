import { fail } from "./failure.ts";

/**
 * What one evaluation may cost: one unit for each step, more where a step's work grows with its operands. It is counted, not timed, so
 * that an expression gives the same answer on every machine, however busy. A predicate over a list of 1,000 takes about 10,000.
 */
export const MAX_COST = 100_000;

/** Counts what an evaluation costs, and ends it once that is too much. */
export class Budget {
  #left = MAX_COST;

  /** Takes units off. Throws a Failure if there are none left. */
  charge(units: number): void {
    this.#left -= units;
    if (this.#left < 0) fail(`costs more than ${MAX_COST} steps`, { costly: true });
  }

  /** For work that grows with the length of a text. */
  chargeText(length: number): void {
    this.charge(length / 16);
  }
}
