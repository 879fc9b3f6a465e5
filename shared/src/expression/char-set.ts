/** Code points as ranges, both ends counted, sorted and apart from each other. */
export type CharSet = readonly (readonly [from: number, to: number])[];

const MAX_CODE_POINT = 0x10ffff;

/** The characters of a text. */
export function charSet(text: string): CharSet {
  return union([...text].map((char): CharSet => [[char.codePointAt(0) ?? 0, char.codePointAt(0) ?? 0]]));
}

export function union(sets: readonly CharSet[]): CharSet {
  const sorted = sets.flat().sort((a, b) => a[0] - b[0]);
  const merged: [number, number][] = [];
  for (const [from, to] of sorted) {
    const last = merged.at(-1);
    if (last && from <= last[1] + 1) last[1] = Math.max(last[1], to);
    else merged.push([from, to]);
  }
  return merged;
}

export function negated(set: CharSet): CharSet {
  const result: [number, number][] = [];
  let next = 0;
  for (const [from, to] of set) {
    if (from > next) result.push([next, from - 1]);
    next = to + 1;
  }
  if (next <= MAX_CODE_POINT) result.push([next, MAX_CODE_POINT]);
  return result;
}

export function contains(set: CharSet, code: number): boolean {
  let [low, high] = [0, set.length - 1];
  while (low <= high) {
    const middle = (low + high) >> 1;
    const [from, to] = set[middle] ?? [0, -1];
    if (code < from) high = middle - 1;
    else if (code > to) low = middle + 1;
    else return true;
  }
  return false;
}

/** With the other case of every ASCII letter in it: names in Kubernetes have no other letters. */
export function foldCase(set: CharSet): CharSet {
  const shifted = (from: number, to: number, by: number): CharSet =>
    set.flatMap(([low, high]): CharSet => {
      const [first, last] = [Math.max(low, from), Math.min(high, to)];
      return first <= last ? [[first + by, last + by]] : [];
    });
  return union([set, shifted(65, 90, 32), shifted(97, 122, -32)]);
}

const DIGIT: CharSet = [[48, 57]];
const UPPER: CharSet = [[65, 90]];
const LOWER: CharSet = [[97, 122]];
const ALPHA = union([UPPER, LOWER]);
const ALNUM = union([ALPHA, DIGIT]);
/** What `\b` tells apart, too. */
export const WORD = union([ALNUM, charSet("_")]);
const SPACE = charSet("\t\n\f\r ");

const ESCAPES: Readonly<Record<string, CharSet>> = {
  d: DIGIT,
  D: negated(DIGIT),
  w: WORD,
  W: negated(WORD),
  s: SPACE,
  S: negated(SPACE),
};

/** `\d` and the like, by their letter. */
export function classEscape(letter: string): CharSet | undefined {
  return Object.hasOwn(ESCAPES, letter) ? ESCAPES[letter] : undefined;
}

const NAMED: Readonly<Record<string, CharSet>> = {
  alnum: ALNUM,
  alpha: ALPHA,
  ascii: [[0, 127]],
  blank: charSet("\t "),
  cntrl: [
    [0, 31],
    [127, 127],
  ],
  digit: DIGIT,
  graph: [[33, 126]],
  lower: LOWER,
  print: [[32, 126]],
  punct: [
    [33, 47],
    [58, 64],
    [91, 96],
    [123, 126],
  ],
  space: charSet("\t\n\v\f\r "),
  upper: UPPER,
  word: WORD,
  xdigit: [
    [48, 57],
    [65, 70],
    [97, 102],
  ],
};

/** `[:alpha:]` and the like, by their name; `^` before it is its opposite. */
export function namedClass(name: string): CharSet | undefined {
  const inverse = name.startsWith("^");
  const key = inverse ? name.slice(1) : name;
  const set = Object.hasOwn(NAMED, key) ? NAMED[key] : undefined;
  return set && inverse ? negated(set) : set;
}
