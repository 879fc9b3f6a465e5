import { describe, expect, it } from "vitest";
import { ownershipFields } from "./ownership-fields.ts";

describe("the ownership of a bundle", () => {
  it("names the account that its agents act as, what becomes of objects that were there, and of its own when it leaves", () => {
    expect(ownershipFields({ serviceAccount: "team-a/deployer", adoption: "never", onRemoval: "orphan" })).toEqual([
      ["Acts as", "ServiceAccount team-a/deployer"],
      ["Adoption", "never"],
      ["On removal", "orphan"],
    ]);
  });

  it("has nothing to say where all of it is as usual", () => {
    expect(ownershipFields({}).map(([, value]) => value)).toEqual([undefined, undefined, undefined]);
  });
});
