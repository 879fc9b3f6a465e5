import { CodedError } from "@muster/shared/errors";
import type { Expression } from "@muster/shared/expression";
import type { BundleOptions, HealthRule, ReadinessRule } from "@muster/shared/model";
import { type Expressions, loadExpressions } from "../expressions.ts";
import type { CompiledHealthRule, HealthRules } from "../observe/health-rules.ts";

/** A rule of readiness, ready to be asked. In place of an expression that cannot be read stands why. */
export interface CompiledReadinessRule extends ReadinessRule {
  readonly compiled: Expression<boolean> | CodedError;
}

/** What a bundle says in CEL. */
export interface BundleRules {
  readonly health: HealthRules;
  readonly ready: readonly CompiledReadinessRule[];
  /** The first expression that cannot be read: the hub that let it pass knows another CEL, or is not the hub. */
  readonly problem?: CodedError;
}

/** Rules of a bundle that has none. */
export const NO_RULES: BundleRules = { health: new Map(), ready: [] };

/** Reads the expressions of a bundle. One that cannot be read spoils nothing but what it is about. */
export async function compileRules(options: BundleOptions): Promise<BundleRules> {
  const { health = [], ready = [] } = options;
  if (health.length + ready.length === 0) return NO_RULES;
  const expressions = await loadExpressions();
  const rules = new Map<string, CompiledHealthRule | CodedError>();
  for (const rule of health) {
    const key = `${rule.group}/${rule.kind}`;
    // The first one counts: a bundle's own rules come before those of the fleet.
    if (!rules.has(key))
      rules.set(
        key,
        orError(() => compileHealth(rule, expressions)),
      );
  }
  const compiled = ready.map((rule) => ({ ...rule, compiled: orError(() => expressions.compilePredicate(rule.expression)) }));
  const problem = [...rules.values(), ...compiled.map((rule) => rule.compiled)].find((one) => one instanceof CodedError);
  return { health: rules, ready: compiled, ...(problem && { problem }) };
}

function compileHealth(rule: HealthRule, { compilePredicate, compileText }: Expressions): CompiledHealthRule {
  return {
    current: compilePredicate(rule.current),
    ...(rule.failed !== undefined && { failed: compilePredicate(rule.failed) }),
    ...(rule.message !== undefined && { message: compileText(rule.message) }),
  };
}

function orError<T>(compile: () => T): T | CodedError {
  try {
    return compile();
  } catch (error) {
    return CodedError.from(error, "EXPRESSION_INVALID");
  }
}
