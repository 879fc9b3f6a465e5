import { type CelFunction, needList } from "./arguments.ts";
import { arithmetic } from "./arithmetic.ts";
import type { Budget } from "./budget.ts";
import { fail } from "./failure.ts";
import { type CelList, type CelValue, compare, equal, fromJson } from "./values.ts";

/** Functions that are called on lists, as Kubernetes adds them to CEL. */
export const LIST_FUNCTIONS: Readonly<Record<string, CelFunction>> = {
  ".sum/1": ([value], budget) => {
    const list = elements(value, budget, "sum");
    // An integer of 0 is a sum with nothing in it, whatever there might have been.
    return list.length === 0 ? 0n : list.reduce((sum, element) => arithmetic("+", sum, element, budget));
  },
  ".min/1": ([value], budget) => extreme(elements(value, budget, "min"), (order) => order < 0, budget),
  ".max/1": ([value], budget) => extreme(elements(value, budget, "max"), (order) => order > 0, budget),
  ".isSorted/1": ([value], budget) => {
    const list = elements(value, budget, "isSorted");
    return list.every((element, at) => at === 0 || compare(list[at - 1] ?? null, element, budget) <= 0);
  },
};

function elements(value: CelValue | undefined, budget: Budget, name: string): CelValue[] {
  const list = needList(value, `${name}()`);
  budget.charge(list.length);
  return list.map(fromJson);
}

function extreme(list: readonly CelValue[], better: (order: number) => boolean, budget: Budget): CelValue {
  const [first] = list;
  if (first === undefined) return fail("the list is empty");
  return list.reduce((best, element) => (better(compare(element, best, budget)) ? element : best), first);
}

/** -1 if it is not in the list. */
export function indexInList(list: CelList, wanted: CelValue, budget: Budget): bigint {
  return BigInt(list.findIndex((element) => equal(fromJson(element), wanted, budget)));
}

export function lastIndexInList(list: CelList, wanted: CelValue, budget: Budget): bigint {
  return BigInt(list.findLastIndex((element) => equal(fromJson(element), wanted, budget)));
}
