import type { ASTNode } from "@marcbachmann/cel-js";
import { functionOf } from "./evaluate.ts";
import { isMacro, variableOf } from "./macros.ts";

/** Evaluating goes down one call for each level. */
const MAX_DEPTH = 200;

/** What an expression has that is not evaluated here. */
export interface Unsupported {
  readonly message: string;
  readonly node: ASTNode;
}

/**
 * The first part of an expression that could be read but not evaluated: the library knows a few functions, types and constants more. Names
 * that nobody has defined are found here too.
 */
export function checkSupported(ast: ASTNode): Unsupported | undefined {
  return check(ast, new Set(["object"]), 0);
}

function check(node: ASTNode, names: ReadonlySet<string>, depth: number): Unsupported | undefined {
  if (depth > MAX_DEPTH) return { message: "is nested too deep", node };
  const all = (parts: readonly ASTNode[], known = names): Unsupported | undefined => {
    for (const part of parts) {
      const found = check(part, known, depth + 1);
      if (found) return found;
    }
    return undefined;
  };
  switch (node.op) {
    case "value":
      return typeof node.args === "object" && node.args !== null ? { message: "uint and bytes are not supported", node } : undefined;
    case "id":
      return names.has(node.args) ? undefined : { message: `unknown variable ${node.args}; there is only object`, node };
    case ".":
    case ".?":
      return all([node.args[0]]);
    case "map":
      return all(node.args.flat());
    case "!_":
    case "-_":
      return all([node.args]);
    case "call":
    case "rcall":
      return isMacro(node) ? checkMacro(node, names, all) : checkCall(node, all);
    default:
      return all(node.args);
  }
}

type CheckAll = (parts: readonly ASTNode[], known?: ReadonlySet<string>) => Unsupported | undefined;
type Call = ASTNode & { op: "call" | "rcall" };

function checkCall(node: Call, all: CheckAll): Unsupported | undefined {
  if (!functionOf(node)) return { message: `there is no function ${node.args[0]}() with these arguments`, node };
  return all(node.op === "call" ? node.args[1] : [node.args[1], ...node.args[2]]);
}

function checkMacro(node: Call, names: ReadonlySet<string>, all: CheckAll): Unsupported | undefined {
  if (node.op === "call") return all(node.args[1]);
  const variable = variableOf(node);
  if (!variable) return { message: `${node.args[0]}() must begin with a name`, node };
  const [, receiver, [, ...parts]] = node.args;
  const outside = parts.filter((part) => !variable.within.includes(part));
  const isName = receiver.op === "id" && receiver.args === "cel";
  return all([...(isName ? [] : [receiver]), ...outside]) ?? all(variable.within, new Set([...names, variable.name]));
}
