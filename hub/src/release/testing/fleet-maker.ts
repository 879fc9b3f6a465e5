import { type BundleOptions, DEFAULT_DELETION_BUDGET, type Manifest, type Slice } from "@muster/shared/model";
import { encodeManifestSet } from "@muster/shared/wire";
import type { BundleDefinition, ClusterDefinition, FleetModel, Target } from "../../fleet/model.ts";
import type { Composition, TargetOutcome } from "../compose-slices.ts";

/** Small fleets for tests of what is made of them. */
export const makeCluster = (name: string): ClusterDefinition => ({
  name,
  labels: {},
  variables: {},
  paused: false,
  at: { file: `clusters/${name}.yaml` },
});

export const makeBundle = (name: string, options: Partial<BundleOptions> = {}): BundleDefinition => ({
  name,
  source: "fleet",
  directory: name,
  targets: [{ all: true }],
  variables: {},
  patches: [],
  layers: [],
  at: { file: `${name}/bundle.yaml` },
  options: { drift: { mode: "correct", ignore: [] }, prune: true, createNamespace: false, dependsOn: [], ...options },
});

export const makeTarget = (bundle: string | BundleDefinition, cluster = "one"): Target => ({
  cluster: makeCluster(cluster),
  bundle: typeof bundle === "string" ? makeBundle(bundle) : bundle,
  layers: [],
});

const configMap = (name: string): Manifest => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, namespace: "a" },
  data: { data: "x" },
});

export const rendered = (target: Target, objects: readonly string[]): TargetOutcome => ({
  target,
  set: encodeManifestSet(objects.map(configMap)),
});
export const failed = (target: Target): TargetOutcome => ({ target, error: { code: "RENDER_HELM", message: "no" } });

/** A sound model of just these targets. */
export function makeModel(targets: readonly Target[], clusters: readonly string[] = ["one"], more: Partial<FleetModel> = {}): FleetModel {
  return {
    commits: [],
    clusters: new Map(clusters.map((name) => [name, makeCluster(name)])),
    bundles: new Map(targets.map(({ bundle }) => [bundle.name, bundle])),
    targets,
    problems: [],
    heldBundles: new Set(),
    heldClusters: new Set(),
    complete: true,
    deletionBudget: DEFAULT_DELETION_BUDGET,
    approvedDeletions: [],
    ...more,
  };
}

/** What is in force after a composition was published. */
export function published(composition: Composition, before: ReadonlyMap<string, Slice> = new Map()): Map<string, Slice> {
  const fresh = [...composition.slices].map(([name, content]): [string, Slice] => [
    name,
    { ...content, version: 1, trustDomain: "t", epoch: 1, generation: (before.get(name)?.generation ?? 0) + 1, commits: [] },
  ]);
  return new Map([...before, ...fresh]);
}
