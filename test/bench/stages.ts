/** Mean milliseconds per run of each stage of the hub, by name; the rest of a push is the agent's and the API server's. */
export type Stages = Readonly<Record<string, number>>;

interface Totals {
  readonly seconds: ReadonlyMap<string, number>;
  readonly counts: ReadonlyMap<string, number>;
}

const STAGES = ["fetch", "load", "fleet", "render", "encode", "compose", "publish", "record"];

/** Starts to count what the hub's own histograms say; the result tells the means since then. */
export async function countStages(hubUrl: string): Promise<() => Promise<Stages>> {
  const before = await readTotals(hubUrl);
  return async () => {
    const after = await readTotals(hubUrl);
    const means = STAGES.map((name) => {
      const count = (after.counts.get(name) ?? 0) - (before.counts.get(name) ?? 0);
      const seconds = (after.seconds.get(name) ?? 0) - (before.seconds.get(name) ?? 0);
      return [name, count === 0 ? 0 : Math.round((seconds * 10_000) / count) / 10] as const;
    });
    return Object.fromEntries(means);
  };
}

async function readTotals(hubUrl: string): Promise<Totals> {
  const text = await (await fetch(`${hubUrl}/metrics`)).text();
  return { seconds: readSeries(text, "sum"), counts: readSeries(text, "count") };
}

function readSeries(text: string, suffix: "sum" | "count"): Map<string, number> {
  const found = new Map<string, number>();
  const line = new RegExp(`^muster_hub_(fetch|stage)_duration_seconds_${suffix}(?:\\{([^}]*)\\})? (\\S+)$`, "gm");
  for (const [, metric, labels = "", value] of text.matchAll(line)) {
    const name = metric === "fetch" ? "fetch" : /stage="([^"]*)"/.exec(labels)?.[1];
    if (name) found.set(name, (found.get(name) ?? 0) + Number(value));
  }
  return found;
}
