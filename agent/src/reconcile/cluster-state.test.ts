import type { ObjectRefText } from "@muster/shared/model";
import { describe, expect, it } from "vitest";
import { ManualClock } from "../../../test/rig/manual-clock.ts";
import { ClusterState } from "./cluster-state.ts";

const REF = "web_x__ConfigMap" as ObjectRefText;

describe("E039: corrections of one object that somebody changes back at once", () => {
  /** How many corrections there are in each of the next minutes. */
  async function perMinute(state: ClusterState, clock: ManualClock, minutes: number): Promise<number[]> {
    const counts: number[] = [];
    for (let minute = 0; minute < minutes; minute += 1) {
      let count = 0;
      for (let tick = 0; tick < 600; tick += 1) {
        if (state.correctionDelayMs(REF) === 0) {
          state.noteCorrection(REF);
          count += 1;
        }
        await clock.advance(100);
      }
      counts.push(count);
    }
    return counts;
  }

  it("get rarer each time, down to one a minute, for as long as it goes on", async () => {
    const clock = new ManualClock();
    const state = new ClusterState(clock, () => 0);
    const counts = await perMinute(state, clock, 30);
    expect(counts[0]).toBeLessThanOrEqual(10);
    expect(counts.slice(1).every((count) => count <= 2)).toBe(true);
    expect(counts.slice(1).reduce((sum, count) => sum + count)).toBeLessThanOrEqual(30);
    expect(state.isFoughtOver(REF)).toBe(true);
  });

  it("are at once again when the other one has left it alone, or an operator asks", async () => {
    const clock = new ManualClock();
    const state = new ClusterState(clock, () => 0);
    await perMinute(state, clock, 5);
    await clock.advance(121_000);
    expect([state.isFoughtOver(REF), state.correctionDelayMs(REF)]).toEqual([false, 0]);
    expect((await perMinute(state, clock, 1))[0]).toBeGreaterThanOrEqual(5);
    state.retryNow();
    expect([state.isFoughtOver(REF), state.correctionDelayMs(REF)]).toEqual([false, 0]);
  });

  it("a few in a minute are no fight", async () => {
    const clock = new ManualClock();
    const state = new ClusterState(clock, () => 0);
    for (let count = 0; count < 20; count += 1) {
      expect(state.correctionDelayMs(REF)).toBe(0);
      state.noteCorrection(REF);
      await clock.advance(16_000);
    }
    expect(state.isFoughtOver(REF)).toBe(false);
  });
});
