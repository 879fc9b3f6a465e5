import { describe, expect, it } from "vitest";
import { MUTANTS } from "./mutants.ts";
import { REGRESSIONS } from "./regressions.ts";
import { runSeed, type SeedOptions, type SeedResult } from "./run-seed.ts";

/** Seeds of the short form; `npm run simulate` plays as many as there is time for. */
const SHORT = { first: 1, count: 20 };

/** Seeds within which an agent that is broken on purpose must be found. */
const WITHIN = 40;

/** Plays seeds until one breaks something. */
async function firstBroken(first: number, count: number, options?: SeedOptions): Promise<SeedResult | undefined> {
  for (let seed = first; seed < first + count; seed += 1) {
    const result = await runSeed(seed, options);
    if (result.findings.length > 0) return result;
  }
  return undefined;
}

/** What to read when a seed is broken. */
function tell(broken: SeedResult | undefined): string {
  if (!broken) return "";
  const found = broken.findings.map(({ invariant, what }) => `${invariant}: ${what}`);
  return [`npm run simulate -- --seeds 1 --seed ${broken.seed}`, ...found, ...broken.trace.slice(-20)].join("\n");
}

describe("the simulation of the agent's engine", () => {
  it("I1–I9, I15, I16 hold in histories of every kind", { timeout: 120_000 }, async () => {
    expect(tell(await firstBroken(SHORT.first, SHORT.count))).toBe("");
  });

  it.each(REGRESSIONS)("seed $seed holds: $found", { timeout: 60_000 }, async ({ seed }) => {
    expect(tell(await firstBroken(seed, 1))).toBe("");
  });

  it("plays a seed the same way every time", { timeout: 120_000 }, async () => {
    for (const seed of [7, 8]) expect((await runSeed(seed)).digest).toBe((await runSeed(seed)).digest);
  });

  it.each(MUTANTS)("finds an agent that $name", { timeout: 120_000 }, async ({ sabotage, finds }) => {
    const broken = await firstBroken(1, WITHIN, { sabotage, length: "long" });
    expect(broken?.findings.map(({ invariant }) => invariant)).toContain(finds);
    // It is the mutant that was found, not the history.
    const { focus = {} } = sabotage;
    expect(tell(await firstBroken(broken?.seed ?? 1, 1, { sabotage: { focus }, length: "long" }))).toBe("");
  });
});
