import type { BundleDefinition, FleetProblem } from "./model.ts";

/**
 * Bundles so that each stands after what it depends on, otherwise by name. A bundle that depends on one that does not exist,
 * or on itself in a circle, is a problem and is left out.
 */
export function orderByDependencies(
  bundles: ReadonlyMap<string, BundleDefinition>,
  held: ReadonlySet<string>,
): { order: string[]; problems: FleetProblem[] } {
  const problems: FleetProblem[] = [];
  const order: string[] = [];
  const done = new Set<string>();
  const broken = new Set<string>();
  const problem = (bundle: BundleDefinition, message: string) => {
    broken.add(bundle.name);
    problems.push({ code: "FLEET_DEPENDENCY", message, at: bundle.at, scope: { kind: "bundle", name: bundle.name } });
  };

  function breakCircle(members: readonly string[]): void {
    const round = [...members, members[0]].join(" → ");
    for (const bundle of members.flatMap((member) => bundles.get(member) ?? [])) {
      if (!broken.has(bundle.name)) problem(bundle, `dependsOn goes round in a circle: ${round}`);
    }
  }

  function visit(name: string, path: readonly string[]): void {
    if (done.has(name) || broken.has(name)) return;
    const bundle = bundles.get(name);
    if (!bundle) return;
    if (path.includes(name)) {
      breakCircle(path.slice(path.indexOf(name)));
      return;
    }
    for (const dependency of [...bundle.options.dependsOn].sort()) {
      // A held bundle exists, and its last good state is in force.
      if (!bundles.has(dependency) && !held.has(dependency))
        problem(bundle, `dependsOn names the bundle ${dependency}, which does not exist`);
      else visit(dependency, [...path, name]);
    }
    if (broken.has(name) || done.has(name)) return;
    done.add(name);
    order.push(name);
  }

  for (const name of [...bundles.keys()].sort()) visit(name, []);
  return { order, problems };
}
