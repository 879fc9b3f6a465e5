import { describe, expect, it } from "vitest";
import { runSteps } from "./steps.ts";

describe("the steps of the check", () => {
  it("all run, whatever one of them finds, and a step that throws has failed", async () => {
    const seen: string[] = [];
    const steps = [
      { name: "good", run: async () => ({ problems: "", note: "3 files" }) },
      { name: "bad", run: async () => ({ problems: "one problem\n" }) },
      { name: "broken", run: () => Promise.reject(new Error("no such program")) },
    ];
    const finished = await runSteps(steps, (step) => seen.push(step.name), 2);
    expect(seen.sort()).toEqual(["bad", "broken", "good"]);
    const byName = Object.fromEntries(finished.map((step) => [step.name, step]));
    expect(byName["good"]).toMatchObject({ passed: true, note: "3 files" });
    expect(byName["bad"]).toMatchObject({ passed: false, problems: "one problem" });
    expect(byName["broken"]?.problems).toContain("no such program");
  });
});
