import { type CommitRef, DEFAULT_DELETION_BUDGET, matchesSelector } from "@muster/shared/model";
import { defined, optionsOf } from "./bundle-options.ts";
import { orderByDependencies } from "./bundle-order.ts";
import type { BundleDocument, ClusterRuleDocument, FleetDocument } from "./document-schemas.ts";
import type {
  AgentIdentityInGit,
  BundleDefinition,
  ClusterDefinition,
  FleetModel,
  FleetProblem,
  LayerDefinition,
  PatchSpec,
  Target,
  TargetRule,
} from "./model.ts";
import { parsePatch } from "./parse-patch.ts";
import type { ReadDocument, ReadFile } from "./read-documents.ts";

/** What one source says. A source without a commit, or that could not be read, has no files, and makes the model incomplete. */
export interface FleetSourceInput {
  readonly source: string;
  readonly commit?: CommitRef;
  readonly files: readonly ReadFile[];
  /** Why it could not be read, as far as nobody else tells it. */
  readonly problem?: Pick<FleetProblem, "code" | "message" | "at">;
}

type BundleRead = Extract<ReadDocument, { kind: "Bundle" }>;

/** Resolves what the sources say into clusters, bundles and targets. Pure. One document's error holds back that one only. */
export function buildFleet(inputs: readonly FleetSourceInput[]): FleetModel {
  const found: Found = { problems: [], held: { Cluster: new Set(), Bundle: new Set() }, complete: true };
  for (const input of inputs) checkSource(input, found);
  const documents = collectDocuments(inputs, found);
  const fleet = readFleet(documents, found);
  const clusters = readClusters(documents, found);
  const bundles = readBundles(documents, fleet, clusters, found);
  const order = settleDependencies(bundles, found);
  const { problems, held, complete } = found;
  if (complete && (clusters.size + held.Cluster.size === 0 || bundles.size + held.Bundle.size === 0)) {
    const what = clusters.size === 0 ? "cluster" : "bundle";
    problems.push({ code: "FLEET_EMPTY", message: `the sources declare no ${what} at all`, scope: { kind: "fleet" } });
  }
  const budget = fleet?.spec?.defaults?.deletion?.budget;
  return {
    commits: inputs.flatMap((input) => (input.commit ? [input.commit] : [])),
    clusters,
    bundles,
    targets: resolveTargets(
      clusters,
      order.flatMap((name) => bundles.get(name) ?? []),
    ),
    problems,
    heldBundles: held.Bundle,
    heldClusters: held.Cluster,
    complete,
    deletionBudget: {
      objects: budget?.objects ?? DEFAULT_DELETION_BUDGET.objects,
      percent: budget?.percent ?? DEFAULT_DELETION_BUDGET.percent,
    },
    approvedDeletions: [...(fleet?.spec?.deletion?.approvals ?? [])].sort(),
  };
}

/** What is wrong so far, and what that makes uncertain. */
interface Found {
  readonly problems: FleetProblem[];
  /** Names whose document exists and cannot be used. */
  readonly held: Readonly<Record<"Cluster" | "Bundle", Set<string>>>;
  /** False: something could not be read at all, so absence proves nothing (ADR 0003). */
  complete: boolean;
}

/** A source that cannot be read, or that says nothing at all, is no reason to remove what it said before. */
function checkSource({ source, commit, files, problem }: FleetSourceInput, found: Found): void {
  const isSilent = commit !== undefined && !problem && files.every((file) => file.documents.length + file.problems.length === 0);
  if (commit && !problem && !isSilent) return;
  found.complete = false;
  const scope = { kind: "document" } as const;
  if (problem) found.problems.push({ ...problem, scope });
  else if (isSilent) found.problems.push({ code: "FLEET_EMPTY", message: `the source ${source} declares no cluster and no bundle`, scope });
}

/** There is one set of defaults; with two, neither is known to be meant. */
function readFleet(documents: readonly ReadDocument[], found: Found): FleetDocument | undefined {
  const fleets = documents.filter((read) => read.kind === "Fleet");
  const [first, second] = fleets;
  if (second) {
    found.complete = false;
    const message = `the fleet is declared twice: ${placesOf(fleets)}`;
    found.problems.push({ code: "FLEET_DUPLICATE", message, at: second.at, scope: { kind: "document" } });
  }
  return first?.document as FleetDocument | undefined;
}

function placesOf(reads: readonly ReadDocument[]): string {
  const isOneSource = new Set(reads.map(({ at }) => at.source)).size === 1;
  return reads.map(({ at }) => `${isOneSource ? "" : `${at.source}: `}${at.file}:${at.line ?? 1}`).join(" and ");
}

function collectDocuments(inputs: readonly FleetSourceInput[], found: Found): ReadDocument[] {
  const files = inputs.flatMap((input) => input.files);
  for (const { kind, name, ...problem } of files.flatMap((file) => file.problems)) {
    const named = name !== undefined && (kind === "Cluster" || kind === "Bundle");
    if (named) found.held[kind].add(name);
    else found.complete = false;
    const scope = named ? ({ kind: kind === "Cluster" ? "cluster" : "bundle", name } as const) : ({ kind: "document" } as const);
    found.problems.push({ ...problem, scope });
  }
  return files.flatMap((file) => file.documents);
}

function readClusters(documents: readonly ReadDocument[], found: Found): Map<string, ClusterDefinition> {
  const clusters = new Map<string, ClusterDefinition>();
  for (const read of unique(documents, "Cluster", found)) {
    const { metadata, spec } = read.document as {
      metadata: { name: string; labels?: Record<string, string> };
      spec?: { variables?: ClusterDefinition["variables"]; paused?: boolean; identity?: AgentIdentityInGit } | null;
    };
    clusters.set(metadata.name, {
      name: metadata.name,
      labels: metadata.labels ?? {},
      variables: spec?.variables ?? {},
      paused: spec?.paused ?? false,
      ...(spec?.identity && { identity: spec.identity }),
      at: read.at,
    });
  }
  return clusters;
}

function readBundles(
  documents: readonly ReadDocument[],
  fleet: FleetDocument | undefined,
  clusters: ReadonlyMap<string, ClusterDefinition>,
  { problems, held }: Found,
): Map<string, BundleDefinition> {
  const bundles = new Map<string, BundleDefinition>();
  for (const read of unique(documents, "Bundle", { problems, held })) {
    const wrong: FleetProblem[] = [];
    const bundle = toBundle(read as BundleRead, fleet, wrong);
    const { name } = bundle;
    for (const unknown of namedClusters(bundle).filter((cluster) => !clusters.has(cluster) && !held.Cluster.has(cluster))) {
      const message = `the cluster ${unknown} is not declared`;
      wrong.push({ code: "FLEET_UNKNOWN_CLUSTER", message, at: read.at, scope: { kind: "bundle", name } });
    }
    problems.push(...wrong);
    if (wrong.length > 0) held.Bundle.add(name);
    else bundles.set(name, bundle);
  }
  return bundles;
}

/** Names of bundles, each after what it depends on. Those that cannot be ordered leave the map and are held. */
function settleDependencies(bundles: Map<string, BundleDefinition>, { problems, held }: Found): string[] {
  const { order, problems: wrong } = orderByDependencies(bundles, held.Bundle);
  problems.push(...wrong);
  for (const { scope } of wrong) {
    if (scope.kind !== "bundle") continue;
    held.Bundle.add(scope.name);
    bundles.delete(scope.name);
  }
  return order;
}

/** Documents of a kind, less those whose name stands twice: with two, neither is known to be meant. */
function unique(
  documents: readonly ReadDocument[],
  kind: "Cluster" | "Bundle",
  { problems, held }: Pick<Found, "problems" | "held">,
): ReadDocument[] {
  const byName = new Map<string, ReadDocument[]>();
  for (const read of documents) {
    if (read.kind !== kind) continue;
    const name = read.document.metadata.name;
    byName.set(name, [...(byName.get(name) ?? []), read]);
  }
  const sound: ReadDocument[] = [];
  for (const [name, reads] of byName) {
    const [first, second] = reads;
    if (!first || held[kind].has(name)) continue;
    if (!second) {
      sound.push(first);
      continue;
    }
    held[kind].add(name);
    const message = `the ${kind.toLowerCase()} ${name} is declared twice: ${placesOf(reads)}`;
    problems.push({ code: "FLEET_DUPLICATE", message, at: second.at, scope: { kind: kind === "Cluster" ? "cluster" : "bundle", name } });
  }
  return sound;
}

function toBundle(read: BundleRead, fleet: FleetDocument | undefined, problems: FleetProblem[]): BundleDefinition {
  const { metadata, spec } = read.document;
  const defaults = fleet?.spec?.defaults;
  const scope = { kind: "bundle", name: metadata.name } as const;
  const rule = (document: ClusterRuleDocument, path: readonly (string | number)[]): TargetRule => {
    const at = read.positionOf(path);
    const ways = [document.all, document.clusters, document.matchLabels ?? document.matchExpressions].filter(
      (way) => way !== undefined,
    ).length;
    if (ways > 1)
      problems.push({ code: "FLEET_SELECTOR", message: "name labels, or clusters, or `all: true`: only one of them", at, scope });
    if (document.all) return { all: true };
    if (document.clusters) return { clusters: document.clusters };
    const { matchLabels, matchExpressions } = document;
    if (Object.keys(matchLabels ?? {}).length + (matchExpressions ?? []).length === 0) {
      problems.push({
        code: "FLEET_EMPTY_SELECTOR",
        message: "an empty selector would match every cluster; write `all: true` if that is meant",
        at,
        scope,
      });
    }
    return { selector: toSelector(document) };
  };
  if (spec.helm && spec.kustomize)
    problems.push({
      code: "FLEET_INVALID",
      message: "helm and kustomize exclude each other",
      at: read.positionOf(["spec", "kustomize"]),
      scope,
    });
  const patches = (list: BundleDocument["spec"]["patches"], path: readonly (string | number)[]): PatchSpec[] =>
    (list ?? []).map((entry, index) => {
      const at = read.positionOf([...path, index, "patch"]);
      return { target: defined(entry.target), patch: parsePatch(entry.patch, at, scope, problems), at };
    });
  const slash = read.at.file.lastIndexOf("/");
  return {
    name: metadata.name,
    source: read.at.source ?? "",
    directory: slash < 0 ? "" : read.at.file.slice(0, slash),
    targets: spec.targets.map((target, index) => rule(target, ["spec", "targets", index])),
    ...(spec.namespace && { namespace: spec.namespace }),
    variables: spec.variables ?? {},
    ...(spec.helm && { helm: defined(spec.helm) as NonNullable<BundleDefinition["helm"]> }),
    ...(spec.kustomize && { kustomize: spec.kustomize }),
    patches: patches(spec.patches, ["spec", "patches"]),
    layers: (spec.layers ?? []).map((layer, index): LayerDefinition => {
      const path = ["spec", "layers", index];
      const who = rule(layer.selector, [...path, "selector"]);
      return {
        selector: "selector" in who ? who.selector : who,
        variables: layer.variables ?? {},
        ...(layer.helm && { helm: defined(layer.helm) as NonNullable<LayerDefinition["helm"]> }),
        ...(layer.kustomize && { kustomize: layer.kustomize }),
        ...(layer.namespace && { namespace: layer.namespace }),
        patches: patches(layer.patches, [...path, "patches"]),
        at: read.positionOf(path),
      };
    }),
    options: optionsOf(spec, defaults),
    at: read.at,
  };
}

function toSelector(document: ClusterRuleDocument) {
  return {
    ...(document.matchLabels && { matchLabels: document.matchLabels }),
    ...(document.matchExpressions && {
      matchExpressions: document.matchExpressions.map(({ key, operator, values }) => ({ key, operator, ...(values && { values }) })),
    }),
  };
}

function namedClusters(bundle: BundleDefinition): string[] {
  const rules = [...bundle.targets, ...bundle.layers.map((layer) => layer.selector)];
  return rules.flatMap((rule) => ("clusters" in rule ? rule.clusters : []));
}

function resolveTargets(clusters: ReadonlyMap<string, ClusterDefinition>, bundles: readonly BundleDefinition[]): Target[] {
  const targets: Target[] = [];
  for (const name of [...clusters.keys()].sort()) {
    const cluster = clusters.get(name);
    if (!cluster) continue;
    for (const bundle of bundles) {
      if (!bundle.targets.some((rule) => matchesRule(rule, cluster))) continue;
      const layers = bundle.layers.filter((layer) =>
        matchesRule("all" in layer.selector || "clusters" in layer.selector ? layer.selector : { selector: layer.selector }, cluster),
      );
      targets.push({ cluster, bundle, layers });
    }
  }
  return targets;
}

function matchesRule(rule: TargetRule, cluster: ClusterDefinition): boolean {
  if ("all" in rule) return true;
  if ("clusters" in rule) return rule.clusters.includes(cluster.name);
  return matchesSelector(rule.selector, cluster.labels);
}
