import { describe, expect, it } from "vitest";
import { runChaos } from "./chaos-run.ts";

/**
 * The short form of `npm run chaos:agent`: each failpoint once, and a few kills at random. Tests run beside each other on machines of any
 * speed, so how fast the agent is back is judged by the long form.
 */
const PATIENT_MS = 60_000;

describe("P1: an agent that is killed at every failpoint, and at random moments", () => {
  it("loses nothing, deletes nothing that Git has, leaves nothing behind, never goes back, and writes nothing at rest", async () => {
    const log: string[] = [];
    const progress = (text: string) => void log.push(text);
    const result = await runChaos({ seed: 1, kills: 10, matrix: "once", lanes: 2, convergenceLimitMs: PATIENT_MS, progress });
    const { findings, broken, unreached, missing } = result;
    expect({ findings, broken, unreached, missing }, log.join("\n")).toEqual({ findings: [], broken: [], unreached: [], missing: [] });
    expect(result.kills.length).toBeGreaterThanOrEqual(result.covered.length + 10);
  }, 600_000);
});
