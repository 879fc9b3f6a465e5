import { BUNDLE_LABEL, formatObjectRef, type Manifest, type ObjectRefText, objectRefOf } from "@muster/shared/model";
import { describe, expect, it } from "vitest";
import type { Inventory } from "../../agent/src/plan/inventory.ts";
import { judgeInstant, judgeRest, type LiveObject, type Snapshot } from "./judge.ts";
import { laneObjects } from "./objects.ts";
import { heldBy, NOTHING, type Revision, toRevision } from "./revision.ts";

const { map, held, definition } = laneObjects("l1");
const refOf = (manifest: Manifest) => formatObjectRef(objectRefOf(manifest));
const revisionOf = (...objects: Manifest[]) => toRevision([{ name: "app", objects }], NOTHING);
const none: ReadonlySet<ObjectRefText> = new Set();

/** A cluster in which everything is as the revision says. */
function snapshotOf({ wanted }: Revision): Snapshot {
  const live = new Map<ObjectRefText, LiveObject>();
  const entries = new Map(
    [...wanted].map(([ref, { bundle, manifest }]) => {
      const labelled = { ...manifest, metadata: { ...manifest.metadata, labels: { [BUNDLE_LABEL]: bundle } } };
      live.set(ref, { uid: `uid-${ref}`, resourceVersion: "1", terminating: false, manifest: labelled as Manifest });
      return [ref, { ref, bundle, uid: `uid-${ref}` }];
    }),
  );
  return { live, inventory: { entries, applied: new Map(), bundles: new Map(), rebuilt: false }, generation: { slice: 5, highWater: 5 } };
}

const changed = (snapshot: Snapshot, ref: ObjectRefText, change: Partial<LiveObject> | undefined): Snapshot => {
  const live = new Map(snapshot.live);
  const known = live.get(ref);
  if (change === undefined) live.delete(ref);
  else if (known) live.set(ref, { ...known, ...change });
  return { ...snapshot, live };
};
const forgotten = (snapshot: Snapshot, ref: ObjectRefText): Snapshot => {
  const entries = new Map([...snapshot.inventory.entries].filter(([other]) => other !== ref));
  return { ...snapshot, inventory: { ...snapshot.inventory, entries } as Inventory };
};

const [x, y] = [map("x", 1), map("y", 1)];
const [X, Y] = [refOf(x), refOf(y)];
const both = revisionOf(x, y);
const only = revisionOf(x);
const before = snapshotOf(both);
const instant = (now: Snapshot, revisions = [both, only]) =>
  judgeInstant({ before, revisions, disturbed: none }, now).map(({ kind }) => kind);
const rest = (now: Snapshot, revision = both) => judgeRest(now, revision, none).map(({ kind }) => kind);

describe("what is judged when an agent was killed", () => {
  it("finds nothing wrong while an agent is on its way", () => {
    expect(instant(before)).toEqual([]);
    expect(instant(changed(before, Y, undefined))).toEqual([]);
    expect(instant(changed(before, X, { resourceVersion: "2" }), [both, revisionOf(map("x", 2), y)])).toEqual([]);
  });

  it.each<[string, Snapshot, string]>([
    ["an object that is in the cluster and not in the inventory", forgotten(before, Y), "inventory"],
    ["an object that is gone though every revision has it", changed(before, X, undefined), "deleted"],
    ["one that is being deleted", changed(before, X, { terminating: true }), "deleted"],
    ["one that was deleted and made anew", changed(before, X, { uid: "other" }), "deleted"],
    ["one that was written though nothing had changed", changed(before, X, { resourceVersion: "2" }), "write"],
    ["a slice that is older than the one before", { ...before, generation: { slice: 4, highWater: 5 } }, "order"],
    ["a high-water mark that went back", { ...before, generation: { slice: 5, highWater: 4 } }, "order"],
  ])("finds %s", (_, now, kind) => {
    expect(instant(now)).toEqual([kind]);
  });

  it("does not blame an agent for what somebody else has done", () => {
    const now = changed(before, X, { uid: "other", resourceVersion: "2" });
    expect(judgeInstant({ before, revisions: [both], disturbed: new Set([X]) }, now)).toEqual([]);
  });
});

describe("what is judged at rest", () => {
  it("finds nothing wrong when the cluster, the inventory and Git say the same", () => {
    expect(rest(before)).toEqual([]);
  });

  it.each<[string, Snapshot, Revision, string[]]>([
    ["an object that is missing", forgotten(changed(before, X, undefined), X), both, ["lost"]],
    ["one that is not as it is wanted", before, revisionOf(map("x", 2), y), ["lost"]],
    [
      "one that has the label of another bundle",
      before,
      toRevision([{ name: "other", objects: [x, y] }], NOTHING),
      ["lost", "lost", "inventory", "inventory"],
    ],
    ["one that has left Git", before, only, ["left"]],
    ["one that the inventory does not have", forgotten(before, Y), both, ["inventory"]],
    ["an entry of an object that is gone", changed(before, Y, undefined), only, ["inventory"]],
    ["an entry with the UID of an object that is gone", changed(before, Y, { uid: "other" }), both, ["inventory"]],
    [
      "what was deleted while a bundle is kept",
      forgotten(changed(before, Y, undefined), Y),
      toRevision([{ name: "app", objects: [x] }, { name: "other" }], both),
      ["deleted"],
    ],
  ])("finds %s", (_, now, revision, kinds) => {
    expect(rest(now, revision)).toEqual(kinds);
  });

  it("lets an object wait for its finalizer, wanted again or not, and only that one", () => {
    const held1 = held("held", 1);
    const revision = revisionOf(x, held1);
    const ref = refOf(held1);
    const waiting = changed(snapshotOf(revision), ref, { terminating: true });
    for (const wanted of [revision, only]) {
      expect(judgeRest(waiting, wanted, new Set([ref]))).toEqual([]);
      expect(judgeRest(waiting, wanted, none)).not.toEqual([]);
    }
  });
});

describe("a revision of chaos", () => {
  it("has an approval for every set of definitions that may leave with it", () => {
    const [widgets, gadgets] = [definition("Widget"), definition("Gadget")];
    const first = revisionOf(widgets);
    const second = toRevision([{ name: "app", objects: [gadgets] }], first, [first]);
    expect(second.more.approvedDeletions).toHaveLength(1);
    expect(toRevision([{ name: "app", objects: [] }], second, [first, second]).more.approvedDeletions).toHaveLength(3);
  });

  it("keeps what a bundle was when it was last rendered, apart from what has moved to another", () => {
    const first = toRevision(
      [
        { name: "a", objects: [x, y] },
        { name: "b", objects: [] },
      ],
      NOTHING,
    );
    const moved = toRevision([{ name: "a" }, { name: "b", objects: [y] }], first);
    expect([...moved.wanted].map(([ref, { bundle }]) => [ref, bundle])).toEqual([
      [Y, "b"],
      [X, "a"],
    ]);
    const back = toRevision([{ name: "a" }, { name: "b", objects: [] }], moved);
    expect([...back.wanted].map(([ref, { bundle }]) => [ref, bundle])).toEqual([
      [X, "a"],
      [Y, "a"],
    ]);
  });
});

describe("objects that may outlive their deletion", () => {
  it("are those with a finalizer, also after they left Git beside a bundle that is kept", () => {
    const first = toRevision(
      [
        { name: "app", objects: [x] },
        { name: "other", objects: [held("held", 1), y] },
      ],
      NOTHING,
    );
    const kept = toRevision([{ name: "app" }, { name: "other", objects: [y] }], first);
    const later = toRevision(
      [
        { name: "app", objects: [x] },
        { name: "other", objects: [y] },
      ],
      kept,
    );
    const slow = refOf(held("held", 1));
    expect([...heldBy([first])]).toEqual([slow]);
    expect([...heldBy([kept, later])]).toEqual([slow]);
    expect([...heldBy([later])]).toEqual([]);
  });
});
