import type { Slice, SliceContent } from "@muster/shared/model";
import { sliceContentDigest } from "@muster/shared/wire";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { FleetModel } from "../fleet/model.ts";
import { composeSlices, type TargetOutcome } from "./compose-slices.ts";
import { planPublish } from "./plan-publish.ts";
import { failed, makeModel, makeTarget, published, rendered } from "./testing/fleet-maker.ts";

const CLUSTERS = ["one", "two"];
const BUNDLES = ["a", "b", "c"];
const OBJECTS = ["p", "q", "r", "s"];

/** Which objects each bundle renders to in each cluster; a bundle that is not in it has no target there. */
type Wanted = Record<string, Record<string, readonly string[]>>;

const wanted: fc.Arbitrary<Wanted> = fc.record(
  Object.fromEntries(
    CLUSTERS.map((cluster) => [
      cluster,
      fc.dictionary(fc.constantFrom(...BUNDLES), fc.uniqueArray(fc.constantFrom(...OBJECTS), { minLength: 1 }), {
        noNullPrototype: true,
        maxKeys: BUNDLES.length,
      }),
    ]),
  ),
);

interface Faults {
  readonly failing: ReadonlySet<string>;
  readonly heldBundles: ReadonlySet<string>;
  readonly heldClusters: ReadonlySet<string>;
  readonly incomplete: boolean;
}

const subset = (names: readonly string[]) => fc.subarray([...names]).map((list) => new Set(list));
const faults: fc.Arbitrary<Faults> = fc.record({
  failing: subset(CLUSTERS.flatMap((cluster) => BUNDLES.map((bundle) => `${bundle}/${cluster}`))),
  heldBundles: subset(BUNDLES),
  heldClusters: subset(CLUSTERS),
  incomplete: fc.boolean(),
});
const NO_FAULTS: Faults = { failing: new Set(), heldBundles: new Set(), heldClusters: new Set(), incomplete: false };

function situation(desired: Wanted, fault: Faults): { model: FleetModel; outcomes: TargetOutcome[] } {
  const clusters = CLUSTERS.filter((name) => !fault.heldClusters.has(name));
  const targets = clusters.flatMap((cluster) =>
    BUNDLES.filter((bundle) => desired[cluster]?.[bundle] && !fault.heldBundles.has(bundle)).map((bundle) => makeTarget(bundle, cluster)),
  );
  const outcomes = targets.map((target) => {
    const objects = desired[target.cluster.name]?.[target.bundle.name] ?? [];
    return fault.failing.has(`${target.bundle.name}/${target.cluster.name}`) ? failed(target) : rendered(target, objects);
  });
  const model = makeModel(targets, clusters, {
    heldBundles: fault.heldBundles,
    heldClusters: fault.heldClusters,
    complete: !fault.incomplete,
  });
  return { model, outcomes };
}

/** Object refs that the slice gives up for good: they stand in no bundle of it, are not retained, and no bundle that had them is kept. */
function givenUp(before: Slice, after: SliceContent): { bundle: string; ref: string }[] {
  const still = new Set([
    ...after.bundles.flatMap((bundle) => (bundle.state === "desired" ? bundle.objects : [])),
    ...(after.retained ?? []),
  ]);
  const kept = new Set(after.bundles.filter((bundle) => bundle.state === "keep").map((bundle) => bundle.name));
  return before.bundles.flatMap((bundle) =>
    bundle.state === "desired" && !kept.has(bundle.name)
      ? bundle.objects.filter((ref) => !still.has(ref)).map((ref) => ({ bundle: bundle.name, ref }))
      : [],
  );
}

const RUNS = { numRuns: 400 };

describe("composing slices, whatever happens", () => {
  it("I4: an object leaves a slice only if a sound model and a good render say so", () => {
    fc.assert(
      fc.property(wanted, wanted, faults, (past, present, fault) => {
        const first = situation(past, NO_FAULTS);
        const previous = published(composeSlices({ ...first, previous: new Map() }));
        const { model, outcomes } = situation(present, fault);
        const next = composeSlices({ model, outcomes, previous });
        for (const [cluster, content] of next.slices) {
          const before = previous.get(cluster);
          expect(fault.heldClusters.has(cluster)).toBe(false);
          if (!before) continue;
          for (const { bundle, ref } of givenUp(before, content)) {
            const [, object = ""] = ref.split("_");
            const target = present[cluster]?.[bundle];
            const unsound = fault.heldBundles.has(bundle) || (target !== undefined && fault.failing.has(`${bundle}/${cluster}`));
            // Either the bundle has left the cluster (and the model can know that), or it was rendered well without the object.
            expect([bundle, object, target ? target.includes(object) || unsound : unsound || fault.incomplete]).toEqual([
              bundle,
              object,
              false,
            ]);
          }
          if (fault.incomplete) expect(givenUp(before, content)).toEqual([]);
          if (fault.incomplete) for (const { name } of before.bundles) expect(content.bundles.map((entry) => entry.name)).toContain(name);
        }
      }),
      RUNS,
    );
  });

  it("I4: without knowledge of what was published, nothing that might be there is left out", () => {
    fc.assert(
      fc.property(wanted, faults, (present, fault) => {
        const { model, outcomes } = situation(present, fault);
        const { slices } = composeSlices({ model, outcomes, previous: new Map() });
        expect(slices.size === 0 || !fault.incomplete).toBe(true);
        for (const [cluster, content] of slices) {
          const names = content.bundles.map((bundle) => bundle.name);
          const expected = BUNDLES.filter((bundle) => fault.heldBundles.has(bundle) || present[cluster]?.[bundle]);
          expect([...names].sort()).toEqual(expected);
        }
      }),
      RUNS,
    );
  });

  it("E091: no object ever stands in two bundles of one slice", () => {
    fc.assert(
      fc.property(wanted, wanted, faults, (past, present, fault) => {
        const previous = published(composeSlices({ ...situation(past, NO_FAULTS), previous: new Map() }));
        const { slices } = composeSlices({ ...situation(present, fault), previous });
        for (const content of slices.values()) {
          const refs = content.bundles.flatMap((bundle) => (bundle.state === "desired" ? bundle.objects : []));
          expect(new Set(refs).size).toBe(refs.length);
        }
      }),
      RUNS,
    );
  });

  it("I8: a cluster's slice does not depend on what is wrong in another cluster", () => {
    fc.assert(
      fc.property(wanted, wanted, subset(BUNDLES), (past, present, failing) => {
        const previous = published(composeSlices({ ...situation(past, NO_FAULTS), previous: new Map() }));
        const fault = {
          ...NO_FAULTS,
          failing: new Set([...failing].map((bundle) => `${bundle}/two`)),
          heldClusters: failing.size > 1 ? new Set(["two"]) : new Set<string>(),
        };
        const alone = composeSlices({ ...situation(present, NO_FAULTS), previous }).slices.get("one");
        expect(composeSlices({ ...situation(present, fault), previous }).slices.get("one")).toEqual(alone);
      }),
      RUNS,
    );
  });

  it("I14: the order in which targets were rendered and clusters were read changes nothing", () => {
    fc.assert(
      fc.property(wanted, faults, (present, fault) => {
        const { model, outcomes } = situation(present, fault);
        const forth = composeSlices({ model, outcomes, previous: new Map() });
        const back = composeSlices({
          model: { ...model, clusters: new Map([...model.clusters].reverse()) },
          // Of one cluster the order is the one in which bundles are applied, so only clusters are shuffled.
          outcomes: [
            ...outcomes.filter(({ target }) => target.cluster.name === "two"),
            ...outcomes.filter(({ target }) => target.cluster.name === "one"),
          ],
          previous: new Map(),
        });
        for (const [cluster, content] of forth.slices) {
          const other = back.slices.get(cluster);
          expect(other && sliceContentDigest(other)).toBe(sliceContentDigest(content));
        }
      }),
      RUNS,
    );
  });

  it("I9: what is composed again from the same inputs moves no cluster", () => {
    fc.assert(
      fc.property(wanted, wanted, faults, (past, present, fault) => {
        let previous = published(composeSlices({ ...situation(past, NO_FAULTS), previous: new Map() }));
        previous = published(composeSlices({ ...situation(present, fault), previous }), previous);
        const again = composeSlices({ ...situation(present, fault), previous });
        const inForce = new Map([...previous].map(([name, slice]) => [name, { ...slice, contentDigest: sliceContentDigest(slice) }]));
        expect([...planPublish(inForce, again.slices).keys()]).toEqual([]);
      }),
      RUNS,
    );
  });
});
