import { describe, expect, it } from "vitest";
import { formatAge, formatDuration } from "./age.ts";

const SECOND = 1_000;
const HOUR = 3_600 * SECOND;
const DAY = 24 * HOUR;

describe("ages", () => {
  it("read as kubectl shows them", () => {
    const cases: [number, string][] = [
      [0, "0s"],
      [119 * SECOND, "119s"],
      [120 * SECOND, "2m"],
      [200 * SECOND, "3m20s"],
      [600 * SECOND, "10m"],
      [3 * HOUR, "3h"],
      [5 * HOUR + 720 * SECOND, "5h12m"],
      [30 * HOUR, "30h"],
      [2 * DAY, "2d"],
      [3 * DAY + 4 * HOUR, "3d4h"],
      [49 * DAY, "49d"],
      [800 * DAY, "2y70d"],
    ];
    for (const [ms, text] of cases) expect(formatDuration(ms)).toBe(text);
  });

  it("a time in the future is 0s, and what is no time is a dash", () => {
    expect(formatAge("2026-01-01T00:00:10Z", Date.parse("2026-01-01T00:00:00Z"))).toBe("0s");
    expect(formatAge(undefined, 0)).toBe("-");
    expect(formatAge("yesterday", 0)).toBe("-");
  });
});
