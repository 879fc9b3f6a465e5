import {
  BUNDLE_LABEL,
  formatObjectRef,
  isJsonObject,
  type Manifest,
  type ObjectRefText,
  objectRefOf,
  parseObjectRef,
  type Slice,
} from "@muster/shared/model";
import { deletionApprovalId } from "@muster/shared/wire";
import { RECREATE_ANNOTATION } from "../../agent/src/apply/recreate.ts";
import type { MadeBundle } from "../../agent/src/pull/testing/slice-maker.ts";

/** One object that a revision wants. */
export interface Wish {
  readonly bundle: string;
  readonly manifest: Manifest;
}

/** What Git says at one moment, as a slice is made of it, and what must be in the cluster once it is applied. */
export interface Revision {
  readonly bundles: readonly MadeBundle[];
  readonly more: Partial<Slice>;
  readonly wanted: ReadonlyMap<ObjectRefText, Wish>;
  /** Left Git, but must stay as long as the slice keeps a bundle: they may be in that one. */
  readonly lingering: ReadonlySet<ObjectRefText>;
  /** What each bundle was when it was last rendered. */
  readonly good: ReadonlyMap<string, readonly Manifest[]>;
  /** What somebody has applied with kubectl before Git had it. */
  readonly existing?: readonly Manifest[];
}

/** Before the first. */
export const NOTHING: Revision = { bundles: [], more: {}, wanted: new Map(), lingering: new Set(), good: new Map() };

/** Every object that may be in the cluster under a revision. */
export function coveredBy(revision: Revision): Set<ObjectRefText> {
  return new Set([...revision.wanted.keys(), ...revision.lingering]);
}

/** Objects that are deleted and made anew where they cannot be changed, though Git has them all the time. */
export function renewedBy(revisions: readonly Revision[]): Set<ObjectRefText> {
  const wishes = revisions.flatMap(({ wanted }) => [...wanted]);
  const isRenewed = ({ annotations }: Manifest["metadata"]) => isJsonObject(annotations) && annotations[RECREATE_ANNOTATION] !== undefined;
  return new Set(wishes.filter(([, { manifest }]) => isRenewed(manifest.metadata)).map(([ref]) => ref));
}

/** Objects that stay after their deletion until their finalizers are taken off. Of what only lingers its name tells. */
export function heldBy(revisions: readonly Revision[]): Set<ObjectRefText> {
  const wishes = revisions.flatMap(({ wanted }) => [...wanted]);
  const held = wishes.filter(([, { manifest }]) => manifest.metadata["finalizers"] !== undefined).map(([ref]) => ref);
  const lingering = revisions.flatMap((revision) => [...revision.lingering]).filter((ref) => parseObjectRef(ref).name.includes("held"));
  return new Set([...held, ...lingering]);
}

/**
 * A revision from its bundles; one without objects is kept as it was last. `recent`: what else may be in the cluster, if revisions
 * followed each other faster than the agent.
 */
export function toRevision(bundles: readonly MadeBundle[], before: Revision, recent: readonly Revision[] = []): Revision {
  const wanted = new Map<ObjectRefText, Wish>();
  const good = new Map<string, readonly Manifest[]>();
  const want = (bundle: string, manifests: readonly Manifest[], { over }: { readonly over: boolean }) => {
    good.set(bundle, manifests);
    for (const manifest of manifests) {
      const ref = formatObjectRef(objectRefOf(manifest));
      if (over || !wanted.has(ref)) wanted.set(ref, { bundle, manifest });
    }
  };
  for (const { name, objects } of bundles) if (objects) want(name, objects, { over: true });
  // What moved out of a kept bundle into one that is known belongs to the latter.
  for (const { name, objects } of bundles) if (!objects) want(name, before.good.get(name) ?? [], { over: false });
  const isKept = bundles.some(({ objects }) => !objects);
  const lingering = isKept ? [...coveredBy(before)].filter((ref) => !wanted.has(ref)) : [];
  const there = new Set([before, ...recent].flatMap((revision) => [...coveredBy(revision)]));
  const more = { deletionBudget: { objects: 50, percent: 100 }, approvedDeletions: approvals(there, wanted) };
  return { bundles, more, wanted, lingering: new Set(lingering), good };
}

/** Definitions are deleted only with an approval of just those that leave; which of them are still there, nobody knows. */
function approvals(there: ReadonlySet<ObjectRefText>, wanted: ReadonlyMap<ObjectRefText, Wish>): string[] {
  const leaving = [...there].filter((ref) => !wanted.has(ref) && parseObjectRef(ref).kind === "CustomResourceDefinition");
  const sets: ObjectRefText[][] = [[]];
  for (const ref of leaving) sets.push(...sets.map((set) => [...set, ref]));
  return sets.slice(1).map((set) => deletionApprovalId(set));
}

/** As the hub labels what it renders. */
export function labelOf({ manifest }: { readonly manifest: Manifest }): unknown {
  return (manifest.metadata["labels"] as Record<string, unknown> | undefined)?.[BUNDLE_LABEL];
}
