import type { ASTNode } from "@marcbachmann/cel-js";
import { condition } from "./arguments.ts";
import type { Budget } from "./budget.ts";
import { fail, passOver } from "./failure.ts";
import type { Scope } from "./scope.ts";
import { type CelList, type CelValue, fromJson, isList, isMap, member, Optional, typeOf } from "./values.ts";

type Call = ASTNode & { op: "call" | "rcall" };
type Evaluate = (node: ASTNode, scope: Scope) => CelValue;

/** One element after the other is looked at, under the name that the first argument gives it. */
interface Loop {
  readonly list: CelList;
  readonly each: (part: ASTNode | undefined, element: CelValue) => CelValue;
  readonly parts: readonly ASTNode[];
  readonly budget: Budget;
}

const LOOPS: Readonly<Record<string, (loop: Loop) => CelValue>> = {
  "all/2": (loop) => decided(loop, false),
  "exists/2": (loop) => decided(loop, true),
  "exists_one/2": (loop) => filtered(loop, loop.parts[0]).length === 1,
  "filter/2": (loop) => filtered(loop, loop.parts[0]),
  "map/2": ({ list, each, parts }) => list.map((element) => each(parts[0], fromJson(element))),
  "map/3": (loop) => filtered(loop, loop.parts[0]).map((element) => loop.each(loop.parts[1], element)),
};

function nameOf(node: Call): string {
  return `${node.args[0]}/${node.op === "call" ? node.args[1].length : node.args[2].length}`;
}

function isBind(node: Call): boolean {
  return node.op === "rcall" && nameOf(node) === "bind/3" && node.args[1].op === "id" && node.args[1].args === "cel";
}

/** The name that a macro gives to what it looks at, and where it holds; undefined for `has`, which gives none. */
export function variableOf(node: Call): { readonly name: string; readonly within: readonly ASTNode[] } | undefined {
  if (node.op === "call") return undefined;
  const [variable, ...parts] = node.args[2];
  if (variable?.op !== "id") return undefined;
  return { name: variable.args, within: isBind(node) ? parts.slice(1) : parts };
}

/** Whether a call is one whose arguments are not evaluated before it. */
export function isMacro(node: Call): boolean {
  if (node.op === "call") return nameOf(node) === "has/1";
  return Object.hasOwn(LOOPS, nameOf(node)) || isBind(node);
}

/** Throws a Failure. */
export function runMacro(node: Call, evaluate: Evaluate, scope: Scope, budget: Budget): CelValue {
  if (node.op === "call") return has(node.args[1][0], evaluate, scope);
  const [, receiver, [variable, ...parts]] = node.args;
  const name = variable?.op === "id" ? variable.args : fail("a name is needed");
  if (isBind(node)) {
    const [value, body] = parts;
    if (!value || !body) return fail("bind() needs a value and an expression");
    return evaluate(body, { name, value: evaluate(value, scope), outer: scope });
  }
  const list = rangeOf(evaluate(receiver, scope));
  budget.charge(list.length / 4);
  const each = (part: ASTNode | undefined, value: CelValue) =>
    part ? evaluate(part, { name, value, outer: scope }) : fail("an expression is needed");
  return LOOPS[nameOf(node)]?.({ list, each, parts, budget }) ?? fail(`${nameOf(node)} is not known`);
}

/** `has(a.b)`: false if a has no b; a itself must be there. */
function has(node: ASTNode | undefined, evaluate: Evaluate, scope: Scope): boolean {
  if (node?.op !== "." && node?.op !== ".?") return fail("has() needs a member");
  const value = evaluate(node.args[0], scope);
  const inner = value instanceof Optional ? value.value : value;
  if (inner === undefined) return false;
  return isMap(inner) ? member(inner, node.args[1]) !== undefined : fail(`${typeOf(inner)} has no members`);
}

function rangeOf(value: CelValue): CelList {
  if (isList(value)) return value;
  return isMap(value) ? Object.keys(value) : fail(`one cannot go through ${typeOf(value)}`);
}

/** One element that decides is enough, even if the predicate fails for others. */
function decided({ list, each, parts, budget }: Loop, decisive: boolean): boolean {
  let failure: unknown;
  for (const element of list) {
    try {
      if (condition(each(parts[0], fromJson(element))) === decisive) return decisive;
    } catch (thrown) {
      const passed = passOver(thrown, budget);
      failure ??= passed;
    }
  }
  if (failure) throw failure;
  return !decisive;
}

function filtered({ list, each }: Loop, predicate: ASTNode | undefined): CelValue[] {
  return list.map(fromJson).filter((element) => condition(each(predicate, element)));
}
