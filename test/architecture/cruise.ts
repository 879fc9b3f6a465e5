import { fileURLToPath } from "node:url";
import { cruise, type ICruiseOptions, type ICruiseResult } from "dependency-cruiser";
import { DEPENDENCY_RULES } from "./dependency-rules.ts";

/** A broken rule. */
export interface Violation {
  readonly rule: string;
  /** Why the rule is there. */
  readonly reason: string;
  readonly from: string;
  readonly to: string;
}

/** What the dependency rules say about a checkout. */
export interface Architecture {
  /** Our own modules that were seen, per top folder. A checker that sees nothing finds nothing. */
  readonly modules: Readonly<Record<string, number>>;
  readonly violations: readonly Violation[];
}

const FOLDERS = ["shared", "hub", "agent", "test"];

/** Runs the rules of `.dependency-cruiser.mjs` over the whole checkout. Takes a few seconds. */
export async function cruiseCheckout(root: string = fileURLToPath(new URL("../..", import.meta.url))): Promise<Architecture> {
  const { options = {}, ...ruleSet } = DEPENDENCY_RULES;
  const { output } = await cruise(FOLDERS, { ...options, baseDir: root, validate: true, ruleSet } as ICruiseOptions, undefined, undefined);
  const result = output as ICruiseResult;
  const reasons = new Map((ruleSet.forbidden ?? []).map((rule) => [rule.name, rule.comment ?? ""]));
  const modules = Object.fromEntries(
    FOLDERS.map((folder) => [folder, result.modules.filter((module) => module.source.startsWith(`${folder}/`)).length]),
  );
  const violations = result.summary.violations.map((violation) => ({
    rule: violation.rule.name,
    reason: reasons.get(violation.rule.name) ?? "",
    from: violation.from,
    to: violation.to,
  }));
  return { modules, violations };
}

/** Every broken rule once with its reason, and the imports that break it. */
export function formatViolations(violations: readonly Violation[]): string {
  const rules = new Map<string, Violation[]>();
  for (const violation of violations) rules.set(violation.rule, [...(rules.get(violation.rule) ?? []), violation]);
  return [...rules]
    .map(([rule, broken]) => [`${rule}: ${broken[0]?.reason}`, ...broken.map(({ from, to }) => `  ${from} → ${to}`)].join("\n"))
    .join("\n");
}
