import { CodedError } from "@muster/shared/errors";
import type { Expression } from "@muster/shared/expression";
import type { DriftIgnore, Manifest } from "@muster/shared/model";

/** More than there are in any slice. */
const MAX_CONDITIONS = 1_000;

/** Conditions that were read, by their text. In place of one that cannot be read stands why. */
const conditions = new Map<string, Expression<boolean> | CodedError>();

/** Reads the conditions of rules. To be called before an object that they are about is applied. */
export async function readConditions(rules: readonly DriftIgnore[]): Promise<void> {
  const texts = new Set(rules.flatMap(({ when }) => when ?? []));
  if (conditions.size > MAX_CONDITIONS) conditions.clear();
  const unread = [...texts].filter((text) => !conditions.has(text));
  if (unread.length === 0) return;
  // Only an agent that needs it pays for it.
  const { compilePredicate } = await import("@muster/shared/expression");
  for (const text of unread) {
    try {
      conditions.set(text, compilePredicate(text));
    } catch (error) {
      conditions.set(text, CodedError.from(error, "EXPRESSION_INVALID"));
    }
  }
}

/** Whether a condition is true of a live object. Throws DRIFT_IGNORE_FAILED if that cannot be told. */
export function conditionHolds(text: string, live: Manifest): boolean {
  const condition = conditions.get(text);
  try {
    if (condition instanceof CodedError) throw condition;
    if (!condition) throw new CodedError("EXPRESSION_FAILED", `${text} was not read yet`);
    return condition.evaluate(live);
  } catch (error) {
    throw new CodedError("DRIFT_IGNORE_FAILED", CodedError.from(error, "EXPRESSION_FAILED").message, { cause: error });
  }
}
