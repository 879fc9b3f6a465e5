import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isEmptySelector, type LabelSelector, matchesSelector } from "./labels.ts";

describe("label selectors, as Kubernetes evaluates them", () => {
  const labels = { env: "prod", region: "eu" };
  const cases: [string, LabelSelector, boolean][] = [
    ["equal labels match", { matchLabels: { env: "prod" } }, true],
    ["another value does not", { matchLabels: { env: "lab" } }, false],
    ["all of matchLabels must hold", { matchLabels: { env: "prod", tier: "gold" } }, false],
    ["In needs one of the values", { matchExpressions: [{ key: "region", operator: "In", values: ["us", "eu"] }] }, true],
    ["In does not match an absent label", { matchExpressions: [{ key: "tier", operator: "In", values: ["gold"] }] }, false],
    ["NotIn excludes the values", { matchExpressions: [{ key: "region", operator: "NotIn", values: ["eu"] }] }, false],
    ["NotIn matches an absent label", { matchExpressions: [{ key: "tier", operator: "NotIn", values: ["gold"] }] }, true],
    ["Exists needs the key", { matchExpressions: [{ key: "env", operator: "Exists" }] }, true],
    ["Exists does not match an absent label", { matchExpressions: [{ key: "tier", operator: "Exists" }] }, false],
    ["DoesNotExist needs its absence", { matchExpressions: [{ key: "tier", operator: "DoesNotExist" }] }, true],
    [
      "labels and expressions must both hold",
      { matchLabels: { env: "prod" }, matchExpressions: [{ key: "region", operator: "In", values: ["us"] }] },
      false,
    ],
    ["an inherited property is no label", { matchExpressions: [{ key: "constructor", operator: "Exists" }] }, false],
    ["an empty selector matches everything (callers refuse it)", {}, true],
  ];
  it.each(cases)("%s", (_, selector, expected) => {
    expect(matchesSelector(selector, labels)).toBe(expected);
  });

  it("In and NotIn, Exists and DoesNotExist are complements for every label set", () => {
    const token = fc.constantFrom("a", "b", "c");
    fc.assert(
      fc.property(fc.dictionary(token, token), token, fc.array(token, { minLength: 1 }), (set, key, values) => {
        const match = (operator: "In" | "NotIn" | "Exists" | "DoesNotExist") =>
          matchesSelector(
            { matchExpressions: [operator === "In" || operator === "NotIn" ? { key, operator, values } : { key, operator }] },
            set,
          );
        expect(match("In")).toBe(!match("NotIn"));
        expect(match("Exists")).toBe(!match("DoesNotExist"));
      }),
    );
  });

  it("a selector is empty only without any requirement", () => {
    expect(isEmptySelector({})).toBe(true);
    expect(isEmptySelector({ matchLabels: {}, matchExpressions: [] })).toBe(true);
    expect(isEmptySelector({ matchExpressions: [{ key: "a", operator: "Exists" }] })).toBe(false);
  });
});
