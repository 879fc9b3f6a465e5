import { describe, expect, it } from "vitest";
import { Health, worstHealth } from "./health.ts";
import { compareGenerations, formatRevision } from "./slice.ts";

describe("worst health", () => {
  it("E137: of nothing is Current, so an empty set waits for nothing", () => {
    expect(worstHealth([])).toBe(Health.Current);
  });
  it("one failed object makes the whole failed, whatever the order", () => {
    expect(worstHealth([Health.Failed, Health.Current, Health.InProgress])).toBe(Health.Failed);
    expect(worstHealth([Health.Current, Health.InProgress])).toBe(Health.InProgress);
  });
});

describe("generations", () => {
  it("the epoch orders before the generation", () => {
    expect(compareGenerations({ epoch: 2, generation: 1 }, { epoch: 1, generation: 99 })).toBeGreaterThan(0);
    expect(compareGenerations({ epoch: 1, generation: 3 }, { epoch: 1, generation: 3 })).toBe(0);
    expect(compareGenerations({ epoch: 1, generation: 2 }, { epoch: 1, generation: 3 })).toBeLessThan(0);
  });
  it("a revision names its ref and commit", () => {
    expect(formatRevision([{ source: "fleet", ref: "main", commit: "abc" }])).toBe("main@sha1:abc");
  });
});
