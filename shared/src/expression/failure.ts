/** What a Failure says beside its text. */
export interface FailureFacts {
  /** true: the budget ran out. */
  readonly costly?: boolean;
  /** The key that the object does not have. */
  readonly missing?: string;
}

/**
 * An evaluation that came to no value. Not an Error: it is thrown and caught within one evaluation (`a || b` is true if b is, whatever a
 * did), thousands of times over a long list, and an Error's stack would cost more than all the rest.
 */
export class Failure {
  readonly message: string;
  readonly facts: FailureFacts;

  constructor(message: string, facts: FailureFacts) {
    this.message = message;
    this.facts = facts;
  }
}

/** Ends the evaluation of a part of an expression. */
export function fail(message: string, facts: FailureFacts = {}): never {
  throw new Failure(message, facts);
}

/** What paying for an evaluation needs. */
interface Payment {
  charge(units: number): void;
}

/** To throw and catch is dear beside a step. */
const FAILURE_COST = 20;

/** A failure that another part of the expression may make good. What is none is thrown on, and so is the end of the budget. */
export function passOver(thrown: unknown, budget: Payment): Failure {
  if (!(thrown instanceof Failure) || thrown.facts.costly) throw thrown;
  budget.charge(FAILURE_COST);
  return thrown;
}
