import { type CelFunction, integer, needString } from "./arguments.ts";
import { int } from "./arithmetic.ts";
import type { Budget } from "./budget.ts";
import { fail } from "./failure.ts";
import { LIST_FUNCTIONS } from "./list-functions.ts";
import { approximate, formatDuration, formatTimestamp, parseDuration, parseQuantity, parseTimestamp, wholeOf } from "./notations.ts";
import { STRING_FUNCTIONS } from "./string-functions.ts";
import { type CelValue, Double, Duration, isList, isMap, Optional, Quantity, Timestamp, typeOf } from "./values.ts";

const SECOND = 1_000_000_000n;

/** Every function, by its name (with a dot before it if it is called on a value) and the number of its arguments, the receiver among them. */
export const FUNCTIONS: Readonly<Record<string, CelFunction>> = {
  "size/1": ([value], budget) => sizeOf(value, budget),
  ".size/1": ([value], budget) => sizeOf(value, budget),
  "dyn/1": ([value = null]) => value,
  "int/1": ([value], budget) => toInt(value, budget),
  "double/1": ([value], budget) => toDouble(value, budget),
  "string/1": ([value], budget) => toText(value, budget),
  "bool/1": ([value]) => {
    if (value === true || value === "true") return true;
    return value === false || value === "false" ? false : fail(`bool(${describe(value)}) is not defined`);
  },
  "timestamp/1": ([value]) => (value instanceof Timestamp ? value : parseTimestamp(needString(value, "timestamp()"))),
  "duration/1": ([value]) => (value instanceof Duration ? value : parseDuration(needString(value, "duration()"))),
  ".getHours/1": ([value]) => needDuration(value) / (3_600n * SECOND),
  ".getMinutes/1": ([value]) => needDuration(value) / (60n * SECOND),
  ".getSeconds/1": ([value]) => needDuration(value) / SECOND,
  "quantity/1": ([value]) => parseQuantity(quantityText(value)) ?? fail(`${describe(value)} is no quantity`),
  "isQuantity/1": ([value]) => parseQuantity(quantityText(value)) !== undefined,
  ".isGreaterThan/2": ([a, b]) => needQuantity(a) > needQuantity(b),
  ".isLessThan/2": ([a, b]) => needQuantity(a) < needQuantity(b),
  ".compareTo/2": ([a, b]) => sign(needQuantity(a) - needQuantity(b)),
  ".sign/1": ([value]) => sign(needQuantity(value)),
  ".add/2": ([a, b]) => new Quantity(needQuantity(a) + amount(b)),
  ".sub/2": ([a, b]) => new Quantity(needQuantity(a) - amount(b)),
  ".isInteger/1": ([value]) => wholeOf(new Quantity(needQuantity(value))) !== undefined,
  ".asInteger/1": ([value]) => int(wholeOf(new Quantity(needQuantity(value))) ?? fail("the quantity is no integer")),
  ".asApproximateFloat/1": ([value]) => new Double(approximate(new Quantity(needQuantity(value)))),
  ".hasValue/1": ([value]) => needOptional(value).value !== undefined,
  ".value/1": ([value]) => needOptional(value).value ?? fail("the optional has no value"),
  ".orValue/2": ([value, other = null]) => needOptional(value).value ?? other,
  ".or/2": ([value, other]) => (needOptional(value).value === undefined ? needOptional(other) : needOptional(value)),
  ...STRING_FUNCTIONS,
  ...LIST_FUNCTIONS,
};

function describe(value: CelValue | undefined): string {
  return typeOf(value ?? null);
}

function sizeOf(value: CelValue = null, budget: Budget): bigint {
  if (typeof value === "string") {
    budget.chargeText(value.length);
    let size = 0n;
    for (const _ of value) size++;
    return size;
  }
  if (isList(value)) return BigInt(value.length);
  if (!isMap(value)) return fail(`size(${typeOf(value)}) is not defined`);
  const { length } = Object.keys(value);
  budget.charge(length / 4);
  return BigInt(length);
}

function toInt(value: CelValue = null, budget: Budget): bigint {
  if (typeof value === "bigint") return value;
  if (value instanceof Double)
    return Number.isFinite(value.value) ? int(BigInt(Math.trunc(value.value))) : fail("the number is not finite");
  if (value instanceof Timestamp) return value.nanos / SECOND;
  if (typeof value !== "string") return fail(`int(${typeOf(value)}) is not defined`);
  budget.chargeText(value.length);
  return /^[+-]?\d{1,19}$/.test(value) ? int(BigInt(value.replace("+", ""))) : fail("int() of a text that is no integer");
}

function toDouble(value: CelValue = null, budget: Budget): Double {
  if (value instanceof Double) return value;
  if (typeof value === "bigint") return new Double(Number(value));
  if (typeof value !== "string") return fail(`double(${typeOf(value)}) is not defined`);
  budget.chargeText(value.length);
  return /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(value) ? new Double(Number(value)) : fail("double() of a text that is no number");
}

function toText(value: CelValue = null, budget: Budget): string {
  if (typeof value === "string") return value;
  budget.charge(1);
  if (typeof value === "bigint" || typeof value === "boolean") return String(value);
  if (value instanceof Double) return String(value.value);
  if (value instanceof Timestamp) return formatTimestamp(value);
  if (value instanceof Duration) return formatDuration(value);
  return fail(`string(${typeOf(value)}) is not defined`);
}

function needDuration(value: CelValue = null): bigint {
  return value instanceof Duration ? value.nanos : fail(`a duration is needed, not ${typeOf(value)}`);
}

/** Kubernetes writes whole amounts as numbers, too. */
function quantityText(value: CelValue = null): string {
  if (typeof value === "bigint") return String(value);
  return value instanceof Double ? String(value.value) : needString(value, "quantity()");
}

function needQuantity(value: CelValue = null): bigint {
  return value instanceof Quantity ? value.nanos : fail(`a quantity is needed, not ${typeOf(value)}`);
}

function amount(value: CelValue | undefined): bigint {
  return typeof value === "bigint" ? integer(value) * SECOND : needQuantity(value);
}

function sign(value: bigint): bigint {
  if (value === 0n) return 0n;
  return value < 0n ? -1n : 1n;
}

function needOptional(value: CelValue = null): Optional {
  return value instanceof Optional ? value : fail(`an optional is needed, not ${typeOf(value)}`);
}
