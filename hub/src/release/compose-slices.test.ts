import { DEFAULT_DELETION_BUDGET, type Manifest, type Slice } from "@muster/shared/model";
import { encodeManifestSet, sliceContentDigest } from "@muster/shared/wire";
import { describe, expect, it } from "vitest";
import type { BundleDefinition, ClusterDefinition, FleetModel } from "../fleet/model.ts";
import { type Composition, composeSlices, type TargetOutcome } from "./compose-slices.ts";

const cluster: ClusterDefinition = { name: "one", labels: {}, variables: {}, paused: false, at: { file: "c.yaml" } };
const bundle = (name: string): BundleDefinition => ({
  name,
  source: "fleet",
  directory: name,
  targets: [{ all: true }],
  variables: {},
  patches: [],
  layers: [],
  at: { file: `${name}/bundle.yaml` },
  options: { drift: { mode: "correct", ignore: [] }, prune: true, createNamespace: false, dependsOn: [] },
});
const configMap = (name: string, data = "x"): Manifest => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, namespace: "a" },
  data: { data },
});
const model = (names: readonly string[], more: Partial<FleetModel> = {}): FleetModel => {
  const bundles = new Map(names.map((name) => [name, bundle(name)]));
  return {
    commits: [],
    clusters: new Map([["one", cluster]]),
    bundles,
    problems: [],
    heldBundles: new Set(),
    heldClusters: new Set(),
    complete: true,
    targets: [...bundles.values()].map((entry) => ({ cluster, bundle: entry, layers: [] })),
    deletionBudget: DEFAULT_DELETION_BUDGET,
    approvedDeletions: [],
    ...more,
  };
};
const good = (name: string, ...objects: string[]): TargetOutcome => ({
  target: { cluster, bundle: bundle(name), layers: [] },
  set: encodeManifestSet(objects.map((object) => configMap(object))),
});
const bad = (name: string): TargetOutcome => ({
  target: { cluster, bundle: bundle(name), layers: [] },
  error: { code: "RENDER_HELM", message: "no" },
});
const pausedAs = (outcome: TargetOutcome, paused: boolean): TargetOutcome => {
  const { bundle } = outcome.target;
  return { ...outcome, target: { ...outcome.target, bundle: { ...bundle, options: { ...bundle.options, ...(paused && { paused }) } } } };
};
const published = (composition: Composition): Map<string, Slice> =>
  new Map(
    [...composition.slices].map(([name, content]) => [
      name,
      { ...content, version: 1, trustDomain: "t", epoch: 1, generation: 1, commits: [] },
    ]),
  );
const names = (composition: Composition) => composition.slices.get("one")?.bundles.map((entry) => `${entry.name}:${entry.state}`);

describe("composing slices", () => {
  const before = published(composeSlices({ model: model(["a", "b"]), outcomes: [good("a", "x"), good("b", "y")], previous: new Map() }));

  it("a bundle that left Git leaves the slice", () => {
    expect(names(composeSlices({ model: model(["a"]), outcomes: [good("a", "x")], previous: before }))).toEqual(["a:desired"]);
  });

  it("E071: a target that fails keeps its entry byte for byte, and the others go on", () => {
    const next = composeSlices({ model: model(["a", "b"]), outcomes: [good("a", "x", "z"), bad("b")], previous: before });
    expect(next.slices.get("one")?.bundles[1]).toEqual(before.get("one")?.bundles[1]);
    expect(names(next)).toEqual(["a:desired", "b:desired"]);
    expect(next.problems).toEqual([{ cluster: "one", bundle: "b", code: "RENDER_HELM", message: "no" }]);
  });

  it("E100: a pause and its end count for a target that fails too, and change nothing else of its entry", () => {
    const [entry] = before.get("one")!.bundles;
    const stopped = composeSlices({ model: model(["a", "b"]), outcomes: [pausedAs(bad("a"), true), good("b", "y")], previous: before });
    expect(stopped.slices.get("one")?.bundles[0]).toEqual({ ...entry, options: { ...bundle("a").options, paused: true } });
    const again = composeSlices({ model: model(["a", "b"]), outcomes: [bad("a"), good("b", "y")], previous: published(stopped) });
    expect(again.slices.get("one")?.bundles[0]).toEqual(entry);
  });

  it("E100: a pause and its end count for a target that fails and is not known from before", () => {
    const compose = (paused: boolean, previous: Map<string, Slice>) =>
      composeSlices({ model: model(["a"]), outcomes: [pausedAs(bad("a"), paused)], previous });
    const entryOf = (composition: Composition) => composition.slices.get("one")?.bundles[0];
    const stopped = compose(true, new Map());
    expect(entryOf(stopped)).toEqual({ name: "a", state: "keep", reason: "RENDER_HELM", paused: true });
    expect(entryOf(compose(true, published(stopped)))).toEqual(entryOf(stopped));
    expect(entryOf(compose(false, published(stopped)))).toEqual({ ...entryOf(stopped), paused: false });
  });

  it("E100: a pause counts for a bundle that is held for an object which another one has", () => {
    const outcomes = [good("a", "x"), pausedAs(good("b", "x", "y"), true)];
    const [, entry] = before.get("one")!.bundles;
    const held = composeSlices({ model: model(["a", "b"]), outcomes, previous: before });
    expect(held.slices.get("one")?.bundles[1]).toEqual({ ...entry, options: { ...bundle("b").options, paused: true } });
    const unknown = composeSlices({ model: model(["a", "b"]), outcomes, previous: new Map() });
    expect(unknown.slices.get("one")?.bundles).toEqual([
      { name: "a", state: "keep", reason: "OBJECT_DUPLICATE", paused: false },
      { name: "b", state: "keep", reason: "OBJECT_DUPLICATE", paused: true },
    ]);
  });

  it("I4: a target that fails and is not known from before is kept, never absent", () => {
    expect(names(composeSlices({ model: model(["a", "b"]), outcomes: [good("a", "x"), bad("b")], previous: new Map() }))).toEqual([
      "a:desired",
      "b:keep",
    ]);
  });

  it("I4: a bundle whose document is not sound stays, known from before or not", () => {
    const held = { heldBundles: new Set(["b"]) };
    expect(names(composeSlices({ model: model(["a"], held), outcomes: [good("a", "x")], previous: before }))).toEqual([
      "a:desired",
      "b:desired",
    ]);
    expect(names(composeSlices({ model: model(["a"], held), outcomes: [good("a", "x")], previous: new Map() }))).toEqual([
      "a:desired",
      "b:keep",
    ]);
  });

  it("I4: an incomplete model removes nothing, and publishes nothing where the slice before is not known", () => {
    const incomplete = model(["a"], { complete: false });
    expect(names(composeSlices({ model: incomplete, outcomes: [good("a", "x")], previous: before }))).toEqual(["a:desired", "b:desired"]);
    expect(names(composeSlices({ model: incomplete, outcomes: [good("a", "x")], previous: new Map() }))).toBeUndefined();
  });

  it("I8: an incomplete model lets a cluster begin whose agent says that it has nothing, and tells of those that wait", () => {
    const incomplete = { model: model(["a"], { complete: false }), outcomes: [good("a", "x")], previous: new Map() };
    expect(composeSlices(incomplete)).toMatchObject({ slices: new Map(), waiting: ["one"] });
    const begun = composeSlices({ ...incomplete, hasNothing: (name) => name === "one" });
    expect([names(begun), begun.waiting]).toEqual([["a:desired"], []]);
  });

  it("I8: a source that says nothing keeps what it said, and holds back no other source", () => {
    const silent = { code: "FLEET_EMPTY", message: "the source t declares nothing", scope: { kind: "document" } } as const;
    const next = composeSlices({
      model: model(["a"], { complete: false, problems: [silent] }),
      outcomes: [good("a", "z")],
      previous: before,
    });
    expect([next.held, names(next)]).toEqual([undefined, ["a:desired", "b:desired"]]);
  });

  it("E070: a fleet that lost everything is held as a whole", () => {
    const nothing = model([], { problems: [{ code: "FLEET_EMPTY", message: "", scope: { kind: "fleet" } }] });
    const held = composeSlices({ model: nothing, outcomes: [], previous: before });
    expect([held.slices.size, held.held?.code]).toEqual([0, "FLEET_EMPTY"]);
  });

  it("E184: a cluster that left Git gets no slice at all, not an empty one", () => {
    expect(composeSlices({ model: model(["a"], { clusters: new Map() }), outcomes: [], previous: before }).slices.size).toBe(0);
  });

  it("E091: of two bundles with the same object, the one that had it goes on and the newcomer is held", () => {
    const next = composeSlices({ model: model(["a", "b"]), outcomes: [good("a", "x"), good("b", "y", "x")], previous: before });
    expect(next.slices.get("one")?.bundles[1]).toEqual(before.get("one")?.bundles[1]);
    expect(next.problems).toMatchObject([{ bundle: "b", code: "OBJECT_DUPLICATE", message: expect.stringContaining("a/bundle.yaml") }]);
  });

  it("E091: if neither had it, both are held", () => {
    const next = composeSlices({ model: model(["a", "b"]), outcomes: [good("a", "x"), good("b", "x")], previous: new Map() });
    expect(names(next)).toEqual(["a:keep", "b:keep"]);
    expect(next.problems).toHaveLength(2);
  });

  it("E078: an object that moves to another bundle in one commit is no conflict", () => {
    const next = composeSlices({ model: model(["a", "b"]), outcomes: [good("a", "z"), good("b", "x", "y")], previous: before });
    expect([names(next), next.problems]).toEqual([["a:desired", "b:desired"], []]);
  });

  it("E091: what falls back to its entry before may push out another newcomer, and still nothing is removed", () => {
    // b wants the x of a, so it falls back to its y; c has taken y meanwhile, and is held in turn.
    const next = composeSlices({
      model: model(["a", "b", "c"]),
      outcomes: [good("a", "x"), good("b", "x"), good("c", "y", "w")],
      previous: before,
    });
    expect(names(next)).toEqual(["a:desired", "b:desired", "c:keep"]);
    expect(next.slices.get("one")?.bundles[1]).toEqual(before.get("one")?.bundles[1]);
    expect(next.problems.map((problem) => problem.bundle)).toEqual(["b", "c"]);
  });

  it("E078: a bundle that should give up an object, but fails, keeps it from the bundle that it moves to", () => {
    const next = composeSlices({ model: model(["a", "b"]), outcomes: [bad("a"), good("b", "x", "y")], previous: before });
    expect(next.slices.get("one")?.bundles).toEqual(before.get("one")?.bundles);
    expect(next.problems.map((problem) => problem.code)).toEqual(["RENDER_HELM", "OBJECT_DUPLICATE"]);
  });

  it("an incomplete model changes neither how bundles are treated nor what may be deleted", () => {
    const careful = new Map(
      [...before].map(([name, slice]): [string, Slice] => [
        name,
        {
          ...slice,
          deletionBudget: { objects: 1, percent: 1 },
          bundles: slice.bundles.map((entry) =>
            entry.state === "desired" ? { ...entry, options: { ...entry.options, prune: false } } : entry,
          ),
        },
      ]),
    );
    const next = composeSlices({ model: model(["a"], { complete: false }), outcomes: [good("a", "z")], previous: careful }).slices.get(
      "one",
    );
    expect(next?.deletionBudget).toEqual({ objects: 1, percent: 1 });
    expect(next?.bundles[0]).toMatchObject({ name: "a", objects: ["a_z__ConfigMap"], options: { prune: false } });
  });

  it("a bundle stands after those that it depends on, kept entries too", () => {
    const dependent = { ...bundle("a"), options: { ...bundle("a").options, dependsOn: ["b"] } };
    const outcome = { target: { cluster, bundle: dependent, layers: [] }, set: encodeManifestSet([configMap("x")]) };
    expect(names(composeSlices({ model: model(["a"], { heldBundles: new Set(["b"]) }), outcomes: [outcome], previous: before }))).toEqual([
      "b:desired",
      "a:desired",
    ]);
  });

  it("E078: an object that leaves a bundle while another one is held is retained until that one is known again", () => {
    const next = composeSlices({ model: model(["a", "b"]), outcomes: [good("a", "z"), bad("b")], previous: before });
    expect(next.slices.get("one")?.retained).toEqual(["a_x__ConfigMap"]);
    const still = composeSlices({ model: model(["a", "b"]), outcomes: [good("a", "z"), bad("b")], previous: published(next) });
    expect(still.slices.get("one")?.retained).toEqual(["a_x__ConfigMap"]);
    const mended = composeSlices({ model: model(["a", "b"]), outcomes: [good("a", "z"), good("b", "x", "y")], previous: published(still) });
    expect(mended.slices.get("one")?.retained).toBeUndefined();
  });

  it("I4, E078: an object that left a bundle while a document is unreadable is retained: it may stand in that one now", () => {
    const next = composeSlices({
      model: model(["a", "b"], { complete: false }),
      outcomes: [good("a", "z"), good("b", "y")],
      previous: before,
    });
    expect(next.slices.get("one")?.retained).toEqual(["a_x__ConfigMap"]);
  });

  it("E162, I14: the same inputs give the same content, whatever the order of the outcomes' objects", () => {
    const digest = (outcomes: TargetOutcome[]) => {
      const content = composeSlices({ model: model(["a"]), outcomes, previous: new Map() }).slices.get("one");
      return content && sliceContentDigest(content);
    };
    expect(digest([good("a", "x", "y")])).toBe(digest([good("a", "y", "x")]));
  });
});
