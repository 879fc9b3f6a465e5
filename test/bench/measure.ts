import { readFileSync } from "node:fs";
import type { Manifest } from "@muster/shared/model";
import { isMutating } from "../rig/audit-log.ts";
import { eventually } from "../rig/eventually.ts";
import { AGENT_USER, type Muster, type Programs, startMuster } from "../rig/muster.ts";
import { timeBareApplies } from "./bare-applies.ts";
import { bundleFile, clusterFile, configMaps, largeFiles, PER_FILE } from "./fleet-files.ts";
import { type ObjectWatch, watchConfigMaps } from "./object-watch.ts";
import { countStages, type Stages } from "./stages.ts";
import { type Percentiles, percentiles } from "./statistics.ts";

/** Every figure that the bench tells. */
export interface BenchFigures {
  readonly pushToAppliedMs: Percentiles;
  readonly pushToApplied1of1000Ms: Percentiles;
  readonly pushToApplied1000Ms: Percentiles;
  /** The same 1,000 applies by a bare client, in the same run: what the API server itself takes on this machine. */
  readonly bareApply1000Ms: Percentiles;
  /** Where a push spends its time in the hub, in means. */
  readonly hubStagesMs: { readonly objects10: Stages; readonly objects1000: Stages };
  readonly driftDetectMs: Percentiles;
  readonly driftRepairMs: Percentiles;
  readonly noopPublishedSlices: number;
  readonly idleMutatingCallsPerMinute: number;
  readonly idleCallsPerMinute: number;
  readonly agentRssMiB: { readonly objects10: number; readonly objects1000: number };
  readonly hubRssMiB: number;
  readonly initialSync1000ObjectsMs: number;
  readonly coldStartMs: { readonly hub: number; readonly agent: number };
}

/** How much of everything; the defaults are what the targets are stated for. */
export interface BenchOptions {
  readonly programs: Programs;
  readonly commits: number;
  readonly largeCommits: number;
  readonly drifts: number;
  readonly idleSeconds: number;
  readonly progress: (text: string) => void;
}

const CLUSTERS = ["bench-1", "bench-2", "bench-3"];
const NAMESPACE = "bench";
const stampOf = (object: Manifest) => (object["data"] as { stamp?: string } | undefined)?.stamp;
const isLarge = (object: Manifest) => object.metadata.name.startsWith("large-");
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

export async function measure(options: BenchOptions): Promise<BenchFigures> {
  const { progress } = options;
  progress("starting 3 API servers, NATS, Git, hub and agents");
  const muster = await startMuster({
    clusters: CLUSTERS,
    programs: options.programs,
    startAgents: false,
    lowMemory: false,
    files: {
      "clusters/all.yaml": clusterFile(CLUSTERS),
      "small/bundle.yaml": bundleFile("small", "{ all: true }"),
      "small/objects.yaml": configMaps("small", 0, 10, () => "0"),
    },
  });
  const watches: ObjectWatch[] = [];
  try {
    for (const name of CLUSTERS) await muster.startAgent(name);
    await allSynced(muster);
    for (const cluster of muster.clusters.all) watches.push(await watchConfigMaps(cluster, NAMESPACE));
    const [first] = watches;
    if (!first) throw new Error("no watch");
    const coldHub = await timeStart(muster.hub);
    const coldAgents: number[] = [];
    for (const name of CLUSTERS) coldAgents.push(await timeStart(muster.agent(name)));
    await allSynced(muster);

    progress(`10 objects on 3 clusters, ${options.commits} commits`);
    const pushes: number[] = [];
    const stagesOf10 = await countStages(muster.hubUrl);
    for (let round = 1; round <= options.commits; round++) {
      pushes.push(
        await timePush(
          muster,
          watches,
          { "small/objects.yaml": configMaps("small", 0, 10, () => `s${round}`) },
          10,
          (object) => stampOf(object) === `s${round}`,
        ),
      );
    }
    const objects10Stages = await stagesOf10();
    const objects10 = rssMiB(muster.agent("bench-2").pid);

    progress("first sync of 1,000 objects");
    const initialSync = await timePush(
      muster,
      [first],
      { "large/bundle.yaml": bundleFile("large", "{ clusters: [bench-1] }"), ...largeFiles(() => "0") },
      1_000,
      isLarge,
    );
    await allSynced(muster);

    progress(`1 of 1,000 objects, ${options.largeCommits} commits`);
    const one: number[] = [];
    for (let round = 1; round <= options.largeCommits; round++) {
      const file = round % 10;
      const changed = file * PER_FILE + (round % PER_FILE);
      const files = {
        [`large/objects-${file}.yaml`]: configMaps("large", file * PER_FILE, PER_FILE, (index) => (index === changed ? `o${round}` : "0")),
      };
      one.push(await timePush(muster, [first], files, 1, (object) => stampOf(object) === `o${round}`));
      await allSynced(muster);
    }
    progress(`1,000 of 1,000 objects, ${options.largeCommits} commits`);
    const all: number[] = [];
    const stagesOf1000 = await countStages(muster.hubUrl);
    for (let round = 1; round <= options.largeCommits; round++) {
      all.push(
        await timePush(
          muster,
          [first],
          largeFiles(() => `a${round}`),
          1_000,
          (object) => isLarge(object) && stampOf(object) === `a${round}`,
        ),
      );
      await allSynced(muster);
    }

    const objects1000Stages = await stagesOf1000();
    progress("1,000 applies by a bare client");
    const { changing: bare } = await timeBareApplies(muster.clusters.get("bench-1"), 1_000, Math.min(options.largeCommits, 5));

    progress(`drift: ${options.drifts} edits and deletions`);
    const { detect, repair } = await measureDrift(muster, options.drifts);

    progress("a commit that changes nothing");
    const before = await publishedSlices(muster);
    const commit = await muster.push("Write a README", { "README.md": `Nothing for clusters. ${Date.now()}\n` });
    await eventually(async () => {
      const { body } = await muster.api<{ items: { revision: string }[] }>("/revisions?limit=1");
      if (!body.items[0]?.revision.includes(commit)) throw new Error("not seen yet");
    });
    const noop = (await publishedSlices(muster)) - before;

    progress(`at rest for ${options.idleSeconds} s`);
    await sleep(5_000);
    const apiserver = muster.clusters.get("bench-1");
    const mark = apiserver.auditMark();
    await sleep(options.idleSeconds * 1_000);
    const calls = apiserver.audit(mark).filter((entry) => entry.user === AGENT_USER);
    const perMinute = (count: number) => Math.round((count * 600) / options.idleSeconds) / 10;
    return {
      pushToAppliedMs: percentiles(pushes),
      pushToApplied1of1000Ms: percentiles(one),
      pushToApplied1000Ms: percentiles(all),
      bareApply1000Ms: percentiles(bare),
      hubStagesMs: { objects10: objects10Stages, objects1000: objects1000Stages },
      driftDetectMs: percentiles(detect),
      driftRepairMs: percentiles(repair),
      noopPublishedSlices: noop,
      idleMutatingCallsPerMinute: perMinute(calls.filter(isMutating).length),
      idleCallsPerMinute: perMinute(calls.length),
      agentRssMiB: { objects10, objects1000: rssMiB(muster.agent("bench-1").pid) },
      hubRssMiB: rssMiB(muster.hub.pid),
      initialSync1000ObjectsMs: Math.round(initialSync),
      coldStartMs: { hub: Math.round(coldHub), agent: percentiles(coldAgents).p50 },
    };
  } catch (error) {
    progress(`hub:\n${muster.hub.logTail(15)}`);
    throw error;
  } finally {
    await Promise.all(watches.map((watch) => watch.stop()));
    await muster.stop();
  }
}

/** Milliseconds from the start of a process until it is ready, with what it keeps from before and without what issued its credentials. */
async function timeStart(part: { stop(): Promise<void>; restart(): Promise<void> }): Promise<number> {
  await part.stop();
  const started = performance.now();
  await part.restart();
  return performance.now() - started;
}

/** Milliseconds from the webhook (the push is done, and the hub is told) to the last object on the last cluster, as its API server tells it. */
async function timePush(
  muster: Muster,
  watches: readonly ObjectWatch[],
  files: Readonly<Record<string, string>>,
  count: number,
  condition: (object: Manifest) => boolean,
): Promise<number> {
  await muster.repository.commit("Change objects", files);
  const applied = Promise.all(watches.map((watch) => watch.until(count, condition)));
  const started = performance.now();
  await muster.webhook();
  return Math.max(...(await applied)) - started;
}

async function measureDrift(muster: Muster, rounds: number): Promise<{ detect: number[]; repair: number[] }> {
  const apiserver = muster.clusters.get("bench-1");
  const detect: number[] = [];
  const repair: number[] = [];
  for (let round = 0; round < rounds; round++) {
    // Another object each time: many corrections of one object in a minute would count as a fight, and slow down.
    const name = `large-${round * 7}`;
    const path = `/api/v1/namespaces/${NAMESPACE}/configmaps/${name}`;
    const live = (await apiserver.admin.get<Manifest>(path)) as Manifest;
    const good = stampOf(live);
    const uid = live.metadata["uid"];
    const newest = await newestEvent(muster);
    const started = performance.now();
    const deletes = round % 2 === 1;
    if (deletes) await apiserver.admin.request("DELETE", path);
    else
      await apiserver.admin.request(
        "PATCH",
        `${path}?fieldManager=kubectl-edit`,
        { data: { stamp: "foreign" } },
        "application/merge-patch+json",
      );
    const detected = (async () => {
      for (;;) {
        const { body } = await muster.api<{ items: { id: number; type: string; object?: string }[] }>("/events?limit=10&cluster=bench-1");
        if (body.items.some((event) => event.id > newest && event.type === "DriftDetected" && event.object?.endsWith(`/${name}`)))
          return performance.now();
        if (performance.now() - started > 20_000) throw new Error(`drift of ${name} was not told by the hub`);
        await sleep(3);
      }
    })();
    const repaired = eventually(
      async () => {
        const now = await apiserver.admin.get<Manifest>(path);
        if (!now || stampOf(now) !== good || (deletes && now.metadata["uid"] === uid)) throw new Error("not repaired");
        return performance.now();
      },
      { timeoutMs: 20_000, intervalMs: 5 },
    );
    detect.push((await detected) - started);
    repair.push((await repaired) - started);
  }
  return { detect, repair };
}

async function newestEvent(muster: Muster): Promise<number> {
  const { body } = await muster.api<{ items: { id: number }[] }>("/events?limit=1");
  return body.items[0]?.id ?? 0;
}

async function allSynced(muster: Muster): Promise<void> {
  await eventually(
    async () => {
      const { body } = await muster.api<{ healthy: boolean; targets: { total: number; synced: number } }>("/fleet");
      if (!body.healthy) throw new Error(JSON.stringify(body).slice(0, 500));
    },
    { timeoutMs: 60_000, message: "the fleet being healthy" },
  );
}

async function publishedSlices(muster: Muster): Promise<number> {
  const text = await (await fetch(`${muster.hubUrl}/metrics`)).text();
  const count = /^muster_hub_published_slices_total (\d+)/m.exec(text)?.[1];
  // A metric of another name must not read as “nothing was published”.
  if (count === undefined) throw new Error("the hub has no metric muster_hub_published_slices_total");
  return Number(count);
}

function rssMiB(pid: number): number {
  const kib = Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
  return Math.round(kib / 102.4) / 10;
}
