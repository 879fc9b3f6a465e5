import type { KeptBundle, ObjectRefText, Slice, SliceBundle } from "@muster/shared/model";
import { isPaused, withPause } from "./with-pause.ts";

/** Why a bundle may not stand in a slice as it was wanted. */
export interface ObjectConflict {
  readonly ref: ObjectRefText;
  /** The bundle that has the same object. */
  readonly other: string;
}

/**
 * One object may stand in one bundle of a cluster only (E091). The bundle that had it in the slice before goes on and the
 * newcomer is held; if neither had it, both are. A held bundle falls back to its entry before, and to `keep` if that one is in
 * the way too. Falling back can bring a new conflict, so this goes on until there is none: at most two steps per bundle.
 */
export function resolveConflicts(
  wanted: readonly SliceBundle[],
  before: Slice | undefined,
): { readonly bundles: readonly SliceBundle[]; readonly conflicts: ReadonlyMap<string, ObjectConflict> } {
  const old = new Map((before?.bundles ?? []).map((bundle) => [bundle.name, bundle]));
  const hadBefore = membership(before?.bundles ?? []);
  const conflicts = new Map<string, ObjectConflict>();
  const fallen = new Set<string>();
  let bundles = wanted;
  for (;;) {
    const losers = findLosers(bundles, hadBefore);
    if (losers.size === 0) return { bundles, conflicts };
    for (const [name, conflict] of losers) if (!conflicts.has(name)) conflicts.set(name, conflict);
    bundles = bundles.map((bundle) => {
      if (!losers.has(bundle.name)) return bundle;
      const entry = old.get(bundle.name);
      const mayFall = entry?.state === "desired" && entry !== bundle && !fallen.has(bundle.name);
      fallen.add(bundle.name);
      return withPause(mayFall ? entry : heldBack(bundle.name), isPaused(bundle) ?? false);
    });
  }
}

function heldBack(name: string): KeptBundle {
  return { name, state: "keep", reason: "OBJECT_DUPLICATE" };
}

/** Bundles per object that more than one of them may have. */
function membership(bundles: readonly SliceBundle[]): Map<ObjectRefText, string[]> {
  const owners = new Map<ObjectRefText, string[]>();
  for (const bundle of bundles) {
    if (bundle.state !== "desired") continue;
    for (const ref of bundle.objects) {
      const known = owners.get(ref);
      if (known) known.push(bundle.name);
      else owners.set(ref, [bundle.name]);
    }
  }
  return owners;
}

function findLosers(
  bundles: readonly SliceBundle[],
  hadBefore: ReadonlyMap<ObjectRefText, readonly string[]>,
): Map<string, ObjectConflict> {
  const losers = new Map<string, ObjectConflict>();
  for (const [ref, names] of membership(bundles)) {
    if (names.length < 2) continue;
    const entitled = names.filter((name) => hadBefore.get(ref)?.includes(name));
    const winner = entitled.length === 1 ? entitled[0] : undefined;
    for (const name of names) {
      if (name === winner || losers.has(name)) continue;
      const other = winner ?? names.find((candidate) => candidate !== name) ?? name;
      losers.set(name, { ref, other });
    }
  }
  return losers;
}
