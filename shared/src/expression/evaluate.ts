import type { ASTNode } from "@marcbachmann/cel-js";
import { type CelFunction, condition } from "./arguments.ts";
import { arithmetic } from "./arithmetic.ts";
import type { Budget } from "./budget.ts";
import { Failure, fail, passOver } from "./failure.ts";
import { FUNCTIONS } from "./functions.ts";
import { isMacro, runMacro } from "./macros.ts";
import type { Scope } from "./scope.ts";
import { type CelValue, compare, Double, Duration, equal, fromJson, isList, isMap, member, Optional, typeOf } from "./values.ts";

/** The value of a node. Throws a Failure. */
export function evaluate(node: ASTNode, scope: Scope, budget: Budget): CelValue {
  budget.charge(1);
  const run = (part: ASTNode) => evaluate(part, scope, budget);
  switch (node.op) {
    case "value":
      return literal(node.args);
    case "id":
      return lookUp(node.args, scope);
    case ".":
      return select(run(node.args[0]), node.args[1]);
    case ".?":
      return maybe(run(node.args[0]), (value) => optionalMember(value, node.args[1]));
    case "[]":
      return maybeOf(run(node.args[0]), (value) => at(value, run(node.args[1])));
    case "[?]":
      return maybe(run(node.args[0]), (value) => optionalAt(value, run(node.args[1])));
    case "list":
      return node.args.map(run);
    case "map":
      return makeMap(node.args, run);
    case "?:":
      return condition(run(node.args[0])) ? run(node.args[1]) : run(node.args[2]);
    case "&&":
      return decide(false, node.args, run, budget);
    case "||":
      return decide(true, node.args, run, budget);
    case "!_":
      return !condition(run(node.args));
    case "-_":
      return negate(run(node.args), budget);
    case "call":
    case "rcall":
      if (!isMacro(node)) return call(node, run, budget);
      return runMacro(node, (part, inner) => evaluate(part, inner, budget), scope, budget);
    default:
      return binary(node.op, run(node.args[0]), run(node.args[1]), budget);
  }
}

function literal(value: unknown): CelValue {
  return typeof value === "number" ? new Double(value) : (value as CelValue);
}

function lookUp(name: string, scope: Scope): CelValue {
  for (let at: Scope | undefined = scope; at; at = at.outer) if (at.name === name) return at.value;
  return fail(`${name} is not defined`);
}

/** `value.key`. */
function select(value: CelValue, key: string): CelValue {
  return maybeOf(value, (inner) => {
    if (!isMap(inner)) return fail(`${typeOf(inner)} has no members`);
    return member(inner, key) ?? fail(`no such key: ${key}`, { missing: key });
  });
}

/** What is done to an optional is done to its value, if there is one; what is missing then is no failure. */
function maybeOf(value: CelValue, get: (value: CelValue) => CelValue): CelValue {
  if (!(value instanceof Optional)) return get(value);
  if (value.value === undefined) return value;
  try {
    return new Optional(get(value.value));
  } catch (failure) {
    if (failure instanceof Failure && failure.facts.missing !== undefined) return new Optional(undefined);
    throw failure;
  }
}

function maybe(value: CelValue, get: (value: CelValue) => CelValue | undefined): Optional {
  if (!(value instanceof Optional)) return new Optional(get(value));
  return value.value === undefined ? value : new Optional(get(value.value));
}

function optionalMember(value: CelValue, key: string): CelValue | undefined {
  return isMap(value) ? member(value, key) : fail(`${typeOf(value)} has no members`);
}

function at(value: CelValue, key: CelValue): CelValue {
  return optionalAt(value, key) ?? fail(`no such key: ${String(key)}`, { missing: String(key) });
}

function optionalAt(value: CelValue, key: CelValue): CelValue | undefined {
  if (isList(value)) {
    if (typeof key !== "bigint") return fail(`the place in a list must be an int, not ${typeOf(key)}`);
    const element = key >= 0n && key < BigInt(value.length) ? value[Number(key)] : undefined;
    return element === undefined ? undefined : fromJson(element);
  }
  if (!isMap(value)) return fail(`${typeOf(value)} has no members`);
  return typeof key === "string" ? member(value, key) : fail(`the key of a map must be a string, not ${typeOf(key)}`);
}

function makeMap(entries: readonly (readonly [ASTNode, ASTNode])[], run: (node: ASTNode) => CelValue): CelValue {
  const map: Record<string, CelValue> = Object.create(null);
  for (const [keyNode, valueNode] of entries) {
    const key = run(keyNode);
    if (typeof key !== "string") return fail(`the key of a map must be a string, not ${typeOf(key)}`);
    map[key] = run(valueNode);
  }
  return map;
}

/** `&&` and `||`: one side that decides is enough, even if the other one fails. */
function decide(decisive: boolean, args: readonly [ASTNode, ASTNode], run: (node: ASTNode) => CelValue, budget: Budget): boolean {
  let failure: unknown;
  try {
    if (condition(run(args[0])) === decisive) return decisive;
  } catch (thrown) {
    failure = passOver(thrown, budget);
  }
  if (condition(run(args[1])) === decisive) return decisive;
  if (failure) throw failure;
  return !decisive;
}

function negate(value: CelValue, budget: Budget): CelValue {
  if (value instanceof Duration) return new Duration(-value.nanos);
  return value instanceof Double ? new Double(-value.value) : arithmetic("-", 0n, value, budget);
}

/** What a call calls; undefined if there is no such function. */
export function functionOf(node: ASTNode & { op: "call" | "rcall" }): CelFunction | undefined {
  const name = node.op === "call" ? `${node.args[0]}/${node.args[1].length}` : `.${node.args[0]}/${node.args[2].length + 1}`;
  return Object.hasOwn(FUNCTIONS, name) ? FUNCTIONS[name] : undefined;
}

function call(node: ASTNode & { op: "call" | "rcall" }, run: (node: ASTNode) => CelValue, budget: Budget): CelValue {
  const known = functionOf(node);
  const args = node.op === "call" ? node.args[1] : [node.args[1], ...node.args[2]];
  return known ? known(args.map(run), budget) : fail(`${node.args[0]}() is not known`);
}

function binary(operator: string, a: CelValue, b: CelValue, budget: Budget): CelValue {
  switch (operator) {
    case "==":
      return equal(a, b, budget);
    case "!=":
      return !equal(a, b, budget);
    case "<":
      return compare(a, b, budget) < 0;
    case "<=":
      return compare(a, b, budget) <= 0;
    case ">":
      return compare(a, b, budget) > 0;
    case ">=":
      return compare(a, b, budget) >= 0;
    case "in":
      return isIn(a, b, budget);
    default:
      return arithmetic(operator, a, b, budget);
  }
}

function isIn(wanted: CelValue, container: CelValue, budget: Budget): boolean {
  if (isList(container)) return container.some((element) => equal(fromJson(element), wanted, budget));
  if (isMap(container)) return typeof wanted === "string" && member(container, wanted) !== undefined;
  return fail(`${typeOf(container)} has no members`);
}
