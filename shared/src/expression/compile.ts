import type { ASTNode, Environment } from "@marcbachmann/cel-js";
import { CodedError } from "../errors/index.ts";
import { Budget } from "./budget.ts";
import { checkSupported } from "./check-supported.ts";
import { createEnvironment } from "./environment.ts";
import { evaluate } from "./evaluate.ts";
import { Failure } from "./failure.ts";
import { type CelMap, type CelValue, typeOf } from "./values.ts";

/** Longer ones are refused. */
const MAX_EXPRESSION_LENGTH = 4_096;

/** A CEL expression that was read and checked. It has no state: what it says depends on the object alone. */
export interface Expression<T> {
  readonly text: string;
  /**
   * What it says of an object as JSON has it. Takes some milliseconds at worst, whatever the expression and the object are. Throws
   * CodedError: EXPRESSION_COST if it would take longer, EXPRESSION_FAILED if it comes to no value or to one of another type; its data
   * has `missing`, the key, if that is because the object lacks one.
   */
  evaluate(object: unknown): T;
}

/** Reads an expression that is true or false. Throws CodedError EXPRESSION_INVALID, with the offset in its data. */
export function compilePredicate(text: string): Expression<boolean> {
  return compile(text, "bool", (value) => (typeof value === "boolean" ? value : undefined));
}

/** The same for an expression that gives a text. */
export function compileText(text: string): Expression<string> {
  return compile(text, "string", (value) => (typeof value === "string" ? value : undefined));
}

let environment: Environment | undefined;

function compile<T>(text: string, wanted: "bool" | "string", as: (value: CelValue) => T | undefined): Expression<T> {
  const ast = read(text, wanted);
  return {
    text,
    evaluate(object) {
      const value = run(ast, object as CelMap, text);
      const result = as(value);
      if (result === undefined) {
        throw new CodedError("EXPRESSION_FAILED", `${quote(text)} must give a ${wanted}, not a ${typeOf(value)}`);
      }
      return result;
    },
  };
}

function read(text: string, wanted: string): ASTNode {
  if (text.length > MAX_EXPRESSION_LENGTH) throw invalid(text, `is longer than ${MAX_EXPRESSION_LENGTH} characters`);
  if (text.trim() === "") throw invalid(text, "is empty");
  environment ??= createEnvironment();
  try {
    const parsed = environment.parse(text);
    const unsupported = checkSupported(parsed.ast);
    if (unsupported) throw invalid(text, unsupported.message, unsupported.node.start);
    const { valid, type = "dyn", error } = parsed.check();
    if (!valid) throw error;
    if (type !== wanted && type !== "dyn") throw invalid(text, `gives a ${type}, and a ${wanted} is needed`);
    return parsed.ast;
  } catch (thrown) {
    if (thrown instanceof CodedError) throw thrown;
    const { summary, range } = thrown as { summary?: string; range?: { start: number } };
    throw invalid(text, summary ?? (thrown instanceof RangeError ? "is nested too deep" : String(thrown)), range?.start);
  }
}

function invalid(text: string, message: string, offset?: number): CodedError {
  const where = offset === undefined ? "" : `, at character ${offset + 1}`;
  return new CodedError("EXPRESSION_INVALID", `${quote(text)}: ${message}${where}`, { ...(offset !== undefined && { data: { offset } }) });
}

function run(ast: ASTNode, object: CelMap, text: string): CelValue {
  try {
    return evaluate(ast, { name: "object", value: object }, new Budget());
  } catch (thrown) {
    if (!(thrown instanceof Failure)) throw CodedError.from(thrown, "EXPRESSION_FAILED");
    const { costly, missing } = thrown.facts;
    throw new CodedError(costly ? "EXPRESSION_COST" : "EXPRESSION_FAILED", `${quote(text)}: ${thrown.message}`, {
      ...(missing !== undefined && { data: { missing } }),
    });
  }
}

/** For messages: on one line, and no more than a person reads. */
function quote(text: string): string {
  const line = text.replaceAll(/\s+/g, " ").trim();
  return line.length > 120 ? `${line.slice(0, 120)}…` : line;
}
