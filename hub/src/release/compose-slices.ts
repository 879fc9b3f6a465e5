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
import type { FleetModel, FleetProblem, Target } from "../fleet/model.ts";
import { orderBundles } from "./order-bundles.ts";
import { resolveConflicts } from "./resolve-conflicts.ts";

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
  /** Present if the whole revision is held. */
  readonly held?: FleetProblem;
}

/** Options of {@link composeSlices}. */
export interface ComposeOptions {
  readonly model: FleetModel;
  readonly outcomes: readonly TargetOutcome[];
  /** The slices in force, as far as the hub knows them. */
  readonly previous: ReadonlyMap<string, Slice>;
}

/**
 * Puts rendered targets together into slices. Pure. What cannot be known keeps what is there: a target that failed keeps its
 * entry of the previous slice, or is marked `keep`; an incomplete model removes nothing (ADR 0003).
 */
export function composeSlices(options: ComposeOptions): Composition {
  const { model, previous } = options;
  const empty = model.problems.find((problem) => problem.code === "FLEET_EMPTY");
  const hadSomething = [...previous.values()].some((slice) => slice.bundles.length > 0);
  if (empty && (hadSomething || model.targets.length === 0)) return { slices: new Map(), problems: [], held: empty };

  const byCluster = new Map<string, TargetOutcome[]>();
  for (const outcome of options.outcomes) {
    const name = outcome.target.cluster.name;
    const list = byCluster.get(name);
    if (list) list.push(outcome);
    else byCluster.set(name, [outcome]);
  }
  const problems: TargetProblem[] = [];
  const slices = new Map<string, SliceContent>();
  for (const cluster of model.clusters.values()) {
    const before = previous.get(cluster.name);
    // An incomplete model cannot say what is gone; without the slice before there is nothing to keep either.
    if (!model.complete && !before) continue;
    const wanted = composeBundles({ model, before, outcomes: byCluster.get(cluster.name) ?? [], cluster: cluster.name, problems });
    // The document that could not be read may be the one with the fleet's defaults, so these stay as they were.
    const settled = model.complete ? undefined : before;
    const { bundles, conflicts } = resolveConflicts(wanted, before);
    for (const [name, { ref, other }] of conflicts) {
      const message = `${describeObjectRef(parseObjectRef(ref))} stands in the bundles ${name} (${fileOf(model, name)}) and ${other} (${fileOf(model, other)})`;
      problems.push({ cluster: cluster.name, bundle: name, code: "OBJECT_DUPLICATE", message });
    }
    const isHeld = problems.some((problem) => problem.cluster === cluster.name) || model.heldBundles.size > 0;
    const retained = isHeld && before ? leftWhileHeld(before, bundles) : [];
    slices.set(cluster.name, {
      cluster: cluster.name,
      paused: cluster.paused,
      bundles: orderBundles(bundles),
      ...(retained.length > 0 && { retained }),
      deletionBudget: settled?.deletionBudget ?? model.deletionBudget,
      approvedDeletions: settled?.approvedDeletions ?? model.approvedDeletions,
    });
  }
  return { slices, problems };
}

function composeBundles(options: {
  model: FleetModel;
  before: Slice | undefined;
  outcomes: readonly TargetOutcome[];
  cluster: string;
  problems: TargetProblem[];
}): SliceBundle[] {
  const { model, before, outcomes, cluster, problems } = options;
  const old = new Map((before?.bundles ?? []).map((bundle) => [bundle.name, bundle]));
  const result: SliceBundle[] = [];
  const placed = new Set<string>();
  for (const outcome of outcomes) {
    const { bundle } = outcome.target;
    placed.add(bundle.name);
    if ("set" in outcome) {
      const known = old.get(bundle.name);
      const options = !model.complete && known?.state === "desired" ? known.options : bundle.options;
      result.push({ name: bundle.name, state: "desired", manifestSet: outcome.set.ref, objects: outcome.set.objects, options });
      continue;
    }
    problems.push({ cluster, bundle: bundle.name, ...outcome.error });
    result.push(old.get(bundle.name) ?? keep(bundle.name, outcome.error.code));
  }
  for (const [name, entry] of old) {
    if (placed.has(name)) continue;
    // A bundle that exists but is not sound, or whose absence proves nothing, stays as it is.
    if (model.heldBundles.has(name) || !model.complete) result.push(entry);
  }
  // Without a slice before, a held bundle may be in the cluster all the same: say so, so that nothing of it is pruned.
  if (!before) for (const name of [...model.heldBundles].sort()) if (!placed.has(name)) result.push(keep(name, "FLEET_INVALID"));
  return result;
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
