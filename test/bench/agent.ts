import { mkdirSync, writeFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { resolve } from "node:path";
import { buildBundles } from "../build/bundle.ts";
import { ensureBinaries } from "../rig/binaries.ts";
import { createTempFolder } from "../rig/temp-folder.ts";
import { readScriptOptions } from "../script-options.ts";
import { startAgentRig } from "./agent-rig.ts";
import { measureSize, type SizeFigures } from "./agent-size.ts";
import { formatTable } from "./agent-table.ts";

/**
 * `npm run bench:agent [-- --json FILE --sizes 10,1000 --idle SECONDS --short --profile FOLDER]`: what an agent costs, by the number of
 * its objects, beside the targets. Missing one is told, and is no error. `--profile` puts a CPU profile and a heap snapshot of each
 * agent into a folder.
 */
const values = readScriptOptions(
  { name: "bench:agent", about: "Measures what one agent costs, by the number of its objects, beside the targets." },
  {
    sizes: { value: "N,N", default: "10,1000,10000,50000", help: "Numbers of objects." },
    // Longer than the five minutes between two full lists of a kind, which are calls too.
    idle: { value: "SECONDS", help: "Time at rest that is measured. Default: 360, with --short 20." },
    short: { help: "Fewer rounds." },
    profile: { value: "FOLDER", help: "Puts a CPU profile and a heap snapshot of each agent there." },
    json: { value: "FILE", help: "Where the figures are written." },
  },
);
const sizes = values.sizes.split(",").map(Number);
const idleSeconds = Number(values.idle ?? (values.short ? 20 : 360));
if (!sizes.every((size) => Number.isSafeInteger(size) && size > 0) || !(idleSeconds > 0)) {
  process.stderr.write("bench:agent: --sizes takes whole numbers, separated by commas; --idle takes seconds\n");
  process.exit(2);
}
const progress = (text: string) => void process.stderr.write(`${text}\n`);

await ensureBinaries(["nats-server", "etcd", "kube-apiserver"]);
const { agent: program } = await buildBundles({ outDir: createTempFolder("bench").path, programs: ["agent"] });
const results: SizeFigures[] = [];
for (const objects of sizes) {
  const profile = values.profile && resolve(values.profile, String(objects));
  if (profile) mkdirSync(profile, { recursive: true });
  const rig = await startAgentRig({
    name: `bench-${objects}`,
    program,
    ...(profile && {
      nodeArgs: ["--cpu-prof", `--cpu-prof-dir=${profile}`, "--heapsnapshot-signal=SIGUSR2", `--diagnostic-dir=${profile}`],
    }),
  });
  try {
    results.push(
      await measureSize(rig, {
        objects,
        revisions: values.short ? 3 : 7,
        drifts: values.short ? 5 : 20,
        idleSeconds,
        stormEdits: objects >= 10_000 ? 10_000 : 0,
        progress,
        ...(profile && { onRest: () => snapshotHeap(rig.agent.pid) }),
      }),
    );
  } catch (error) {
    progress(rig.agent.logTail(15));
    throw error;
  } finally {
    await rig.stop();
  }
}
const machine = {
  cpu: cpus()[0]?.model ?? "unknown",
  cores: cpus().length,
  memoryGiB: Math.round(totalmem() / 2 ** 30),
  node: process.version,
};
if (values.json) writeFileSync(values.json, `${JSON.stringify({ at: new Date().toISOString(), machine, sizes: results }, null, 2)}\n`);
process.stdout.write(
  `\n${machine.cores} cores (${machine.cpu}), ${machine.memoryGiB} GiB, Node ${machine.node}\n\n${formatTable(results)}`,
);

/** The process writes it by itself, and does nothing else meanwhile. */
async function snapshotHeap(pid: number): Promise<void> {
  process.kill(pid, "SIGUSR2");
  await new Promise((done) => setTimeout(done, 20_000));
}
