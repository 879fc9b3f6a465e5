import { describe, expect, it } from "vitest";
import { ownershipOf } from "./ownership-view.ts";

const usual = { drift: { mode: "correct" as const, ignore: [] }, prune: true, createNamespace: false, dependsOn: [] };

describe("whose the objects of a bundle are", () => {
  it("is said where it is not as usual", () => {
    expect(ownershipOf({ ...usual, adoption: "ifUnowned", onRemoval: "delete" })).toEqual({});
    expect(
      ownershipOf({ ...usual, adoption: "never", onRemoval: "orphan", serviceAccount: { namespace: "team-a", name: "deployer" } }),
    ).toEqual({ adoption: "never", onRemoval: "orphan", serviceAccount: "team-a/deployer" });
  });
});
