import type { Observer } from "../observe/observer.ts";
import { contentOf, type DesiredState } from "../pull/desired-state.ts";
import { type BundleRules, compileRules, NO_RULES } from "./bundle-rules.ts";
import type { ClusterState } from "./cluster-state.ts";

/** The rules of the slice in force. */
export interface RuleKeeper {
  /** Reads the rules of a slice and hands them to the observer; does nothing for one that it has read already. */
  prepare(desired: DesiredState): Promise<void>;
  of(bundle: string): BundleRules;
}

export function createRuleKeeper(observer: Observer, state: ClusterState): RuleKeeper {
  let prepared: DesiredState | undefined;
  let known = new Map<string, { readonly key: string; readonly rules: BundleRules }>();
  return {
    async prepare(desired) {
      if (desired === prepared) return;
      const next: typeof known = new Map();
      for (const bundle of desired.slice.bundles) {
        const options = contentOf(bundle, desired)?.options;
        if (!options?.health && !options?.ready) continue;
        const key = JSON.stringify([options.health, options.ready]);
        const before = known.get(bundle.name);
        next.set(bundle.name, before?.key === key ? before : { key, rules: await compileRules(options) });
      }
      const names = new Set([...known.keys(), ...next.keys()]);
      const changed = [...names].filter((name) => known.get(name)?.rules !== next.get(name)?.rules);
      known = next;
      prepared = desired;
      state.ruleProblems.clear();
      for (const [name, { rules }] of next) if (rules.problem) state.ruleProblems.set(name, rules.problem);
      for (const name of changed) observer.judgeBy(name, next.get(name)?.rules.health ?? NO_RULES.health);
    },
    of: (bundle) => known.get(bundle)?.rules ?? NO_RULES,
  };
}
