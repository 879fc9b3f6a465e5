import { beforeAll, describe, expect, it } from "vitest";
import { AGENT_FAILPOINTS } from "../../agent/src/failpoints.ts";
import { type ChaosResult, runChaos } from "./chaos-run.ts";
import { CONVERGENCE_LIMIT_MS } from "./episode.ts";

/** The long form is `npm run chaos:agent`. */
const RANDOM_KILLS = 8;

let result: ChaosResult;
beforeAll(async () => {
  result = await runChaos({ seed: 1, kills: RANDOM_KILLS, nths: ["first"], lanes: 2, progress: () => {} });
});
const found = (...kinds: string[]) => result.findings.filter(({ kind }) => kinds.includes(kind));

describe("an agent that is killed again and again while Git changes", () => {
  it("E260: is killed at every failpoint, and at random", () => {
    expect(result.missing).toEqual([]);
    expect(result.kills.length).toBeGreaterThanOrEqual(AGENT_FAILPOINTS.length + RANDOM_KILLS);
  });

  it("E260, P1: loses nothing, deletes nothing wrongly, leaves nothing behind, and never goes back", () => {
    expect(found("lost", "deleted", "left", "order")).toEqual([]);
  });

  it("E098, I5: has in its inventory all that it has made, at every moment, and only what is there", () => {
    expect(found("inventory")).toEqual([]);
  });

  it("E048: finds an object that is to be made anew, and goes on where it was, whether a finalizer holds the old one or not", () => {
    expect(result.covered).toContain("agent.afterRecreateDelete");
    expect(result.findings.filter(({ what }) => what.includes("renewed"))).toEqual([]);
  });

  it("I7, I9: is in order soon after its last start, and writes nothing at rest or without need", () => {
    expect(found("late", "write")).toEqual([]);
    expect(Math.max(...result.convergedMs)).toBeLessThan(CONVERGENCE_LIMIT_MS);
  });
});
