import { readFileSync, writeFileSync } from "node:fs";

/** Clock ticks per second of /proc, which Linux fixes at 100 for what user space sees. */
const TICKS_PER_SECOND = 100;

/** What one process costs, as Linux counts it. */
export interface ProcessCost {
  /** Resident memory now, in MiB. */
  rssMiB(): number;
  /** The most resident memory since the last call of {@link forgetPeak}, in MiB. */
  peakMiB(): number;
  forgetPeak(): void;
  /** Seconds of processor time since its start, in user and in kernel mode. */
  cpuSeconds(): number;
}

export function processCost(pid: number): ProcessCost {
  const statusMiB = (field: string) => {
    const kib = Number(new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
    if (!Number.isFinite(kib)) throw new Error(`/proc/${pid}/status has no ${field}`);
    return Math.round(kib / 102.4) / 10;
  };
  return {
    rssMiB: () => statusMiB("VmRSS"),
    peakMiB: () => statusMiB("VmHWM"),
    // See proc(5), clear_refs.
    forgetPeak: () => writeFileSync(`/proc/${pid}/clear_refs`, "5"),
    cpuSeconds() {
      const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
      // The name of the program may hold spaces; the fields behind it are counted from 3 on.
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
    },
  };
}
