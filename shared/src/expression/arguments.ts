import type { Budget } from "./budget.ts";
import { fail } from "./failure.ts";
import { type CelList, type CelValue, isList, typeOf } from "./values.ts";

/** A function of CEL. It is given as many arguments as it says that it takes, and pays for what it does beyond a few steps. */
export type CelFunction = (args: readonly CelValue[], budget: Budget) => CelValue;

/** The argument, if it is text. */
export function needString(value: CelValue | undefined, where: string): string {
  return typeof value === "string" ? value : fail(`${where} needs a string, not ${typeOf(value ?? null)}`);
}

export function needList(value: CelValue | undefined, where: string): CelList {
  return value !== undefined && isList(value) ? value : fail(`${where} needs a list, not ${typeOf(value ?? null)}`);
}

export function integer(value: CelValue | undefined): bigint {
  return typeof value === "bigint" ? value : fail(`an integer is needed, not ${typeOf(value ?? null)}`);
}

/** An index into something with that many places; its end counts too. */
export function index(value: CelValue | undefined, length: number): number {
  const number = integer(value);
  return number < 0n || number > BigInt(length) ? fail(`index ${number} is out of range`) : Number(number);
}

/** Whether a value is true; only booleans may be asked. */
export function condition(value: CelValue): boolean {
  return typeof value === "boolean" ? value : fail(`a condition must be true or false, not ${typeOf(value)}`);
}
