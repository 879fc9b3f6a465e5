import { writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { AGENT_FAILPOINTS } from "../../agent/src/failpoints.ts";
import { percentiles } from "../bench/statistics.ts";
import { ensureBinaries } from "../rig/binaries.ts";
import { readScriptOptions } from "../script-options.ts";
import { type ChaosResult, runChaos } from "./chaos-run.ts";

/**
 * `npm run chaos:agent [-- --seed N --kills N --only POINT --random --lanes N --json FILE]`: kills the agent at every failpoint, then
 * at random, on a real API server and a real NATS. `--random` leaves the failpoints out. Ends with 1 if anything was lost.
 */
const values = readScriptOptions(
  { name: "chaos:agent", about: "Kills a real agent again and again, and judges by the audit log. Ends with 1 if anything was lost." },
  {
    seed: { value: "N", help: "What is random. Default: by the clock; it is told." },
    kills: { value: "N", default: "500", help: "Kills at random moments." },
    only: { value: "POINT", help: "Only this failpoint." },
    random: { help: "Leaves the failpoints out." },
    lanes: { value: "N", default: "2", help: "Clusters that are worked on at once." },
    json: { value: "FILE", help: "Where figures and findings are written." },
  },
);
const byClock = String(Math.floor(Date.now() / 1_000) % 1_000_000);
const [seed, kills, lanes] = [values.seed ?? byClock, values.kills, values.lanes].map(Number) as [number, number, number];
const { only } = values;
const known: readonly string[] = AGENT_FAILPOINTS;
if (![seed, kills, lanes].every(Number.isSafeInteger) || lanes < 1 || (only !== undefined && !known.includes(only))) {
  process.stderr.write(`chaos:agent: numbers are whole, and --only is one of\n  ${AGENT_FAILPOINTS.join("\n  ")}\n`);
  process.exit(2);
}

process.stdout.write(`seed ${seed}\n`);
await ensureBinaries(["nats-server", "etcd", "kube-apiserver"]);
const began = performance.now();
const result = await runChaos({
  seed,
  kills,
  lanes,
  matrix: values.random ? "none" : "all",
  ...(only !== undefined && { only }),
  progress: (text) => void process.stderr.write(`${text}\n`),
});
const figures = figuresOf(result, Math.round((performance.now() - began) / 1_000));
const { findings, unreached, broken } = result;
if (values.json)
  writeFileSync(
    values.json,
    `${JSON.stringify({ at: new Date().toISOString(), cores: cpus().length, ...figures, findings, unreached, broken }, null, 2)}\n`,
  );

for (const [name, value] of Object.entries(figures)) process.stdout.write(`${name.padEnd(22)} ${describe(value)}\n`);
for (const lane of broken) process.stdout.write(`\nended early: ${lane}\n`);
for (const task of unreached) process.stdout.write(`not reached: ${task}\n`);
for (const { kind, what, when, log } of findings) process.stdout.write(`\n${kind}: ${what}\n  ${when}\n${log.replaceAll(/^/gm, "  | ")}\n`);
if (findings.length + broken.length + unreached.length + result.missing.length > 0) {
  const again = [
    "--seed",
    seed,
    "--kills",
    kills,
    "--lanes",
    lanes,
    ...(only ? ["--only", only] : []),
    ...(values.random ? ["--random"] : []),
  ];
  process.stdout.write(`\nto play it again: npm run chaos:agent -- ${again.join(" ")}\none failpoint only: --only POINT --kills 0\n`);
  process.exitCode = 1;
}

function figuresOf({ kills: killed, covered, missing, findings: found, convergedMs }: ChaosResult, seconds: number) {
  const of = (...kinds: readonly string[]) => found.filter(({ kind }) => kinds.includes(kind)).length;
  const atRandom = killed.filter((point) => point === "at random").length;
  return {
    seed,
    kills: { total: killed.length, atFailpoints: killed.length - atRandom, atRandomMoments: atRandom },
    failpoints: { listed: AGENT_FAILPOINTS.length, covered: covered.length, missing },
    lost: of("lost"),
    wronglyDeleted: of("deleted"),
    leftBehind: of("left"),
    inventoryWrong: of("inventory"),
    wentBack: of("order"),
    wroteForNothing: of("write"),
    late: of("late"),
    convergenceMs: { ...(convergedMs.length > 0 && percentiles(convergedMs)), max: Math.max(0, ...convergedMs) },
    seconds,
  };
}

function describe(value: unknown): string {
  if (typeof value !== "object" || value === null) return String(value);
  return Object.entries(value)
    .map(([key, part]) => `${key} ${Array.isArray(part) ? part.join(" ") || "none" : part}`)
    .join(", ");
}
