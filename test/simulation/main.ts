import { writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { percentiles } from "../bench/statistics.ts";
import { readScriptOptions } from "../script-options.ts";
import { runSeed } from "./run-seed.ts";
import type { SeedReport, WorkerTask } from "./worker.ts";

/**
 * `npm run simulate [-- --seeds N --seed S --workers N --json FILE]`: plays N histories, from the seed S on. One that breaks an
 * invariant is told with the command that plays it again; with `--seeds 1` all that happens in it is told. Ends with 1 if there is any.
 */
const values = readScriptOptions(
  { name: "simulate", about: "Plays histories of the agent's engine, with a virtual clock, and judges them. Ends with 1 if one breaks." },
  {
    seeds: { value: "N", default: "1000", help: "Histories that are played; of one, all that happens is told." },
    seed: { value: "N", default: "1", help: "The first of them." },
    workers: { value: "N", default: String(availableParallelism()), help: "Threads." },
    json: { value: "FILE", help: "Where figures and findings are written." },
  },
);
const [seeds, first, workers] = [values.seeds, values.seed, values.workers].map(Number) as [number, number, number];
if (![seeds, first, workers].every(Number.isSafeInteger) || seeds < 1 || first < 0 || workers < 1) {
  process.stderr.write("simulate: --seeds, --seed and --workers are whole numbers\n");
  process.exit(2);
}
/** Failing seeds of which the end of the history is shown. */
const MAX_SHOWN = 5;
const TAIL = 40;

if (seeds === 1) await tellAll(first);
else await playAll();

async function tellAll(seed: number): Promise<void> {
  const { trace, findings, steps, digest } = await runSeed(seed);
  for (const line of trace) process.stdout.write(`${line}\n`);
  for (const { invariant, what, atMs } of findings)
    process.stdout.write(`\n${invariant} broken at ${(atMs / 1_000).toFixed(3)}: ${what}\n`);
  process.stdout.write(`\nseed ${seed}: ${steps} events, ${findings.length} findings, digest ${digest.slice(0, 16)}\n`);
  process.exitCode = findings.length > 0 ? 1 : 0;
}

async function playAll(): Promise<void> {
  const began = performance.now();
  const reports: SeedReport[] = [];
  const failed: SeedReport[] = [];
  let toldMs = began;
  const hear = (report: SeedReport) => {
    reports.push(report);
    if (report.findings.length > 0) {
      failed.push(report);
      const [{ invariant, what } = { invariant: "", what: "" }] = report.findings;
      process.stdout.write(`seed ${report.seed}: ${invariant} ${what}\n`);
    }
    if (performance.now() - toldMs < 5_000) return;
    toldMs = performance.now();
    process.stderr.write(`${reports.length} of ${seeds} seeds, ${failed.length} broken\n`);
  };
  const count = Math.min(workers, seeds);
  await Promise.all(Array.from({ length: count }, (_, index) => play({ first: first + index, count: seeds - index, stride: count }, hear)));
  const seconds = (performance.now() - began) / 1_000;
  const cpu = process.cpuUsage();

  for (const { seed } of failed.slice(0, MAX_SHOWN)) await tellFailed(seed);
  const sum = (of: (report: SeedReport) => number) => reports.reduce((total, report) => total + of(report), 0);
  const convergedMs = reports.flatMap((report) => report.convergedMs);
  const figures = {
    seeds: reports.length,
    first,
    broken: failed.length,
    kills: sum(({ kills }) => kills),
    events: sum(({ steps }) => steps),
    requests: sum(({ requests }) => requests),
    converged: convergedMs.length,
    convergenceMs: { ...(convergedMs.length > 0 && percentiles(convergedMs)), max: Math.max(0, ...convergedMs) },
    seconds: Math.round(seconds),
    cpuMsPerSeed: Math.round((cpu.user + cpu.system) / 1_000 / reports.length),
    workers: count,
  };
  if (values.json) writeFileSync(values.json, `${JSON.stringify({ ...figures, brokenSeeds: failed.map(({ seed }) => seed) }, null, 2)}\n`);
  process.stdout.write(
    `${figures.seeds} seeds from ${first}, ${figures.broken} broken; ${figures.kills} kills, ${figures.requests} requests, ${figures.events} events; in order ${figures.converged} times, at most ${Math.round(figures.convergenceMs.max / 1_000)} virtual seconds after the last fault; ${figures.seconds} s on ${count} workers, ${figures.cpuMsPerSeed} ms of CPU a seed\n`,
  );
  process.exitCode = failed.length > 0 ? 1 : 0;
}

/** The end of a history, and how to see all of it. */
async function tellFailed(seed: number): Promise<void> {
  const { trace, findings } = await runSeed(seed);
  process.stdout.write(`\nseed ${seed}\n${trace.slice(-TAIL).join("\n")}\n`);
  for (const { invariant, what, atMs } of findings) process.stdout.write(`${invariant} broken at ${(atMs / 1_000).toFixed(3)}: ${what}\n`);
  process.stdout.write(`to play it again: npm run simulate -- --seeds 1 --seed ${seed}\n\n`);
}

function play(task: WorkerTask, hear: (report: SeedReport) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL("./worker.ts", import.meta.url), {
      workerData: task,
      // Little outlives its seed: with room for the young, most of it is gone before anybody collects it.
      resourceLimits: { maxYoungGenerationSizeMb: 96 },
    });
    worker.on("message", hear);
    worker.on("error", reject);
    worker.on("exit", (code) => (code === 0 ? resolve() : reject(new Error(`a worker ended with ${code}`))));
  });
}
