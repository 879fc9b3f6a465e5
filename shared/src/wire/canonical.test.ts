import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { JsonValue } from "../model/index.ts";
import { canonicalJson } from "./canonical.ts";
import { deletionApprovalId, digestJson } from "./digest.ts";

describe("canonical JSON", () => {
  it("says the same as the value it was made from", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(JSON.parse(canonicalJson(value as JsonValue))).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });

  it("I14: does not depend on the order in which members were added", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (value) => {
        const reversed = Object.fromEntries(Object.entries(value).reverse());
        expect(digestJson(reversed as JsonValue)).toBe(digestJson(value as JsonValue));
      }),
    );
  });

  it("E122: keeps a __proto__ key as data", () => {
    expect(canonicalJson(JSON.parse('{"__proto__":{"a":1},"b":2}'))).toBe('{"__proto__":{"a":1},"b":2}');
  });

  it("refuses numbers that JSON cannot hold", () => {
    expect(() => canonicalJson(Number.NaN)).toThrow(TypeError);
  });

  it("an approval id names the set of deletions, not their order", () => {
    expect(deletionApprovalId(["a", "b"])).toBe(deletionApprovalId(["b", "a"]));
    expect(deletionApprovalId(["a", "b"])).not.toBe(deletionApprovalId(["a"]));
    expect(deletionApprovalId(["a"])).toMatch(/^del-[0-9a-f]{16}$/);
  });
});
