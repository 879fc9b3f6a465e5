import { CodedError } from "@muster/shared/errors";
import { type Labels, matchesSelector, type SelectorRequirement } from "@muster/shared/model";
import { isLabelKey, isLabelValue } from "../fleet/document-schemas.ts";

/** One requirement of a query: those of a selector, and `key > 1`, `key < 1`, which only queries have. */
export type LabelRequirement = SelectorRequirement | { readonly key: string; readonly operator: "Gt" | "Lt"; readonly bound: bigint };

/** What `-l` says; all of it must hold. None holds for everything. */
export type LabelQuery = readonly LabelRequirement[];

/**
 * Parses a selector just as kubectl and the API server do (apimachinery `labels.Parse`): `a=b`, `a==b`, `a!=b`, `a in (b,c)`,
 * `a notin (b,c)`, `a`, `!a`, `a>1`, `a<1`, joined by commas; a value may be empty. Throws API_BAD_REQUEST.
 */
export function parseLabelSelector(text: string): LabelQuery {
  const scanner = new Scanner(text);
  const requirements: LabelRequirement[] = [];
  if (scanner.peek() === END) return requirements;
  for (;;) {
    requirements.push(parseRequirement(scanner));
    const after = scanner.next();
    if (after === END) return requirements;
    if (after !== ",") throw scanner.unexpected(after, "',' or the end");
  }
}

/** Whether a cluster with these labels is meant. */
export function matchesLabelQuery(query: LabelQuery, labels: Labels): boolean {
  return query.every((requirement) => {
    if (!("bound" in requirement)) return matchesSelector({ matchExpressions: [requirement] }, labels);
    const value = Object.hasOwn(labels, requirement.key) ? toInteger(labels[requirement.key] ?? "") : undefined;
    if (value === undefined) return false;
    return requirement.operator === "Gt" ? value > requirement.bound : value < requirement.bound;
  });
}

const END = "";
const SYMBOLS = new Set(["(", ")", ",", "!", "=", "==", "!=", ">", "<"]);
const TOKEN = /[\t\n\r ]*(?:([()=!,<>]+)|([^\t\n\r ()=!,<>]+)|$)/y;

/** Cuts the text into names and symbols; the end is an empty token. */
class Scanner {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  peek(): string {
    const at = this.#at;
    const token = this.next();
    this.#at = at;
    return token;
  }

  next(): string {
    TOKEN.lastIndex = this.#at;
    const [, symbols, name] = TOKEN.exec(this.#text) ?? [];
    if (symbols === undefined) {
      this.#at = TOKEN.lastIndex;
      return name ?? END;
    }
    // Of `!=(` only `!=` is taken.
    const start = TOKEN.lastIndex - symbols.length;
    const symbol = [symbols.slice(0, 2), symbols.slice(0, 1)].find((one) => SYMBOLS.has(one)) ?? END;
    this.#at = start + symbol.length;
    return symbol;
  }

  /** The next token, which must be a name; `in` and `notin` are names, too, wherever no operator can stand. */
  name(): string {
    const token = this.next();
    if (token === END || SYMBOLS.has(token)) throw this.unexpected(token, "a name");
    return token;
  }

  unexpected(token: string, expected: string): CodedError {
    return this.error(`${token === END ? "its end" : `'${token}'`} stands where ${expected} should`);
  }

  error(why: string): CodedError {
    return new CodedError("API_BAD_REQUEST", `The selector ${JSON.stringify(this.#text)} cannot be read: ${why}`);
  }
}

function parseRequirement(scanner: Scanner): LabelRequirement {
  const negated = scanner.peek() === "!";
  if (negated) scanner.next();
  const key = scanner.name();
  if (!isLabelKey(key)) throw scanner.error(`'${key}' is no label key`);
  if (negated) return { key, operator: "DoesNotExist" };
  const following = scanner.peek();
  if (following === END || following === ",") return { key, operator: "Exists" };
  const operator = scanner.next();
  switch (operator) {
    case "in":
    case "notin":
      return { key, operator: operator === "in" ? "In" : "NotIn", values: checked(parseValues(scanner), scanner) };
    case "=":
    case "==":
      return { key, operator: "In", values: checked([parseValue(scanner)], scanner) };
    case "!=":
      return { key, operator: "NotIn", values: checked([parseValue(scanner)], scanner) };
    case ">":
    case "<": {
      const value = parseValue(scanner);
      const bound = toInteger(value);
      if (bound === undefined) throw scanner.error(`'${value}' is no integer, which '${operator}' needs`);
      return { key, operator: operator === ">" ? "Gt" : "Lt", bound };
    }
    default:
      throw scanner.unexpected(operator, "one of =, ==, !=, in, notin, > and <");
  }
}

/** `a=` asks for an empty value. */
function parseValue(scanner: Scanner): string {
  const following = scanner.peek();
  return following === END || following === "," ? "" : scanner.name();
}

/** `(a,b)`; an empty one stands between two commas, and beside one at either end. */
function parseValues(scanner: Scanner): string[] {
  const open = scanner.next();
  if (open !== "(") throw scanner.unexpected(open, "'('");
  if (scanner.peek() === ")") throw scanner.error("'()' names no value");
  const values = new Set<string>();
  for (;;) {
    const following = scanner.peek();
    values.add(following === "," || following === ")" ? "" : scanner.name());
    const after = scanner.next();
    if (after === ")") return [...values];
    if (after !== ",") throw scanner.unexpected(after, "',' or ')'");
  }
}

function checked(values: string[], scanner: Scanner): string[] {
  for (const value of values) if (!isLabelValue(value)) throw scanner.error(`'${value}' is no label value`);
  return values;
}

/** A decimal integer of 64 bits, as Go reads one; undefined: it is none. */
function toInteger(text: string): bigint | undefined {
  if (!/^\d{1,63}$/.test(text)) return undefined;
  const value = BigInt(text);
  return value < 2n ** 63n ? value : undefined;
}
