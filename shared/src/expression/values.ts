import type { Budget } from "./budget.ts";
import { fail } from "./failure.ts";

/** A floating-point number; integers are bigint. Boxed, because a bare number is one that JSON holds and that nobody has looked at yet. */
export class Double {
  readonly value: number;

  constructor(value: number) {
    this.value = value;
  }
}

/** A point in time, in nanoseconds since 1970. */
export class Timestamp {
  readonly nanos: bigint;

  constructor(nanos: bigint) {
    this.nanos = nanos;
  }
}

/** A span of time, in nanoseconds. */
export class Duration {
  readonly nanos: bigint;

  constructor(nanos: bigint) {
    this.nanos = nanos;
  }
}

/** An amount as Kubernetes writes it, in billionths. */
export class Quantity {
  readonly nanos: bigint;

  constructor(nanos: bigint) {
    this.nanos = nanos;
  }
}

/** A value that may be absent. */
export class Optional {
  readonly value: CelValue | undefined;

  constructor(value: CelValue | undefined) {
    this.value = value;
  }
}

/** A list of an object from JSON, or one that an expression made. */
export type CelList = readonly (CelValue | number)[];

/** The same for maps; keys are text. */
export interface CelMap {
  readonly [key: string]: CelValue | number;
}

export type CelValue = null | boolean | string | bigint | Double | Timestamp | Duration | Quantity | Optional | CelList | CelMap;

/** A member of a list or map, which may be a number as JSON gives it. */
export function fromJson(value: CelValue | number): CelValue {
  if (typeof value !== "number") return value;
  return Number.isSafeInteger(value) ? BigInt(value) : new Double(value);
}

export function isList(value: CelValue): value is CelList {
  return Array.isArray(value);
}

export function isMap(value: CelValue): value is CelMap {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !isBoxed(value);
}

function isBoxed(value: object): value is Double | Timestamp | Duration | Quantity | Optional {
  return (
    value instanceof Double ||
    value instanceof Timestamp ||
    value instanceof Duration ||
    value instanceof Quantity ||
    value instanceof Optional
  );
}

/** The member of a map; undefined if it has none. */
export function member(map: CelMap, key: string): CelValue | undefined {
  const value = Object.hasOwn(map, key) ? map[key] : undefined;
  return value === undefined ? undefined : fromJson(value);
}

/** For messages. */
export function typeOf(value: CelValue): string {
  if (value === null) return "null";
  if (typeof value === "bigint") return "int";
  if (typeof value === "boolean") return "bool";
  if (typeof value === "string") return "string";
  if (value instanceof Double) return "double";
  if (value instanceof Timestamp) return "timestamp";
  if (value instanceof Duration) return "duration";
  if (value instanceof Quantity) return "quantity";
  if (value instanceof Optional) return "optional";
  return isList(value) ? "list" : "map";
}

/** Values of different types are not equal, save that numbers are compared as numbers. */
export function equal(a: CelValue, b: CelValue, budget: Budget): boolean {
  budget.charge(1);
  if (a === b) return true;
  if (typeof a === "string" && typeof b === "string") {
    budget.chargeText(Math.min(a.length, b.length));
    return a === b;
  }
  if (typeof a !== "object" && typeof b !== "object") return false;
  if (isNumber(a) && isNumber(b)) return toNumber(a) === toNumber(b);
  if (a === null || b === null || typeof a !== "object" || typeof b !== "object") return false;
  if (isList(a)) return isList(b) && equalLists(a, b, budget);
  if (isMap(a)) return isMap(b) && equalMaps(a, b, budget);
  if (a instanceof Optional) return b instanceof Optional && equalOptionals(a, b, budget);
  if (a instanceof Double || a.constructor !== b.constructor) return false;
  return a.nanos === (b as Timestamp | Duration | Quantity).nanos;
}

function equalLists(a: CelList, b: CelList, budget: Budget): boolean {
  return a.length === b.length && a.every((element, index) => equal(fromJson(element), fromJson(b[index] ?? null), budget));
}

function equalOptionals(a: Optional, b: Optional, budget: Budget): boolean {
  return a.value === undefined || b.value === undefined ? a.value === b.value : equal(a.value, b.value, budget);
}

function equalMaps(a: CelMap, b: CelMap, budget: Budget): boolean {
  const [keys, others] = [Object.keys(a), Object.keys(b)];
  // Either may be the large one, and to list its keys is what costs.
  budget.charge(keys.length + others.length);
  if (keys.length !== others.length) return false;
  return keys.every((key) => {
    const [mine, theirs] = [member(a, key), member(b, key)];
    return mine !== undefined && theirs !== undefined && equal(mine, theirs, budget);
  });
}

export function isNumber(value: CelValue): value is bigint | Double {
  return typeof value === "bigint" || value instanceof Double;
}

export function toNumber(value: bigint | Double): number {
  return typeof value === "bigint" ? Number(value) : value.value;
}

/** Negative, 0 or positive; NaN if one is no number. Fails if the two have no order. */
export function compare(a: CelValue, b: CelValue, budget: Budget): number {
  if (typeof a === "bigint" && typeof b === "bigint") return a < b ? -1 : Number(a > b);
  if (isNumber(a) && isNumber(b)) return order(toNumber(a), toNumber(b));
  if (typeof a === "string" && typeof b === "string") {
    budget.chargeText(Math.min(a.length, b.length));
    return order(a, b);
  }
  if (typeof a === "boolean" && typeof b === "boolean") return Number(a) - Number(b);
  if ((a instanceof Timestamp && b instanceof Timestamp) || (a instanceof Duration && b instanceof Duration))
    return order(a.nanos, b.nanos);
  return fail(`${typeOf(a)} and ${typeOf(b)} have no order`);
}

function order<T extends number | string | bigint>(a: T, b: T): number {
  if (a < b) return -1;
  if (a > b) return 1;
  return a === b ? 0 : Number.NaN;
}
