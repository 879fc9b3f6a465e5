import { describe, expect, it } from "vitest";
import { checkHouseRules } from "./house-rules.ts";
import { readSourceFiles } from "./source-files.ts";

describe("the house rules", () => {
  it("hold in every source file, and the checker saw the files", () => {
    const files = readSourceFiles();
    expect(files.length).toBeGreaterThan(60);
    expect(checkHouseRules(files).map(({ rule, path, line, found }) => `${path}:${line} ${rule}: ${found}`)).toEqual([]);
  });

  it.each([
    ["agent/src/plan/x.ts", "const now = Date.now();", "pure-no-clock"],
    ["hub/src/release/x.ts", "const id = randomUUID();", "pure-no-chance"],
    ["hub/src/fleet/x.ts", "console.log(1);", "pure-no-outside"],
    ["hub/src/publish/x.ts", "setInterval(tick, 1_000);", "no-set-interval"],
    ["hub/src/render/x.ts", 'import { exec } from "node:child_process";', "no-shell"],
    ["agent/src/report/x.ts", "const options = { rejectUnauthorized: false };", "no-tls-bypass"],
    ["agent/src/apply/x.ts", "// @ts-ignore", "no-type-escape"],
    ["agent/src/apply/x.ts", 'const home = process.env["HOME"];', "environment-in-config"],
    ["agent/src/pull/x.ts", "const jitter = Math.random();", "chance-from-runtime"],
    ["agent/src/pull/index.ts", "export {};", "no-barrels"],
    ["agent/src/pull/x.ts", "\n".repeat(401), "file-length"],
  ])("are broken by code that breaks them: %s, %#", (path, text, rule) => {
    expect(checkHouseRules([{ path, text }]).map((breach) => breach.rule)).toEqual([rule]);
  });

  it("are not broken by comments", () => {
    expect(
      checkHouseRules([{ path: "agent/src/plan/x.ts", text: "// Date.now()\n/* Math.random() */\n/**\n * process.env\n */\n" }]),
    ).toEqual([]);
  });
});
