import { parentPort, workerData } from "node:worker_threads";
import { runSeed } from "./run-seed.ts";

/** What a worker tells of one seed; the trace only where something was found. */
export interface SeedReport {
  readonly seed: number;
  readonly steps: number;
  readonly requests: number;
  readonly kills: number;
  readonly convergedMs: readonly number[];
  readonly findings: Awaited<ReturnType<typeof runSeed>>["findings"];
}

/** Which seeds: every `stride`th of `count`, from `first` on. */
export interface WorkerTask {
  readonly first: number;
  readonly count: number;
  readonly stride: number;
}

const { first, count, stride } = workerData as WorkerTask;
for (let index = 0; index < count; index += stride) {
  const { seed, steps, requests, kills, convergedMs, findings } = await runSeed(first + index);
  parentPort?.postMessage({ seed, steps, requests, kills, convergedMs, findings } satisfies SeedReport);
}
