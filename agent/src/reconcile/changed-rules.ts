import type { DriftIgnore, ObjectRefText } from "@muster/shared/model";
import { rulesFor } from "../observe/ignore-rules.ts";
import { contentOf, type DesiredState } from "../pull/desired-state.ts";

/**
 * Objects that other ignore rules are about than before: they are applied anew, although Git says the same of them. A field that a rule leaves to
 * others now is handed over at once, and one that no rule leaves to them any more is Git's again.
 */
export function objectsOfChangedRules(before: DesiredState | undefined, after: DesiredState): ObjectRefText[] {
  return after.slice.bundles.flatMap((bundle) => {
    const old = rulesOf(before, bundle.name);
    const rules = rulesOf(after, bundle.name);
    if (!old || !rules || JSON.stringify(old) === JSON.stringify(rules)) return [];
    return (after.bundles.get(bundle.name) ?? [])
      .filter(({ head }) => JSON.stringify(rulesFor(head, old)) !== JSON.stringify(rulesFor(head, rules)))
      .map(({ ref }) => ref);
  });
}

/** undefined: the bundle is not there. */
function rulesOf(desired: DesiredState | undefined, name: string): readonly DriftIgnore[] | undefined {
  const bundle = desired?.slice.bundles.find((one) => one.name === name);
  return bundle && desired && contentOf(bundle, desired)?.options.drift.ignore;
}
