import { describe, expect, it } from "vitest";
import { ownershipFields } from "./ownership-fields.ts";

describe("the ownership of a bundle", () => {
  it("names the account that its agents act as", () => {
    expect(Object.fromEntries(ownershipFields({ serviceAccount: "team-a/deployer" }))).toEqual({
      "Acts as": "ServiceAccount team-a/deployer",
      Adoption: undefined,
      "On removal": undefined,
    });
  });
});
