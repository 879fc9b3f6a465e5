import type { Budget } from "./budget.ts";
import { type CharSet, contains, WORD } from "./char-set.ts";
import { fail } from "./failure.ts";
import { type Assertion, type PatternNode, parsePattern } from "./pattern-syntax.ts";

/** A pattern with its repetitions written out may have no more steps. */
const MAX_STEPS = 2_000;
const MAX_LENGTH = 1_000;

type Step =
  | { readonly type: "set"; readonly set: CharSet }
  | { readonly type: "assert"; readonly what: Assertion }
  | { readonly type: "split"; readonly to: readonly number[] }
  | { readonly type: "match" };

/**
 * A regular expression that is matched without going back: all ways through it are followed at once, character by character, and each step of
 * each of them is paid for. JavaScript's own tries one way after another, which takes time exponential in the text for patterns as short
 * as `(a+)+$`.
 */
export class Pattern {
  readonly #steps: readonly Step[];
  /** The position at which each step was last gone through; positions are counted on from text to text, so that nothing needs to be reset. */
  readonly #seen: Float64Array;
  /** Steps that wait for the next character. */
  readonly #threads: Int32Array;
  #waiting = 0;
  #position = 0;
  /** Steps that are still to be gone through at this position. */
  readonly #open: number[] = [];

  /** Throws a Failure if the text is no pattern. Reading it costs too, also if it is none. */
  constructor(text: string, budget: Budget) {
    if (text.length > MAX_LENGTH) fail(`the pattern is longer than ${MAX_LENGTH} characters`);
    budget.charge(10 + text.length);
    this.#steps = assemble(parsePattern(text), budget);
    this.#seen = new Float64Array(this.#steps.length);
    this.#threads = new Int32Array(this.#steps.length);
  }

  /** Whether it matches anywhere in the text, as `matches` of CEL says. */
  test(text: string, budget: Budget): boolean {
    let before = -1;
    let at = 0;
    this.#waiting = 0;
    for (;;) {
      const code = at < text.length ? (text.codePointAt(at) ?? 0) : -1;
      const matched = this.#follow(before, code, budget);
      if (matched || code < 0) return matched;
      before = code;
      at += code > 0xffff ? 2 : 1;
    }
  }

  /** Takes one character with all ways that wait for one, and starts a new way; true once one of them is at its end. */
  #follow(before: number, after: number, budget: Budget): boolean {
    const position = ++this.#position;
    const open = this.#open;
    let count = 0;
    for (let index = 0; index < this.#waiting; index++) {
      const step = this.#threads[index] ?? 0;
      if (contains(this.#setAt(step), before)) open[count++] = step + 1;
    }
    open[count++] = 0;
    budget.charge(1 + (this.#waiting + count) / 4);
    this.#waiting = 0;
    let visited = 0;
    while (count > 0) {
      const at = open[--count] ?? 0;
      if (this.#seen[at] === position) continue;
      this.#seen[at] = position;
      visited++;
      const step = this.#steps[at];
      if (step === undefined || step.type === "match") return true;
      if (step.type === "set") this.#threads[this.#waiting++] = at;
      else if (step.type === "split") for (const to of step.to) open[count++] = to;
      else if (holds(step.what, before, after)) open[count++] = at + 1;
    }
    budget.charge(visited / 2);
    return false;
  }

  #setAt(at: number): CharSet {
    const step = this.#steps[at];
    return step?.type === "set" ? step.set : [];
  }
}

function holds(what: Assertion, before: number, after: number): boolean {
  if (what === "start") return before < 0;
  if (what === "end") return after < 0;
  if (what === "lineStart") return before < 0 || before === 10;
  if (what === "lineEnd") return after < 0 || after === 10;
  const boundary = (before >= 0 && contains(WORD, before)) !== (after >= 0 && contains(WORD, after));
  return (what === "boundary") === boundary;
}

function assemble(pattern: PatternNode, budget: Budget): Step[] {
  const steps: Step[] = [];
  const add = (step: Step): number => {
    if (steps.length >= MAX_STEPS) fail(`the pattern has more than ${MAX_STEPS} steps with its repetitions written out`);
    return steps.push(step) - 1;
  };
  const write = (node: PatternNode): void => {
    // An empty part adds no step, however often it is repeated: it must be paid for too.
    budget.charge(2);
    if (node.type === "set" || node.type === "assert") add(node);
    else if (node.type === "all") for (const part of node.of) write(part);
    else if (node.type === "any") writeAny(node.of);
    else writeRepeat(node.of, node.min, node.max);
  };
  const writeAny = (branches: readonly PatternNode[]): void => {
    const [only] = branches;
    if (branches.length === 1 && only) {
      write(only);
      return;
    }
    const split = add({ type: "split", to: [] });
    const starts: number[] = [];
    const ends: number[] = [];
    for (const branch of branches) {
      starts.push(steps.length);
      write(branch);
      ends.push(add({ type: "split", to: [] }));
    }
    steps[split] = { type: "split", to: starts };
    for (const end of ends) steps[end] = { type: "split", to: [steps.length] };
  };
  const writeRepeat = (of: PatternNode, min: number, max: number): void => {
    for (let count = 0; count < min; count++) write(of);
    if (max === Number.POSITIVE_INFINITY) {
      const loop = add({ type: "split", to: [] });
      write(of);
      const end = add({ type: "split", to: [loop] });
      steps[loop] = { type: "split", to: [loop + 1, end + 1] };
      return;
    }
    const splits: number[] = [];
    for (let count = min; count < max; count++) {
      splits.push(add({ type: "split", to: [] }));
      write(of);
    }
    for (const split of splits) steps[split] = { type: "split", to: [split + 1, steps.length] };
  };
  write(pattern);
  add({ type: "match" });
  return steps;
}
