import { spawn } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { cruiseCheckout, formatViolations } from "../architecture/cruise.ts";
import { checkHouseRules } from "../architecture/house-rules.ts";
import { readSourceFiles } from "../architecture/source-files.ts";
import { resolveBinary } from "../rig/binaries.ts";
import { findStale } from "./find-stale.ts";
import { allGenerators } from "./generators.ts";
import type { Step, StepResult } from "./steps.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const WORKSPACES = ["shared", "hub", "hub/cli", "agent", "test"] as const;

/** A checker that sees nothing finds nothing: below these numbers it is the checker that is broken. */
const LEAST_MODULES = { shared: 40, hub: 10, agent: 5, test: 10 } as const;
const LEAST_FILES = 60;

/** Everything that `npm run check` looks at, slowest first. */
export const STEPS: readonly Step[] = [
  ...WORKSPACES.map((workspace): Step => ({ name: `types ${workspace}`, run: () => runTool("typescript/bin/tsc", ["-p", workspace]) })),
  {
    name: "format and lint",
    run: () => runTool("@biomejs/biome/bin/biome", ["ci", "--diagnostic-level=error", "--max-diagnostics=50", "--colors=off", "."]),
  },
  { name: "dead code", run: () => runTool("knip/bin/knip.js", ["--no-progress"]) },
  { name: "generated files", run: checkGenerated },
  { name: "boundaries", run: checkBoundaries },
  { name: "house rules", run: checkSources },
  { name: "chart hub", run: () => lintChart("charts/hub") },
  { name: "chart agent", run: () => lintChart("charts/agent") },
];

async function checkBoundaries(): Promise<StepResult> {
  const { modules, violations } = await cruiseCheckout(ROOT);
  const unseen = Object.entries(LEAST_MODULES).filter(([folder, least]) => (modules[folder] ?? 0) < least);
  const blind = unseen.map(([folder, least]) => `only ${modules[folder] ?? 0} modules of ${folder} were seen, expected ${least} or more`);
  const seen = Object.values(modules).reduce((sum, count) => sum + count, 0);
  return { problems: [...blind, formatViolations(violations)].join("\n"), note: `${seen} modules` };
}

async function checkSources(): Promise<StepResult> {
  const files = readSourceFiles(ROOT);
  const breaches = checkHouseRules(files).map(({ path, line, rule, found, reason }) => `${path}:${line} ${rule}: ${found}\n  ${reason}`);
  const blind = files.length < LEAST_FILES ? [`only ${files.length} files were seen`] : [];
  return { problems: [...blind, ...breaches].join("\n"), note: `${files.length} files` };
}

async function checkGenerated(): Promise<StepResult> {
  const generators = await allGenerators(ROOT);
  const stale = await findStale(ROOT, generators);
  const problems = stale.map(({ path, problem, generator }) => `${path}: ${problem} (${generator})`);
  if (problems.length > 0) problems.push("run `npm run generate`");
  return { problems: problems.join("\n"), note: `${generators.length} generators` };
}

async function lintChart(chart: string): Promise<StepResult> {
  return runProgram(await resolveBinary("helm"), ["lint", "--strict", "--quiet", chart]);
}

/** Runs a program of an npm package with this Node. */
function runTool(script: string, args: readonly string[]): Promise<StepResult> {
  return runProgram(process.execPath, [join(ROOT, "node_modules", script), ...args]);
}

/** Its output is the problem if it ends with another code than 0. */
function runProgram(command: string, args: readonly string[]): Promise<StepResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: ROOT,
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, NO_COLOR: "1", FORCE_COLOR: "0" },
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text: string) => (output += text));
    child.on("error", reject);
    child.on("close", (code, signal) => resolve({ problems: code === 0 ? "" : output.trim() || `ended with ${signal ?? code}` }));
  });
}
