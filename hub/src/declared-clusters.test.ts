import { describe, expect, it } from "vitest";
import { isDeclaredCluster } from "./declared-clusters.ts";
import { makeModel } from "./release/testing/fleet-maker.ts";

const hasSlice = (cluster: string) => cluster === "two";
const declared = (model: Parameters<typeof isDeclaredCluster>[1]) =>
  ["one", "two", "three"].filter((name) => isDeclaredCluster(name, model, hasSlice));

describe("the clusters of the fleet", () => {
  it("are those that Git declares, sound or not, and no others, whatever stands in NATS", () => {
    expect(declared(undefined)).toEqual([]);
    expect(declared(makeModel([], ["one"]))).toEqual(["one"]);
    expect(declared(makeModel([], ["one"], { heldClusters: new Set(["three"]) }))).toEqual(["one", "three"]);
  });

  it("are also those that have a slice, while Git cannot be read as a whole or says nothing at all", () => {
    expect(declared(makeModel([], ["one"], { complete: false }))).toEqual(["one", "two"]);
    const empty = { code: "FLEET_EMPTY", message: "", scope: { kind: "fleet" } } as const;
    expect(declared(makeModel([], [], { problems: [empty] }))).toEqual(["two"]);
  });
});
