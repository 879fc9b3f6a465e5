import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { AGENT_FAILPOINTS } from "./failpoints.ts";

const calls = readdirSync(import.meta.dirname, { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith(".ts") && !path.endsWith(".test.ts"))
  .flatMap((path) => [...readFileSync(join(import.meta.dirname, path), "utf8").matchAll(/failpoint(?:\?\.)?\("([^"]+)"\)/g)])
  .map(([, name]) => name);

describe("the agent's failpoints", () => {
  it("E260: each stands in the code just once, so that a kill at it is at one step", () => {
    expect(calls.sort()).toEqual([...AGENT_FAILPOINTS].sort());
  });
});
