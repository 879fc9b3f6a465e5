import { writeFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { buildBundles, IMAGE_ENV, NODE_ARGS } from "../build/bundle.ts";
import { ensureBinaries } from "../rig/binaries.ts";
import { createTempFolder } from "../rig/temp-folder.ts";
import { readScriptOptions } from "../script-options.ts";
import { type BenchFigures, measure } from "./measure.ts";
import type { Stages } from "./stages.ts";
import type { Percentiles } from "./statistics.ts";

/** `npm run bench [-- --json FILE] [--quick]`: measures against the targets, on real parts. */
const values = readScriptOptions(
  { name: "bench", about: "Measures the main job on real parts, beside the targets." },
  {
    quick: { help: "Fewer rounds, and a short rest." },
    json: { value: "FILE", help: "Where the figures are written." },
  },
);

/** A row of the table: a figure, its target, and whether it is met. */
interface Row {
  readonly name: string;
  readonly measured: string;
  readonly target: string;
  readonly met: boolean | undefined;
}

const pair = (figure: Percentiles) => `${figure.p50} / ${figure.p99} ms`;

function rows(figures: BenchFigures): Row[] {
  const row = (name: string, measured: string, target: string, met?: boolean): Row => ({ name, measured, target, met });
  const {
    pushToAppliedMs: push,
    pushToApplied1of1000Ms: one,
    pushToApplied1000Ms: all,
    driftDetectMs: detect,
    driftRepairMs: repair,
  } = figures;
  return [
    row("10 objects, push → applied, p50 / p99", pair(push), "< 250 / < 600 ms", push.p50 < 250 && push.p99 < 600),
    row("1 of 1,000 objects changed, p50 / p99", pair(one), "p50 < 300 ms", one.p50 < 300),
    row("1,000 of 1,000 changed, p50 / p99", pair(all), "p50 < 1,500 ms", all.p50 < 1_500),
    row("… of which a bare client takes, p50 / p99", pair(figures.bareApply1000Ms), ""),
    row("first sync of 1,000 objects", `${figures.initialSync1000ObjectsMs} ms`, "< 2,000 ms", figures.initialSync1000ObjectsMs < 2_000),
    row("drift found, on the hub, p50 / p99", pair(detect), "p99 < 500 ms", detect.p99 < 500),
    row("drift repaired, p50 / p99", pair(repair), "p99 < 1,000 ms", repair.p99 < 1_000),
    row("slices published for a README", String(figures.noopPublishedSlices), "0", figures.noopPublishedSlices === 0),
    row("mutating calls per minute at rest", String(figures.idleMutatingCallsPerMinute), "0", figures.idleMutatingCallsPerMinute === 0),
    row("calls per minute at rest, 1,000 objects", String(figures.idleCallsPerMinute), "< 60", figures.idleCallsPerMinute < 60),
    row("agent RSS, 10 objects", `${figures.agentRssMiB.objects10} MiB`, ""),
    row("agent RSS, 1,000 objects", `${figures.agentRssMiB.objects1000} MiB`, "≤ 110 MiB", figures.agentRssMiB.objects1000 <= 110),
    row("hub RSS", `${figures.hubRssMiB} MiB`, ""),
    row("cold start of hub / agent", `${figures.coldStartMs.hub} / ${figures.coldStartMs.agent} ms`, ""),
  ];
}

/** `fetch 91 · render 55 · …`, what is worth a word. */
function describeStages(stages: Stages): string {
  const told = Object.entries(stages).filter(([, ms]) => ms >= 1);
  return told.map(([name, ms]) => `${name} ${Math.round(ms)}`).join(" · ");
}

const programs = await (async () => {
  await ensureBinaries(["nats-server", "etcd", "kube-apiserver", "helm", "kustomize"]);
  const built = await buildBundles({ outDir: createTempFolder("bench").path, programs: ["hub", "agent"] });
  // As the images run them.
  return { hub: built.hub, agent: built.agent, nodeArgs: NODE_ARGS, imageEnv: IMAGE_ENV };
})();
const figures = await measure({
  programs,
  commits: values.quick ? 8 : 50,
  largeCommits: values.quick ? 3 : 10,
  drifts: values.quick ? 6 : 50,
  // Longer than the five minutes between two full lists of a kind, which are calls too.
  idleSeconds: values.quick ? 10 : 360,
  progress: (text) => void process.stderr.write(`${text}\n`),
});
const machine = {
  cpu: cpus()[0]?.model ?? "unknown",
  cores: cpus().length,
  memoryGiB: Math.round(totalmem() / 2 ** 30),
  node: process.version,
};
if (values.json) writeFileSync(values.json, `${JSON.stringify({ at: new Date().toISOString(), machine, ...figures }, null, 2)}\n`);
const table = rows(figures);
const width = Math.max(...table.map((entry) => entry.name.length));
process.stdout.write(`\n${machine.cores} cores (${machine.cpu}), ${machine.memoryGiB} GiB, Node ${machine.node}\n\n`);
for (const { name, measured, target, met } of table) {
  process.stdout.write(
    `${name.padEnd(width)}  ${measured.padStart(20)}  ${target.padEnd(18)} ${met === undefined ? "" : met ? "met" : "MISSED"}\n`,
  );
}
process.stdout.write(`
in the hub, mean ms per commit
  10 objects     ${describeStages(figures.hubStagesMs.objects10)}
  1,000 objects  ${describeStages(figures.hubStagesMs.objects1000)}
`);
