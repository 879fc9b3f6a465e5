import type { Budget } from "./budget.ts";
import { fail } from "./failure.ts";
import { type CelValue, Double, Duration, isList, isNumber, Timestamp, toNumber, typeOf } from "./values.ts";

const MIN_INT = -(2n ** 63n);
const MAX_INT = 2n ** 63n - 1n;

/** An integer as CEL has them, of 64 bits. */
export function int(value: bigint): bigint {
  return value < MIN_INT || value > MAX_INT ? fail("the integer is too large") : value;
}

/** `a + b` and the like. */
export function arithmetic(operator: string, a: CelValue, b: CelValue, budget: Budget): CelValue {
  if (typeof a === "bigint" && typeof b === "bigint") return int(ofIntegers(operator, a, b));
  if (isNumber(a) && isNumber(b)) return new Double(ofDoubles(operator, toNumber(a), toNumber(b)));
  if (operator === "+") {
    if (typeof a === "string" && typeof b === "string") {
      budget.chargeText(a.length + b.length);
      return a + b;
    }
    if (isList(a) && isList(b)) {
      budget.charge((a.length + b.length) / 4);
      return [...a, ...b];
    }
  }
  return ofTimes(operator, a, b) ?? fail(`${typeOf(a)} ${operator} ${typeOf(b)} is not defined`);
}

function ofIntegers(operator: string, a: bigint, b: bigint): bigint {
  if (operator === "+") return a + b;
  if (operator === "-") return a - b;
  if (operator === "*") return a * b;
  if (b === 0n) return fail("division by zero");
  return operator === "/" ? a / b : a % b;
}

function ofDoubles(operator: string, a: number, b: number): number {
  if (operator === "+") return a + b;
  if (operator === "-") return a - b;
  if (operator === "*") return a * b;
  return operator === "/" ? a / b : fail("double % double is not defined");
}

function ofTimes(operator: string, a: CelValue, b: CelValue): CelValue | undefined {
  const sign = operator === "+" ? 1n : -1n;
  if (operator !== "+" && operator !== "-") return undefined;
  if (a instanceof Timestamp && b instanceof Duration) return new Timestamp(a.nanos + sign * b.nanos);
  if (a instanceof Duration && b instanceof Duration) return new Duration(a.nanos + sign * b.nanos);
  if (a instanceof Duration && b instanceof Timestamp && operator === "+") return new Timestamp(a.nanos + b.nanos);
  if (a instanceof Timestamp && b instanceof Timestamp && operator === "-") return new Duration(a.nanos - b.nanos);
  return undefined;
}
