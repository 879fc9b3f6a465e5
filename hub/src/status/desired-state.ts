import { formatPosition } from "@muster/shared/errors";
import { formatRevision, type Slice, type SliceBundle } from "@muster/shared/model";
import type { FleetModel, FleetProblem } from "../fleet/model.ts";
import type { TargetProblem } from "../release/compose-slices.ts";
import type { RenderNotice } from "../render/renderer.ts";
import { type KnownFleet, type KnownTarget, keepKnown } from "./known-fleet.ts";
import type { ConditionView } from "./views.ts";

/** What a run of the pipeline has found out. */
export interface PipelineResult {
  readonly model: FleetModel;
  readonly problems: readonly TargetProblem[];
  /** Clusters that get no slice until all of Git can be read. */
  readonly waiting: readonly string[];
  /** By `bundle/cluster`. */
  readonly notices: ReadonlyMap<string, readonly RenderNotice[]>;
  /** Slices in force after publishing. */
  readonly slices: ReadonlyMap<string, Slice>;
  /** How many of them moved. */
  readonly moved: number;
  readonly failed: ReadonlyMap<string, { readonly code: string; readonly message: string }>;
  readonly held?: { readonly code: string; readonly message: string };
  readonly commit?: { readonly subject: string; readonly author: string };
}

/** Something wrong in what people wrote, once, however many clusters it holds back. */
export interface Trouble {
  readonly condition: ConditionView;
  readonly event: "FleetInvalid" | "RenderFailed" | "PublishFailed" | "RevisionHeld";
  readonly bundle?: string;
}

/** A pipeline result with everything that questions look up. Immutable. */
export interface DesiredState {
  readonly result: PipelineResult;
  /** What is shown: more than what is sound. */
  readonly known: KnownFleet;
  readonly targetsOfCluster: ReadonlyMap<string, readonly KnownTarget[]>;
  readonly targetsOfBundle: ReadonlyMap<string, readonly KnownTarget[]>;
  bundleIn(cluster: string, bundle: string): SliceBundle | undefined;
  revisionOf(cluster: string): string | undefined;
  /** Conditions of a target, of a cluster and of a bundle. */
  targetConditions(bundle: string, cluster: string): readonly ConditionView[];
  clusterConditions(cluster: string): readonly ConditionView[];
  bundleConditions(bundle: string): readonly ConditionView[];
  /** By a key that stays the same while the trouble does. */
  readonly troubles: ReadonlyMap<string, Trouble>;
}

const NONE: readonly ConditionView[] = [];

/** Indexes a result; what was wrong before keeps its date. `now` is RFC 3339. */
export function indexResult(result: PipelineResult, before: DesiredState | undefined, now: string): DesiredState {
  const { troubles, byTarget, byCluster, byBundle, heldDocuments } = indexTroubles(result, before, now);
  const known = keepKnown(result, before?.known);
  const targetsOfCluster = Map.groupBy(known.targets, ({ cluster }) => cluster.name);
  const targetsOfBundle = Map.groupBy(known.targets, ({ bundle }) => bundle.name);
  const bundles = new Map<string, Map<string, SliceBundle>>();
  const revisions = new Map<string, string>();
  return {
    result,
    known,
    targetsOfCluster,
    targetsOfBundle,
    troubles,
    bundleIn(cluster, bundle) {
      let entries = bundles.get(cluster);
      if (!entries) {
        entries = new Map((result.slices.get(cluster)?.bundles ?? []).map((entry) => [entry.name, entry]));
        bundles.set(cluster, entries);
      }
      return entries.get(bundle);
    },
    revisionOf(cluster) {
      const slice = result.slices.get(cluster);
      if (!slice) return undefined;
      let revision = revisions.get(cluster);
      if (revision === undefined) {
        revision = formatRevision(slice.commits);
        revisions.set(cluster, revision);
      }
      return revision;
    },
    targetConditions(bundle, cluster) {
      const own = byTarget.get(`${bundle}/${cluster}`) ?? NONE;
      // Its document holds a bundle wherever it is.
      const held = heldDocuments.get(bundle);
      return held ? [...own, ...held] : own;
    },
    clusterConditions: (cluster) => byCluster.get(cluster) ?? NONE,
    bundleConditions: (bundle) => byBundle.get(bundle) ?? NONE,
  };
}

interface IndexedTroubles {
  readonly troubles: Map<string, Trouble>;
  readonly byTarget: Map<string, ConditionView[]>;
  readonly byCluster: Map<string, ConditionView[]>;
  readonly byBundle: Map<string, ConditionView[]>;
  /** By bundle: what is wrong in the document itself. */
  readonly heldDocuments: Map<string, ConditionView[]>;
}

/**
 * Takes note of a trouble, once, and gives its condition with the date since when it is there. `what` tells it from others, as
 * its message does by default: a trouble that holds one more cluster than before is the same one.
 */
type NoteTrouble = (
  event: Trouble["event"],
  condition: Omit<ConditionView, "status" | "since">,
  more?: { readonly bundle?: string; readonly what?: string },
) => ConditionView;

function indexTroubles(result: PipelineResult, before: DesiredState | undefined, now: string): IndexedTroubles {
  const index: IndexedTroubles = {
    troubles: new Map(),
    byTarget: new Map(),
    byCluster: new Map(),
    byBundle: new Map(),
    heldDocuments: new Map(),
  };
  const { troubles, byCluster } = index;
  const note: NoteTrouble = (event, condition, { bundle, what = condition.message } = {}) => {
    const key = [event, bundle, condition.reason, what, condition.at].join("\n");
    const since = before?.troubles.get(key)?.condition.since ?? now;
    const dated: ConditionView = { ...condition, status: "True", since };
    if (!troubles.has(key)) troubles.set(key, { condition: dated, event, ...(bundle && { bundle }) });
    return dated;
  };
  indexMistakes(result.model.problems, index, note);
  indexHeldTargets(result.problems, index, note);
  for (const [cluster, { code, message }] of result.failed) {
    append(byCluster, cluster, note("PublishFailed", { type: "PublishFailed", reason: code, message }));
  }
  for (const cluster of result.waiting) {
    const message = "what this cluster has is not known, and a part of Git cannot be read: it gets no slice until it can";
    append(byCluster, cluster, note("RenderFailed", { type: "Held", reason: "FLEET_INVALID", message }, { what: `waits ${cluster}` }));
  }
  indexRetained(result.slices, index, before, now);
  if (result.held) note("RevisionHeld", { type: "RevisionHeld", reason: result.held.code, message: result.held.message });
  indexNotices(result.notices, index, before, now);
  return index;
}

/** What people wrote wrong: it holds the cluster or the bundle that it stands in. */
function indexMistakes(problems: readonly FleetProblem[], index: IndexedTroubles, note: NoteTrouble): void {
  for (const { code, message, at, scope } of problems) {
    const invalid = { type: "Invalid", reason: code, message, ...(at && { at: formatPosition(at) }) };
    const condition = note("FleetInvalid", invalid, scope.kind === "bundle" ? { bundle: scope.name } : {});
    const held = { ...condition, type: "Held" };
    if (scope.kind === "cluster") append(index.byCluster, scope.name, held);
    if (scope.kind !== "bundle") continue;
    append(index.byBundle, scope.name, held);
    append(index.heldDocuments, scope.name, held);
  }
}

/** What could not be rendered: it holds targets, of which those with the same reason are one trouble. */
function indexHeldTargets(problems: readonly TargetProblem[], { byTarget, byBundle }: IndexedTroubles, note: NoteTrouble): void {
  for (const [text, same] of Map.groupBy(problems, ({ bundle, message }) => `${bundle}: ${message}`)) {
    const [first] = same;
    if (!first) continue;
    const where = same.length === 1 ? first.cluster : `${same.length} clusters`;
    const held = { type: "Held", reason: first.code, message: `${text} (${where})` };
    const shown = note("RenderFailed", held, { bundle: first.bundle, what: text });
    for (const { bundle, cluster } of same) append(byTarget, `${bundle}/${cluster}`, { ...shown, message: first.message });
    append(byBundle, first.bundle, shown);
  }
}

/** What left a bundle and is kept all the same, because a bundle that is held may have it now. Why that one is held stands elsewhere. */
function indexRetained(
  slices: PipelineResult["slices"],
  { byCluster }: IndexedTroubles,
  before: DesiredState | undefined,
  now: string,
): void {
  for (const [cluster, { retained }] of slices) {
    if (!retained || retained.length === 0) continue;
    const since = before?.clusterConditions(cluster).find(({ type }) => type === "Retained")?.since ?? now;
    const message = `${retained.length} objects that left Git stay until every bundle of the cluster can be read and rendered`;
    append(byCluster, cluster, { type: "Retained", status: "True", reason: "Retained", message, since });
  }
}

/** Notices are no troubles: nothing is held back by them. */
function indexNotices(all: PipelineResult["notices"], { byTarget }: IndexedTroubles, before: DesiredState | undefined, now: string): void {
  for (const [key, notices] of all) {
    const known = before?.targetConditions(...split(key)) ?? [];
    for (const { type, message } of notices) {
      const since = known.find((condition) => condition.type === type && condition.message === message)?.since ?? now;
      append(byTarget, key, { type, status: "True", reason: type, message, since });
    }
  }
}

function append<T>(map: Map<string, T[]>, key: string, item: T): void {
  const list = map.get(key);
  if (list) list.push(item);
  else map.set(key, [item]);
}

function split(key: string): [string, string] {
  const slash = key.indexOf("/");
  return [key.slice(0, slash), key.slice(slash + 1)];
}
