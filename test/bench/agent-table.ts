import type { SizeFigures } from "./agent-size.ts";

/** A figure of one size: how it reads, and whether it is what was aimed at; undefined: nothing was. */
interface Cell {
  readonly text: string;
  readonly target?: string;
  readonly met?: boolean;
}

/** A figure beside what was aimed at. */
function against(value: number, unit: string, target: { readonly below: number } | { readonly most: number } | undefined): Cell {
  const text = `${value}${unit}`;
  if (!target) return { text };
  if ("below" in target) return { text, target: `< ${target.below}${unit}`, met: value < target.below };
  return { text, target: `≤ ${target.most}${unit}`, met: value <= target.most };
}

const when = <T>(condition: boolean, target: T) => (condition ? target : undefined);

/** The rows of the table. Targets are stated for some sizes only. */
const ROWS: readonly (readonly [name: string, cell: (figures: SizeFigures) => Cell | undefined])[] = [
  ["first sync", ({ firstSync, objects }) => against(firstSync.ms, " ms", when(objects === 1_000, { below: 2_000 }))],
  ["… of 1,000 objects by a bare client", ({ firstSync }) => against(firstSync.bareMsFor1000, " ms", undefined)],
  ["… CPU of the agent", ({ firstSync }) => against(firstSync.cpuSeconds, " s", undefined)],
  ["… CPU of API server and etcd", ({ firstSync }) => against(firstSync.serversCpuSeconds, " s", undefined)],
  ["… longest silence", ({ firstSync }) => against(firstSync.longestSilenceMs, " ms", undefined)],
  ["no-op revision, p50", ({ noop, objects }) => against(noop.ms.p50, " ms", when(objects <= 1_000, { below: 100 }))],
  ["… CPU of the agent", ({ noop }) => against(noop.cpuMs, " ms", undefined)],
  ["… reads / writes", ({ noop }) => ({ text: `${noop.calls.reads} / ${noop.calls.writes}` })],
  ["one object changed, p50", ({ oneObject }) => against(oneObject.ms.p50, " ms", undefined)],
  ["… CPU of the agent", ({ oneObject }) => against(oneObject.cpuMs, " ms", undefined)],
  ["… reads / writes", ({ oneObject }) => ({ text: `${oneObject.calls.reads} / ${oneObject.calls.writes}` })],
  ["drift told, p50", ({ driftDetectMs }) => against(driftDetectMs.p50, " ms", undefined)],
  ["drift told, p99", ({ driftDetectMs }) => against(driftDetectMs.p99, " ms", { below: 1_000 })],
  ["restart until in sync", ({ restart }) => against(restart.ms, " ms", undefined)],
  ["… CPU of the agent", ({ restart }) => against(restart.cpuSeconds, " s", undefined)],
  ["… reads / writes", ({ restart }) => ({ text: `${restart.calls.reads} / ${restart.calls.writes}` })],
  ["RSS without objects", ({ rssMiB }) => against(rssMiB.empty, " MiB", undefined)],
  ["RSS after first sync", ({ rssMiB, objects }) => against(rssMiB.afterFirstSync, " MiB", memoryTarget(objects))],
  [
    "RSS, peak of first sync",
    ({ rssMiB, objects }) => against(rssMiB.peakOfFirstSync, " MiB", when(objects === 50_000, memoryTarget(objects))),
  ],
  ["RSS at rest", ({ rssMiB, objects }) => against(rssMiB.atRest, " MiB", memoryTarget(objects))],
  ["RSS, peak of restart", ({ rssMiB, objects }) => against(rssMiB.peakOfRestart, " MiB", when(objects === 50_000, memoryTarget(objects)))],
  ["idle CPU of a minute", ({ idle }) => against(idle.cpuSecondsPerMinute, " s", { below: 0.6 })],
  ["idle reads a minute", ({ idle }) => against(idle.readsPerMinute, "", undefined)],
  ["idle writes a minute", ({ idle }) => against(idle.mutatingPerMinute, "", { most: 0 })],
  ["watches", ({ idle }) => against(idle.watches, "", undefined)],
  ["storm of 10,000 edits, mended after", ({ storm }) => storm && against(storm.ms, " ms", undefined)],
  ["… applies / status messages", ({ storm }) => storm && { text: `${storm.applies} / ${storm.statusMessages}` }],
  ["… RSS, peak", ({ storm, objects }) => storm && against(storm.peakMiB, " MiB", when(objects === 50_000, memoryTarget(objects)))],
  ["… longest silence", ({ storm }) => storm && against(storm.longestSilenceMs, " ms", undefined)],
];

function memoryTarget(objects: number): { readonly most: number } | undefined {
  if (objects <= 1_000) return { most: 110 };
  return when(objects === 50_000, { most: 512 });
}

/** One column per size; beside a figure its target, and whether it is met. */
export function formatTable(sizes: readonly SizeFigures[]): string {
  const header = ["", ...sizes.map(({ objects }) => `${objects} objects`)];
  const rows = ROWS.map(([name, cell]) => [name, ...sizes.map((figures) => describe(cell(figures)))]);
  const widths = header.map((_, column) => Math.max(...[header, ...rows].map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]) =>
    row.map((text, column) => (column === 0 ? text.padEnd(widths[column] ?? 0) : text.padStart(widths[column] ?? 0))).join("  ");
  return `${[header, ...rows].map(line).join("\n")}\n`;
}

function describe(cell: Cell | undefined): string {
  if (!cell) return "";
  return cell.target === undefined ? cell.text : `${cell.text} (${cell.target}, ${cell.met ? "met" : "MISSED"})`;
}
