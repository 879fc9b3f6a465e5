import { describe, expect, it } from "vitest";
import { TokenBucket } from "./token-bucket.ts";

const bucket = () => new TokenBucket({ burst: 10, perSecond: 2, nowMs: 1_000 });

describe("a token bucket", () => {
  it("lets a burst through, and then no more than its rate", () => {
    const budget = bucket();
    for (let spent = 0; spent < 10; spent += 1) expect(budget.spend(1, 1_000)).toBe(0);
    expect(budget.spend(1, 1_000)).toBe(500);
    // Whoever waits as long as it says is never made to wait longer.
    expect([budget.spend(1, 1_500), budget.spend(1, 2_000)]).toEqual([500, 500]);
  });

  it("takes what is larger than the burst, and makes up for it in time", () => {
    const budget = bucket();
    expect(budget.spend(30, 1_000)).toBe(10_000);
    expect(budget.spend(0, 11_000)).toBe(0);
  });

  it("saves up no more than the burst", () => {
    const budget = bucket();
    expect(budget.spend(10, 1_000_000)).toBe(0);
    expect(budget.spend(1, 1_000_000)).toBe(500);
  });

  it("takes no tokens away if time seems to go back", () => {
    const budget = bucket();
    expect([budget.spend(4, 5_000), budget.spend(4, 2_000), budget.spend(2, 2_000)]).toEqual([0, 0, 0]);
  });
});
