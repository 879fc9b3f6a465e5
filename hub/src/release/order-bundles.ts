import type { SliceBundle } from "@muster/shared/model";

/**
 * Entries so that each stands after those that it depends on, and otherwise as they came. Kept entries of older revisions may
 * depend on each other in a circle that Git no longer has: then they stay where they are, and the agent's health gate decides.
 */
export function orderBundles(bundles: readonly SliceBundle[]): SliceBundle[] {
  const byName = new Map(bundles.map((bundle) => [bundle.name, bundle]));
  const placed = new Set<string>();
  const ordered: SliceBundle[] = [];
  const place = (bundle: SliceBundle): void => {
    if (placed.has(bundle.name)) return;
    placed.add(bundle.name);
    if (bundle.state === "desired") {
      for (const name of bundle.options.dependsOn) {
        const dependency = byName.get(name);
        if (dependency) place(dependency);
      }
    }
    ordered.push(bundle);
  };
  for (const bundle of bundles) place(bundle);
  return ordered;
}
