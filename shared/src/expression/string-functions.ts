import { type CelFunction, index, integer, needList, needString } from "./arguments.ts";
import type { Budget } from "./budget.ts";
import { fail } from "./failure.ts";
import { indexInList, lastIndexInList } from "./list-functions.ts";
import { Pattern } from "./pattern.ts";
import { type CelValue, fromJson, isList } from "./values.ts";

/** Functions that are called on text. Places in it are counted in UTF-16 units. */
export const STRING_FUNCTIONS: Readonly<Record<string, CelFunction>> = {
  ".startsWith/2": ([text, part], budget) => paid(text, budget, "startsWith").startsWith(needString(part, "startsWith()")),
  ".endsWith/2": ([text, part], budget) => paid(text, budget, "endsWith").endsWith(needString(part, "endsWith()")),
  ".contains/2": ([text, part], budget) => find(text, part, 0, budget, "contains") >= 0,
  ".lowerAscii/1": ([text], budget) => paid(text, budget, "lowerAscii").replace(/[A-Z]+/g, (part) => part.toLowerCase()),
  ".upperAscii/1": ([text], budget) => paid(text, budget, "upperAscii").replace(/[a-z]+/g, (part) => part.toUpperCase()),
  ".trim/1": ([text], budget) => paid(text, budget, "trim").trim(),
  ".charAt/2": ([value, at]) => {
    const text = needString(value, "charAt()");
    return text.charAt(index(at, text.length));
  },
  ".indexOf/2": ([value = null, part = null], budget) =>
    isList(value) ? indexInList(value, part, budget) : BigInt(find(value, part, 0, budget, "indexOf")),
  ".indexOf/3": ([text, part, from], budget) =>
    BigInt(find(text, part, index(from, needString(text, "indexOf()").length), budget, "indexOf")),
  ".lastIndexOf/2": ([value = null, part = null], budget) =>
    isList(value) ? lastIndexInList(value, part, budget) : BigInt(findLast(value, part, budget)),
  ".substring/2": ([value, from], budget) => {
    const text = paid(value, budget, "substring");
    return text.slice(index(from, text.length));
  },
  ".substring/3": ([value, from, to], budget) => {
    const text = paid(value, budget, "substring");
    const [start, end] = [index(from, text.length), index(to, text.length)];
    return start <= end ? text.slice(start, end) : fail("substring() ends before it starts");
  },
  ".replace/3": ([value, part, by], budget) => {
    const pieces = split(value, part, -1, budget);
    return join(pieces, needString(by, "replace()"), budget);
  },
  ".replace/4": ([value, part, by, limit], budget) => {
    const count = Number(integer(limit));
    return join(split(value, part, count < 0 ? -1 : count + 1, budget), needString(by, "replace()"), budget);
  },
  ".split/2": ([value, part], budget) => split(value, part, -1, budget),
  ".split/3": ([value, part, limit], budget) => split(value, part, Number(integer(limit)), budget),
  ".join/1": ([list], budget) => join(texts(list, budget), "", budget),
  ".join/2": ([list, separator], budget) => join(texts(list, budget), needString(separator, "join()"), budget),
  ".matches/2": ([value, pattern], budget) => {
    return compilePattern(needString(pattern, "matches()"), budget).test(needString(value, "matches()"), budget);
  },
};

/** The last pattern is mostly the next one, too: an expression asks the same of every element of a list. */
let last: { text: string; pattern: Pattern } | undefined;

function compilePattern(text: string, budget: Budget): Pattern {
  if (last?.text !== text) last = { text, pattern: new Pattern(text, budget) };
  return last.pattern;
}

function paid(value: CelValue | undefined, budget: Budget, name: string): string {
  const text = needString(value, `${name}()`);
  budget.chargeText(text.length);
  return text;
}

/** In the worst case every character of the part is compared at every place of the text. */
function chargeSearch(text: string, part: string, budget: Budget): void {
  budget.charge(1 + text.length / 64 + (text.length * part.length) / 256);
}

function find(value: CelValue | undefined, part: CelValue | undefined, from: number, budget: Budget, name: string): number {
  const [text, wanted] = [needString(value, `${name}()`), needString(part, `${name}()`)];
  chargeSearch(text, wanted, budget);
  return text.indexOf(wanted, from);
}

function findLast(value: CelValue | undefined, part: CelValue | undefined, budget: Budget): number {
  const [text, wanted] = [needString(value, "lastIndexOf()"), needString(part, "lastIndexOf()")];
  chargeSearch(text, wanted, budget);
  return text.lastIndexOf(wanted);
}

/** At most so many pieces, the last with all the rest; any number of them if the limit is negative. */
function split(value: CelValue | undefined, part: CelValue | undefined, limit: number, budget: Budget): string[] {
  const [text, separator] = [needString(value, "split()"), needString(part, "split()")];
  chargeSearch(text, separator, budget);
  if (limit === 0) return [];
  const pieces: string[] = [];
  let start = 0;
  while (limit < 0 || pieces.length < limit - 1) {
    const found = separator === "" ? start + 1 : text.indexOf(separator, start);
    if (found < 0 || (separator === "" && found >= text.length)) break;
    budget.charge(0.5);
    pieces.push(text.slice(start, found));
    start = found + separator.length;
  }
  return [...pieces, text.slice(start)];
}

function texts(value: CelValue | undefined, budget: Budget): string[] {
  const list = needList(value, "join()");
  budget.charge(list.length / 4);
  return list.map((element) => needString(fromJson(element), "join()"));
}

function join(pieces: readonly string[], separator: string, budget: Budget): string {
  budget.chargeText(pieces.reduce((sum, piece) => sum + piece.length + separator.length, 0));
  return pieces.join(separator);
}
