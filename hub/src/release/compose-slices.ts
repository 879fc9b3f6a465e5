import type { ErrorCode } from "@muster/shared/errors";
import {
  describeObjectRef,
  type KeptBundle,
  type ObjectRefText,
  parseObjectRef,
  type Slice,
  type SliceBundle,
  type SliceContent,
} from "@muster/shared/model";
import type { EncodedManifestSet } from "@muster/shared/wire";
import type { ClusterDefinition, FleetModel, FleetProblem, Target } from "../fleet/model.ts";
import { orderBundles } from "./order-bundles.ts";
import { resolveConflicts } from "./resolve-conflicts.ts";
import { withPause } from "./with-pause.ts";

/** What rendering one target gave. */
export type TargetOutcome =
  | { readonly target: Target; readonly set: EncodedManifestSet }
  | { readonly target: Target; readonly error: { readonly code: ErrorCode; readonly message: string } };

/** Something that holds back one target. */
export interface TargetProblem {
  readonly cluster: string;
  readonly bundle: string;
  readonly code: ErrorCode;
  readonly message: string;
}

/** What each cluster shall have. A cluster that is not in `slices` gets no new slice: what it has stays in force. */
export interface Composition {
  readonly slices: ReadonlyMap<string, SliceContent>;
  readonly problems: readonly TargetProblem[];
  /** Clusters that get no slice until all of Git can be read: what they have is not known, and so not what may go. */
  readonly waiting: readonly string[];
  /** Present if the whole revision is held. */
  readonly held?: FleetProblem;
}

/** Options of {@link composeSlices}. */
export interface ComposeOptions {
  readonly model: FleetModel;
  readonly outcomes: readonly TargetOutcome[];
  /** What the clusters have, as far as the hub knows it. Of a cluster that is not in it, anything may be there. */
  readonly previous: ReadonlyMap<string, Slice>;
  /** Whether a cluster's agent has said that it has taken no slice yet, so that there is nothing that could be lost. Default: none has. */
  readonly hasNothing?: (cluster: string) => boolean;
}

/**
 * Puts rendered targets together into slices. Pure. What cannot be known keeps what is there: a target that failed keeps its
 * entry of the previous slice, or is marked `keep`; an incomplete model removes nothing (ADR 0003).
 */
export function composeSlices(options: ComposeOptions): Composition {
  const { model, previous } = options;
  // A single source that says nothing only makes the model incomplete; a fleet that says nothing is held as a whole.
  const empty = model.problems.find(({ code, scope }) => code === "FLEET_EMPTY" && scope.kind === "fleet");
  const hadSomething = [...previous.values()].some((slice) => slice.bundles.length > 0);
  if (empty && (hadSomething || model.targets.length === 0)) return { slices: new Map(), problems: [], waiting: [], held: empty };

  const byCluster = Map.groupBy(options.outcomes, ({ target }) => target.cluster.name);
  const problems: TargetProblem[] = [];
  const slices = new Map<string, SliceContent>();
  const waiting: string[] = [];
  for (const cluster of model.clusters.values()) {
    const before = previous.get(cluster.name);
    // An incomplete model cannot say what is gone; without the slice before, nobody can say what there is to keep.
    if (!model.complete && !before && !options.hasNothing?.(cluster.name)) {
      waiting.push(cluster.name);
      continue;
    }
    const composed = composeSlice({ model, before, outcomes: byCluster.get(cluster.name) ?? [], cluster });
    slices.set(cluster.name, composed.slice);
    problems.push(...composed.problems);
  }
  return { slices, problems, waiting };
}

function composeSlice(options: ClusterInput & { readonly cluster: ClusterDefinition }): { slice: SliceContent; problems: TargetProblem[] } {
  const { model, before, cluster } = options;
  const { wanted, problems } = composeBundles(options);
  const { bundles, conflicts } = resolveConflicts(wanted, before);
  for (const [name, { ref, other }] of conflicts) {
    const message = `${describeObjectRef(parseObjectRef(ref))} stands in the bundles ${name} (${fileOf(model, name)}) and ${other} (${fileOf(model, other)})`;
    problems.push({ cluster: cluster.name, bundle: name, code: "OBJECT_DUPLICATE", message });
  }
  // The document that could not be read may be the one with the fleet's defaults, so these stay as they were.
  const settled = model.complete ? undefined : before;
  // A document that could not be read may be the bundle that an object has moved to.
  const isHeld = problems.length > 0 || model.heldBundles.size > 0 || !model.complete;
  const retained = isHeld && before ? leftWhileHeld(before, bundles) : [];
  const slice = {
    cluster: cluster.name,
    paused: cluster.paused,
    bundles: orderBundles(bundles),
    ...(retained.length > 0 && { retained }),
    deletionBudget: settled?.deletionBudget ?? model.deletionBudget,
    approvedDeletions: settled?.approvedDeletions ?? model.approvedDeletions,
  };
  return { slice, problems };
}

/** What one cluster's slice is made of. */
interface ClusterInput {
  readonly model: FleetModel;
  readonly before: Slice | undefined;
  readonly outcomes: readonly TargetOutcome[];
}

function composeBundles({ model, before, outcomes }: ClusterInput): { wanted: SliceBundle[]; problems: TargetProblem[] } {
  const old = new Map((before?.bundles ?? []).map((bundle) => [bundle.name, bundle]));
  const placed = new Set(outcomes.map(({ target }) => target.bundle.name));
  const wanted = outcomes.map((outcome) => entryOf(outcome, old.get(outcome.target.bundle.name), model.complete));
  // A bundle that exists but is not sound, or whose absence proves nothing, stays as it is.
  for (const [name, entry] of old) if (!placed.has(name) && (model.heldBundles.has(name) || !model.complete)) wanted.push(entry);
  // Without a slice before, a held bundle may be in the cluster all the same: say so, so that nothing of it is pruned.
  if (!before) for (const name of [...model.heldBundles].sort()) if (!placed.has(name)) wanted.push(keep(name, "FLEET_INVALID"));
  const problems = outcomes.flatMap((outcome) =>
    "error" in outcome ? [{ cluster: outcome.target.cluster.name, bundle: outcome.target.bundle.name, ...outcome.error }] : [],
  );
  return { wanted, problems };
}

function entryOf(outcome: TargetOutcome, known: SliceBundle | undefined, complete: boolean): SliceBundle {
  const { bundle } = outcome.target;
  if ("error" in outcome) {
    const entry = known ?? keep(bundle.name, outcome.error.code);
    return complete ? withPause(entry, bundle.options.paused === true) : entry;
  }
  const options = !complete && known?.state === "desired" ? known.options : bundle.options;
  return { name: bundle.name, state: "desired", manifestSet: outcome.set.ref, objects: outcome.set.objects, options };
}

/** What the slice before had and this one has not, although a held bundle might have it now: a move is not a deletion (E078). */
function leftWhileHeld(before: Slice, bundles: readonly SliceBundle[]): ObjectRefText[] {
  const objectsOf = (list: readonly SliceBundle[]) => list.flatMap((bundle) => (bundle.state === "desired" ? bundle.objects : []));
  const here = new Set(objectsOf(bundles));
  return [...new Set([...objectsOf(before.bundles), ...(before.retained ?? [])])].filter((ref) => !here.has(ref)).sort();
}

function fileOf(model: FleetModel, bundle: string): string {
  return model.bundles.get(bundle)?.at.file ?? "as it was published before";
}

function keep(name: string, reason: ErrorCode): KeptBundle {
  return { name, state: "keep", reason };
}
