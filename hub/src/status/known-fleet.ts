import type { InputPosition } from "@muster/shared/errors";
import type { Labels, Slice } from "@muster/shared/model";
import { type FleetModel, provesAbsence } from "../fleet/model.ts";
import type { OwnershipOptions } from "./ownership-view.ts";

/** What is shown of a cluster's definition. */
export interface KnownCluster {
  readonly name: string;
  readonly labels: Labels;
  readonly paused: boolean;
}

/** What is shown of a bundle's definition. */
export interface KnownBundle {
  readonly name: string;
  readonly source: string;
  readonly directory: string;
  readonly options: OwnershipOptions & { readonly dependsOn: readonly string[]; readonly drift: { readonly mode: string } };
}

/** A (bundle, cluster) pair that is shown. */
export interface KnownTarget {
  readonly cluster: KnownCluster;
  readonly bundle: KnownBundle;
  readonly layers: readonly { readonly at: InputPosition }[];
}

/**
 * What Git says, and what it said before of everything whose absence proves nothing: what a document that cannot be used has
 * deployed is still there (ADR 0003), so nobody may be told that it is not.
 */
export interface KnownFleet {
  readonly clusters: ReadonlyMap<string, KnownCluster>;
  readonly bundles: ReadonlyMap<string, KnownBundle>;
  /** Sorted by cluster. */
  readonly targets: readonly KnownTarget[];
  /** By `bundle/cluster`. */
  readonly target: ReadonlyMap<string, KnownTarget>;
  /** true: what is not here is not in Git. */
  readonly complete: boolean;
  /** true: some model was complete. What is not here has left Git then, though its last slice may stay in force for ever. */
  readonly settled: boolean;
}

/** What a run of the pipeline says of the fleet. */
interface Said {
  readonly model: FleetModel;
  readonly slices: ReadonlyMap<string, Slice>;
  /** Present if the whole revision is held. */
  readonly held?: object;
}

/** Shown as the drift mode of a bundle of which neither a sound document nor a slice was seen. */
const NOT_KNOWN = "Unknown";

/** Pure. A definition that is not sound is the last sound one; if this hub has seen none, what the slices in force tell. */
export function keepKnown(said: Said, before: KnownFleet | undefined): KnownFleet {
  const { model, slices, held } = said;
  // A revision that is held says as little of what there is as a model of which a part could not be read.
  const complete = !held && provesAbsence(model);
  const settled = complete || before?.settled === true;
  const past = { said, before, complete };

  const clusters = new Map<string, KnownCluster>(model.clusters);
  const unsure = complete ? [] : [...(before?.clusters.keys() ?? []), ...(settled ? [] : slices.keys())];
  for (const name of [...model.heldClusters, ...unsure]) ensure(clusters, name, () => keptCluster(name, past));

  const bundles = new Map<string, KnownBundle>(model.bundles);
  const unsureBundles = complete ? [] : (before?.bundles.keys() ?? []);
  for (const name of [...model.heldBundles, ...unsureBundles]) ensure(bundles, name, () => keptBundle(name, past));

  const kept = keptTargets(clusters, bundles, past);
  const targets = kept.length === 0 ? model.targets : [...model.targets, ...kept].sort(byCluster);
  return { clusters, bundles, targets, target: new Map(targets.map((target) => [keyOf(target), target])), complete, settled };
}

interface Past {
  readonly said: Said;
  readonly before: KnownFleet | undefined;
  readonly complete: boolean;
}

function keptCluster(name: string, { said, before }: Past): KnownCluster {
  const known = before?.clusters.get(name);
  return { name, labels: known?.labels ?? {}, paused: said.slices.get(name)?.paused ?? known?.paused ?? false };
}

function keptBundle(name: string, { said, before }: Past): KnownBundle {
  const known = before?.bundles.get(name);
  if (known && known.options.drift.mode !== NOT_KNOWN) return known;
  const at = said.model.problems.find(({ scope }) => scope.kind === "bundle" && scope.name === name)?.at;
  const directory = at?.file.slice(0, Math.max(0, at.file.lastIndexOf("/"))) ?? "";
  const options = optionsIn(said.slices.values(), name) ?? { dependsOn: [], drift: { mode: NOT_KNOWN } };
  return { name, source: at?.source ?? "", directory, options };
}

function optionsIn(slices: Iterable<Slice>, name: string): KnownBundle["options"] | undefined {
  for (const slice of slices) {
    const entry = slice.bundles.find((bundle) => bundle.name === name);
    if (entry?.state === "desired") return entry.options;
  }
  return undefined;
}

/**
 * Targets that the model does not have and cannot rule out: those of the slice in force or, while slices were not read yet, those
 * that were known.
 */
function keptTargets(clusters: ReadonlyMap<string, KnownCluster>, bundles: Map<string, KnownBundle>, past: Past): KnownTarget[] {
  const { said, before, complete } = past;
  const { heldClusters, heldBundles, targets } = said.model;
  if (complete && heldClusters.size === 0 && heldBundles.size === 0) return [];
  const sound = new Set(targets.map(keyOf));
  const knownOf = Map.groupBy(before?.targets ?? [], ({ cluster }) => cluster.name);
  const kept: KnownTarget[] = [];
  for (const cluster of clusters.values()) {
    const entries = said.slices.get(cluster.name)?.bundles ?? knownOf.get(cluster.name)?.map(({ bundle }) => bundle) ?? [];
    for (const { name } of entries) {
      const key = `${name}/${cluster.name}`;
      if (sound.has(key) || (complete && !heldClusters.has(cluster.name) && !heldBundles.has(name))) continue;
      const bundle = ensure(bundles, name, () => keptBundle(name, past));
      kept.push({ cluster, bundle, layers: before?.target.get(key)?.layers ?? [] });
    }
  }
  return kept;
}

function ensure<T>(map: Map<string, T>, name: string, make: () => T): T {
  const known = map.get(name);
  if (known !== undefined) return known;
  const made = make();
  map.set(name, made);
  return made;
}

function keyOf({ bundle, cluster }: KnownTarget): string {
  return `${bundle.name}/${cluster.name}`;
}

/** Within a cluster the order stays. */
function byCluster({ cluster: { name: a } }: KnownTarget, { cluster: { name: b } }: KnownTarget): number {
  return a < b ? -1 : Number(a > b);
}
