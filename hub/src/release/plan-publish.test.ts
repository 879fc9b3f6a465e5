import type { SliceContent } from "@muster/shared/model";
import { MAX_GENERATION, sliceContentDigest } from "@muster/shared/wire";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { composeSlices } from "./compose-slices.ts";
import { nextGeneration } from "./next-generation.ts";
import { planPublish } from "./plan-publish.ts";
import { makeModel, makeTarget, rendered } from "./testing/fleet-maker.ts";

const content = (...objects: string[]): SliceContent => {
  const targets = objects.length > 0 ? [makeTarget("a")] : [];
  const composed = composeSlices({
    model: makeModel(targets),
    outcomes: targets.map((target) => rendered(target, objects)),
    previous: new Map(),
  }).slices.get("one");
  if (!composed) throw new Error("nothing was composed");
  return composed;
};
const inForce = (of: SliceContent, generation = 4) => new Map([["one", { epoch: 1, generation, contentDigest: sliceContentDigest(of) }]]);
const moves = (...args: Parameters<typeof planPublish>) => [...planPublish(...args).keys()];

describe("planning what to publish", () => {
  it("E162: a slice whose content is what is in force does not move", () => {
    expect(moves(inForce(content("x")), new Map([["one", content("x")]]))).toEqual([]);
  });

  it("a slice moves when an object, an option or an approval changes", () => {
    const before = content("x");
    for (const after of [content("x", "y"), { ...before, paused: true }, { ...before, approvedDeletions: ["del-1"] }]) {
      expect(moves(inForce(before), new Map([["one", after]]))).toEqual(["one"]);
    }
  });

  it("D7: a slice moves when its agent has seen a higher generation, or it would take nothing any more", () => {
    const same = new Map([["one", content("x")]]);
    expect(moves(inForce(content("x")), same, new Map([["one", { epoch: 1, generation: 9 }]]))).toEqual(["one"]);
    expect(moves(inForce(content("x")), same, new Map([["one", { epoch: 1, generation: 4 }]]))).toEqual([]);
  });

  it("a cluster without any bundle, now and before, gets no slice", () => {
    expect(moves(new Map(), new Map([["one", content()]]))).toEqual([]);
    expect(moves(inForce(content("x")), new Map([["one", content()]]))).toEqual(["one"]);
  });
});

describe("the next generation", () => {
  it("D7: is above all that anybody has seen, whoever it was", () => {
    const generation = fc.record({ epoch: fc.integer({ min: 1, max: 5 }), generation: fc.integer({ min: 1, max: 1_000_000 }) });
    fc.assert(
      fc.property(fc.array(fc.option(generation, { nil: undefined })), (seen) => {
        const next = nextGeneration(...seen);
        for (const one of seen) {
          if (one) expect(next.epoch > one.epoch || (next.epoch === one.epoch && next.generation > one.generation)).toBe(true);
        }
      }),
    );
  });

  it("begins with 1 in the epoch 1", () => {
    expect(nextGeneration(undefined)).toEqual({ epoch: 1, generation: 1 });
  });

  it("E208: does not run over what JSON numbers can hold", () => {
    expect(() => nextGeneration({ epoch: 1, generation: MAX_GENERATION })).toThrow(expect.objectContaining({ code: "PUBLISH_CONFLICT" }));
  });
});
