import { type CharSet, charSet, classEscape, foldCase, namedClass, negated, union } from "./char-set.ts";
import { fail } from "./failure.ts";

/** What a pattern is made of. */
export type PatternNode =
  | { readonly type: "set"; readonly set: CharSet }
  | { readonly type: "assert"; readonly what: Assertion }
  | { readonly type: "all"; readonly of: readonly PatternNode[] }
  | { readonly type: "any"; readonly of: readonly PatternNode[] }
  | { readonly type: "repeat"; readonly of: PatternNode; readonly min: number; readonly max: number };

/** Where in the text one is: at an end of it, at an end of a line, between a word and no word, or not there. */
export type Assertion = "start" | "end" | "lineStart" | "lineEnd" | "boundary" | "noBoundary";

/** As in RE2. */
const MAX_REPEAT = 1_000;
const MAX_DEPTH = 100;
const ESCAPES: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t", f: "\f", v: "\v", a: "\x07" };

interface Flags {
  readonly ignoreCase: boolean;
  readonly dotAll: boolean;
  readonly multiline: boolean;
}

/**
 * Reads a pattern in the syntax of RE2, without `\p{…}`, `\C` and `\Q…\E`. What groups capture is of no use here: they only group.
 * Throws a Failure for everything else, so for look-around and back-references.
 */
export function parsePattern(text: string): PatternNode {
  const reader = new Reader(text);
  const node = alternatives(reader, { ignoreCase: false, dotAll: false, multiline: false }, 0);
  return reader.done ? node : reader.refuse("an unexpected )");
}

class Reader {
  readonly #chars: readonly string[];
  #at = 0;

  constructor(text: string) {
    this.#chars = [...text];
  }

  get done(): boolean {
    return this.#at >= this.#chars.length;
  }

  /** Empty at the end. */
  get next(): string {
    return this.#chars[this.#at] ?? "";
  }

  take(): string {
    const char = this.next;
    this.#at++;
    return char;
  }

  /** Takes what is next if it is that text. */
  accept(text: string): boolean {
    if (!this.looksAt(text)) return false;
    this.#at += text.length;
    return true;
  }

  looksAt(text: string): boolean {
    return [...text].every((char, index) => this.#chars[this.#at + index] === char);
  }

  /** Takes up to a character and past it; undefined, and nothing taken, if it does not come. */
  until(end: string): string | undefined {
    const found = this.#chars.indexOf(end, this.#at);
    if (found < 0) return undefined;
    const text = this.#chars.slice(this.#at, found).join("");
    this.#at = found + 1;
    return text;
  }

  /** For what may turn out to be something else. */
  attempt<T>(read: () => T | undefined): T | undefined {
    const start = this.#at;
    const result = read();
    if (result === undefined) this.#at = start;
    return result;
  }

  refuse(what: string): never {
    return fail(`the pattern has ${what} at character ${Math.min(this.#at, this.#chars.length) + 1}`);
  }
}

function alternatives(reader: Reader, flags: Flags, depth: number): PatternNode {
  if (depth > MAX_DEPTH) reader.refuse("groups nested too deep");
  const branches: PatternNode[] = [];
  do branches.push(sequence(reader, flags, depth));
  while (reader.accept("|"));
  return { type: "any", of: branches };
}

function sequence(reader: Reader, outer: Flags, depth: number): PatternNode {
  const parts: PatternNode[] = [];
  let flags = outer;
  while (!reader.done && !reader.looksAt("|") && !reader.looksAt(")")) {
    const changed = reader.attempt(() => flagsOnly(reader, flags));
    if (changed) flags = changed;
    else parts.push(repeated(reader, atom(reader, flags, depth)));
  }
  return { type: "all", of: parts };
}

/** `(?i)`: holds for the rest of the group. */
function flagsOnly(reader: Reader, flags: Flags): Flags | undefined {
  if (!reader.accept("(?")) return undefined;
  const text = reader.until(")");
  return text !== undefined && /^[ims]*(-[ims]+)?$/.test(text) && text !== "" ? withFlags(flags, text) : undefined;
}

function withFlags(flags: Flags, text: string): Flags {
  const [on = "", off = ""] = text.split("-");
  const set = (letter: string, before: boolean) => (on.includes(letter) || before) && !off.includes(letter);
  return { ignoreCase: set("i", flags.ignoreCase), dotAll: set("s", flags.dotAll), multiline: set("m", flags.multiline) };
}

function atom(reader: Reader, flags: Flags, depth: number): PatternNode {
  const char = reader.take();
  if (char === "(") return group(reader, flags, depth);
  if (char === "[") return { type: "set", set: cased(bracket(reader), flags) };
  if (char === ".") return { type: "set", set: flags.dotAll ? negated([]) : negated(charSet("\n")) };
  if (char === "^") return { type: "assert", what: flags.multiline ? "lineStart" : "start" };
  if (char === "$") return { type: "assert", what: flags.multiline ? "lineEnd" : "end" };
  if (char === "*" || char === "+" || char === "?") return reader.refuse(`nothing to repeat before ${char}`);
  if (char !== "\\") return { type: "set", set: cased(charSet(char), flags) };
  if (reader.accept("b")) return { type: "assert", what: "boundary" };
  if (reader.accept("B")) return { type: "assert", what: "noBoundary" };
  if (reader.accept("A")) return { type: "assert", what: "start" };
  if (reader.accept("z")) return { type: "assert", what: "end" };
  return { type: "set", set: cased(escaped(reader), flags) };
}

function cased(set: CharSet, flags: Flags): CharSet {
  return flags.ignoreCase ? foldCase(set) : set;
}

function group(reader: Reader, outer: Flags, depth: number): PatternNode {
  let flags = outer;
  if (reader.accept("?")) {
    const named = reader.accept("P<") || (reader.looksAt("<") && !reader.looksAt("<=") && !reader.looksAt("<!") && reader.accept("<"));
    const head = reader.until(named ? ">" : ":");
    if (head === undefined || !(named ? /^\w+$/ : /^[ims]*(-[ims]+)?$/).test(head))
      reader.refuse("a group of a kind that RE2 does not have");
    if (!named) flags = withFlags(flags, head ?? "");
  }
  const inner = alternatives(reader, flags, depth + 1);
  return reader.accept(")") ? inner : reader.refuse("a ( without )");
}

function repeated(reader: Reader, of: PatternNode): PatternNode {
  const range = reader.attempt(() => quantifier(reader));
  if (!range) return of;
  // How much is taken first makes no difference to whether it matches.
  reader.accept("?");
  const again = reader.attempt(() => quantifier(reader));
  if (again) reader.refuse("a repetition of a repetition");
  return { type: "repeat", of, ...range };
}

function quantifier(reader: Reader): { min: number; max: number } | undefined {
  if (reader.accept("*")) return { min: 0, max: Number.POSITIVE_INFINITY };
  if (reader.accept("+")) return { min: 1, max: Number.POSITIVE_INFINITY };
  if (reader.accept("?")) return { min: 0, max: 1 };
  if (!reader.accept("{")) return undefined;
  const match = /^(\d{1,4})(?:(,)(\d{1,4})?)?$/.exec(reader.until("}") ?? "");
  // As in RE2, a { that begins no repetition is a character.
  if (!match) return undefined;
  const min = Number(match[1]);
  const max = match[2] === undefined ? min : match[3] === undefined ? Number.POSITIVE_INFINITY : Number(match[3]);
  if (max < min || min > MAX_REPEAT || (max > MAX_REPEAT && max !== Number.POSITIVE_INFINITY)) reader.refuse("a repetition out of range");
  return { min, max };
}

/** After a backslash: one character, or a class such as `\d`. */
function escaped(reader: Reader): CharSet {
  const char = reader.take();
  const known = classEscape(char);
  if (known) return known;
  const control = ESCAPES[char];
  if (control !== undefined) return charSet(control);
  if (char === "x") {
    const hex = reader.accept("{") ? reader.until("}") : reader.take() + reader.take();
    const code = /^[0-9A-Fa-f]{1,6}$/.test(hex ?? "") ? Number.parseInt(hex ?? "", 16) : Number.NaN;
    return code <= 0x10ffff ? [[code, code]] : reader.refuse("a \\x without a character");
  }
  return char !== "" && !/[A-Za-z0-9]/.test(char) ? charSet(char) : reader.refuse(`an escape \\${char} that is not known`);
}

/** After `[`. */
function bracket(reader: Reader): CharSet {
  const inverse = reader.accept("^");
  const parts: CharSet[] = [];
  while (parts.length === 0 || !reader.looksAt("]")) {
    if (reader.done) reader.refuse("a [ without ]");
    parts.push(bracketPart(reader));
  }
  reader.accept("]");
  const set = union(parts);
  return inverse ? negated(set) : set;
}

function bracketPart(reader: Reader): CharSet {
  if (reader.accept("[:")) {
    const name = reader.until(":");
    const set = namedClass(name ?? "");
    return set && reader.accept("]") ? set : reader.refuse("a class that is not known");
  }
  const first = bracketChar(reader);
  const [range] = first;
  if (first.length !== 1 || range?.[0] !== range?.[1] || !reader.looksAt("-") || reader.looksAt("-]")) return first;
  reader.accept("-");
  const [last] = bracketChar(reader);
  const [from, to] = [range?.[0] ?? 0, last?.[1] ?? 0];
  return last?.[0] === to && from <= to ? [[from, to]] : reader.refuse("a range that runs backwards");
}

function bracketChar(reader: Reader): CharSet {
  if (reader.done) reader.refuse("a [ without ]");
  const char = reader.take();
  return char === "\\" ? escaped(reader) : charSet(char);
}
