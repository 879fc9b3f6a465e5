import { describe, expect, it } from "vitest";
import { cruiseCheckout, formatViolations } from "./cruise.ts";
import { DEPENDENCY_RULES } from "./dependency-rules.ts";

describe("the boundaries of the design", () => {
  it("hold for every import of the checkout, and the checker saw the checkout", { timeout: 120_000 }, async () => {
    const { modules, violations } = await cruiseCheckout();
    expect(modules["shared"]).toBeGreaterThan(40);
    expect(modules["hub"]).toBeGreaterThan(10);
    expect(modules["agent"]).toBeGreaterThan(5);
    expect(modules["test"]).toBeGreaterThan(10);
    expect(formatViolations(violations)).toBe("");
  });

  it("each carry the reason that a developer reads when they fire", () => {
    const rules = DEPENDENCY_RULES.forbidden ?? [];
    expect(rules.length).toBeGreaterThan(20);
    expect(new Set(rules.map((rule) => rule.name)).size).toBe(rules.length);
    expect(rules.filter((rule) => (rule.comment ?? "").length < 30).map((rule) => rule.name)).toEqual([]);
  });
});
