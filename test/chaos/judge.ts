import { isDeepStrictEqual } from "node:util";
import { isJsonObject, type Manifest, type ObjectRefText, parseObjectRef } from "@muster/shared/model";
import { canonicalJson } from "@muster/shared/wire";
import type { Inventory } from "../../agent/src/plan/inventory.ts";
import { coveredBy, labelOf, type Revision } from "./revision.ts";

/** One object in the cluster that has our label. */
export interface LiveObject {
  readonly uid: string;
  readonly resourceVersion: string;
  /** Deleted; finalizers are outstanding. */
  readonly terminating: boolean;
  readonly manifest: Manifest;
}

/** What anybody can see of a cluster from outside. */
export interface Snapshot {
  readonly live: ReadonlyMap<ObjectRefText, LiveObject>;
  readonly inventory: Inventory;
  /** Of the slice that is kept, and of the high-water mark; 0 before the first. */
  readonly generation: { readonly slice: number; readonly highWater: number };
}

/** What is broken, by what it means. */
export interface Violation {
  /** `lost`: wanted and not there, or not as it is wanted. `deleted`: gone though nothing said so. */
  readonly kind: "lost" | "deleted" | "left" | "inventory" | "order" | "write" | "late";
  readonly what: string;
}

/** A violation, and when it was seen. */
export interface Finding extends Violation {
  readonly when: string;
  /** The end of what the agent said. */
  readonly log: string;
}

/** What happened since all was well. */
export interface Episode {
  readonly before: Snapshot;
  /** What was in force then, and what was published since. */
  readonly revisions: readonly Revision[];
  /** Objects that somebody else has deleted or edited since, or that may be made anew. */
  readonly disturbed: ReadonlySet<ObjectRefText>;
}

/** What must hold at every instant, here when an agent was killed. */
export function judgeInstant(episode: Episode, now: Snapshot): Violation[] {
  const { before } = episode;
  const violations: Violation[] = [];
  for (const ref of now.live.keys()) {
    if (!now.inventory.entries.has(ref))
      violations.push({ kind: "inventory", what: `${ref} is in the cluster and not in the inventory (I5)` });
  }
  for (const part of ["slice", "highWater"] as const) {
    const [was, is] = [before.generation[part], now.generation[part]];
    if (is < was) violations.push({ kind: "order", what: `the generation of the ${part} went from ${was} back to ${is} (I2)` });
  }
  return [...violations, ...judgeSurvivors(episode, now)];
}

/** I3, I4: what every revision has is the same object all the time; what no revision has changed was not written either. */
function judgeSurvivors({ before, revisions, disturbed }: Episode, now: Snapshot): Violation[] {
  const violations: Violation[] = [];
  for (const [ref, was] of before.live) {
    if (was.terminating || disturbed.has(ref) || !revisions.every((revision) => coveredBy(revision).has(ref))) continue;
    const is = now.live.get(ref);
    if (!is || is.terminating || is.uid !== was.uid) {
      const how = !is ? "is gone" : is.terminating ? "is being deleted" : "was made anew";
      violations.push({ kind: "deleted", what: `${ref} ${how}, though every revision has it (I3)` });
    } else if (is.resourceVersion !== was.resourceVersion && isUnchanged(ref, revisions)) {
      violations.push({ kind: "write", what: `${ref} was written, though no revision changed it (I9)` });
    }
  }
  return violations;
}

function isUnchanged(ref: ObjectRefText, revisions: readonly Revision[]): boolean {
  // The API server itself writes the status of definitions.
  if (parseObjectRef(ref).kind === "CustomResourceDefinition") return false;
  const wishes = revisions.map((revision) => revision.wanted.get(ref)).map((wish) => wish && canonicalJson(wish));
  return wishes.every((wish) => wish !== undefined && wish === wishes[0]);
}

/** What must hold once a revision is applied: the cluster, the inventory and Git say the same. Objects in `held` may be terminating, wanted again or not. */
export function judgeRest(now: Snapshot, revision: Revision, held: ReadonlySet<ObjectRefText>): Violation[] {
  const violations: Violation[] = [];
  for (const [ref, wish] of revision.wanted) {
    const live = now.live.get(ref);
    if (!live) violations.push({ kind: "lost", what: `${ref} is missing` });
    else if (live.terminating && held.has(ref)) continue;
    else if (live.terminating) violations.push({ kind: "lost", what: `${ref} is wanted and terminating` });
    else if (labelOf(live) !== wish.bundle || !isAsWanted(live.manifest, wish.manifest))
      violations.push({ kind: "lost", what: `${ref} is not as the bundle ${wish.bundle} wants it` });
  }
  for (const ref of revision.lingering) {
    if (!now.live.has(ref)) violations.push({ kind: "deleted", what: `${ref} is gone while a bundle is kept (I4)` });
  }
  for (const [ref, live] of now.live) {
    if (revision.wanted.has(ref) || revision.lingering.has(ref) || (held.has(ref) && live.terminating)) continue;
    const entry = now.inventory.entries.get(ref);
    const how = `${live.terminating ? "being deleted" : "not even being deleted"}, in the inventory ${JSON.stringify(entry)}`;
    violations.push({ kind: "left", what: `${ref} has left Git and is still there, ${how}` });
  }
  return [...violations, ...judgeInventory(now, revision)];
}

function judgeInventory({ live, inventory }: Snapshot, { wanted }: Revision): Violation[] {
  const violations: Violation[] = [];
  const say = (what: string) => violations.push({ kind: "inventory", what });
  for (const [ref, object] of live) {
    const entry = inventory.entries.get(ref);
    const bundle = wanted.get(ref)?.bundle ?? entry?.bundle;
    if (!entry) say(`${ref} is in the cluster and not in the inventory (I5)`);
    else if (entry.uid !== object.uid) say(`${ref} has the UID ${entry.uid} in the inventory and ${object.uid} in the cluster`);
    else if (entry.bundle !== bundle) say(`${ref} belongs to ${entry.bundle} in the inventory and to ${bundle} in Git`);
  }
  for (const ref of inventory.entries.keys()) if (!live.has(ref)) say(`${ref} is in the inventory and not in the cluster`);
  return violations;
}

/** All that is wanted is there, and `data` has nothing else. */
function isAsWanted(live: Manifest, wanted: Manifest): boolean {
  const { metadata: _, ...rest } = wanted;
  return has(live, rest) && (wanted["data"] === undefined || isDeepStrictEqual(live["data"], wanted["data"]));
}

function has(live: unknown, wanted: unknown): boolean {
  if (Array.isArray(wanted))
    return Array.isArray(live) && live.length === wanted.length && wanted.every((item, index) => has(live[index], item));
  if (!isJsonObject(wanted)) return live === wanted;
  return isJsonObject(live) && Object.entries(wanted).every(([key, value]) => has(live[key], value));
}
