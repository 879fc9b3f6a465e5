import type { Manifest } from "@muster/shared/model";
import { forEachLimited } from "@muster/shared/runtime";
import type { MadeBundle } from "../../agent/src/pull/testing/slice-maker.ts";
import { type AuditEntry, isMutating } from "../rig/audit-log.ts";
import { eventually } from "../rig/eventually.ts";
import { AGENT_USER } from "../rig/muster.ts";
import type { AgentRig } from "./agent-rig.ts";
import { timeBareApplies } from "./bare-applies.ts";
import { type ProcessCost, processCost } from "./process-cost.ts";
import { type Silence, sampleSilence } from "./silence.ts";
import { type Percentiles, percentiles } from "./statistics.ts";

/** What an agent asked of its API server, by the audit log; watches are not counted. */
export interface Calls {
  readonly reads: number;
  readonly writes: number;
}

/** What one kind of revision costs. */
export interface RevisionFigures {
  /** From publishing until the hub hears that it is applied. */
  readonly ms: Percentiles;
  /** Of the agent, each. */
  readonly cpuMs: number;
  /** Each. */
  readonly calls: Calls;
}

/** Everything that is measured of an agent with a number of objects. */
export interface SizeFigures {
  readonly objects: number;
  readonly rssMiB: {
    /** With a slice of no object. */
    readonly empty: number;
    readonly afterFirstSync: number;
    readonly peakOfFirstSync: number;
    readonly atRest: number;
    /** Started anew, with everything in place. */
    readonly restarted: number;
    readonly peakOfRestart: number;
  };
  readonly firstSync: {
    readonly ms: number;
    /** What a client that does nothing else takes to make 1,000 of the same objects, right before. */
    readonly bareMsFor1000: number;
    readonly cpuSeconds: number;
    /** Of the API server and etcd together, for the same. */
    readonly serversCpuSeconds: number;
    readonly longestSilenceMs: number;
  };
  /** A new generation that says the same. */
  readonly noop: RevisionFigures;
  /** One that changes one object. */
  readonly oneObject: RevisionFigures;
  /** An edit until the hub hears of it. */
  readonly driftDetectMs: Percentiles;
  readonly restart: { readonly ms: number; readonly cpuSeconds: number; readonly calls: Calls };
  readonly idle: {
    readonly seconds: number;
    readonly cpuSecondsPerMinute: number;
    readonly readsPerMinute: number;
    readonly mutatingPerMinute: number;
    readonly watches: number;
  };
  /** Edits of many objects at once, by somebody else. */
  readonly storm?: {
    readonly edits: number;
    /** From the last edit until the agent told that everything is as Git says. */
    readonly ms: number;
    readonly cpuSeconds: number;
    readonly peakMiB: number;
    readonly applies: number;
    readonly statusMessages: number;
    readonly longestSilenceMs: number;
  };
}

/** How much of everything. */
export interface SizeOptions {
  readonly objects: number;
  /** Generations that say the same, and as many that change one object. */
  readonly revisions: number;
  readonly drifts: number;
  readonly idleSeconds: number;
  /** 0: no storm. */
  readonly stormEdits: number;
  readonly progress: (text: string) => void;
  /** Called at points at which a look into the process tells something. */
  readonly onRest?: () => Promise<void>;
}

const NAMESPACE = "bench";
const PER_BUNDLE = 1_000;
/** Milliseconds after work in which Node still tidies up its memory. */
const SETTLE_MS = 20_000;
const nameOf = (index: number) => `object-${index}`;
const pathOf = (name: string) => `/api/v1/namespaces/${NAMESPACE}/configmaps/${name}`;
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Milliseconds after which something is broken, also on a machine that does twenty other things. */
const patienceMs = (objects: number) => 60_000 + objects * 60;

export async function measureSize(rig: AgentRig, options: SizeOptions): Promise<SizeFigures> {
  const { objects, progress } = options;
  const { api, hub, agent } = rig;
  const timeoutMs = patienceMs(objects);
  const stamps = new Map<number, string>();
  const bundles = () => bundlesOf(objects, (index) => stamps.get(index) ?? "0");
  let cost: ProcessCost = processCost(agent.pid);

  /** Milliseconds from publishing until the hub hears that it is applied. */
  async function timeRevision(content: readonly MadeBundle[]): Promise<number> {
    const made = await rig.prepare(content);
    const applied = hub.untilApplied(made.slice.generation, timeoutMs);
    const began = performance.now();
    await rig.publish(made);
    return (await applied) - began;
  }

  async function repeat(change: (round: number) => void): Promise<RevisionFigures> {
    const times: number[] = [];
    const [mark, cpuBegan] = [api.auditMark(), cost.cpuSeconds()];
    for (let round = 0; round < options.revisions; round++) {
      change(round);
      times.push(await timeRevision(bundles()));
    }
    const calls = callsOf(own(api.audit(mark)));
    const each = (count: number) => Math.round((count * 10) / options.revisions) / 10;
    const cpuMs = Math.round(((cost.cpuSeconds() - cpuBegan) * 1_000) / options.revisions);
    return { ms: percentiles(times), cpuMs, calls: { reads: each(calls.reads), writes: each(calls.writes) } };
  }

  const { creating: bareMs } = await timeBareApplies(api, 1_000, 0);
  await api.admin.request("POST", "/api/v1/namespaces", { metadata: { name: NAMESPACE } });
  await timeRevision([{ name: "bundle-0", objects: [] }]);
  const empty = cost.rssMiB();

  progress(`${objects} objects: first sync`);
  cost.forgetPeak();
  const silence: Silence = sampleSilence(rig.healthUrl);
  const serversCpu = () => rig.serverPids.reduce((sum, pid) => sum + processCost(pid).cpuSeconds(), 0);
  const [cpuBefore, serversBefore] = [cost.cpuSeconds(), serversCpu()];
  const ms = await timeRevision(bundles());
  const firstSync = {
    ms: Math.round(ms),
    bareMsFor1000: Math.round(bareMs),
    cpuSeconds: round2(cost.cpuSeconds() - cpuBefore),
    serversCpuSeconds: round2(serversCpu() - serversBefore),
    longestSilenceMs: await silence.stop(),
  };
  const afterFirstSync = cost.rssMiB();
  const peakOfFirstSync = cost.peakMiB();
  progress(
    `  ${firstSync.ms} ms, ${firstSync.cpuSeconds} s of CPU (API server and etcd ${firstSync.serversCpuSeconds} s), ${afterFirstSync} MiB (peak ${peakOfFirstSync} MiB)`,
  );

  progress(`${objects} objects: revisions that change nothing, and one object`);
  await sleep(1_000);
  const noop = await repeat(() => {});
  const oneObject = await repeat((round) => stamps.set((round * 37) % objects, `r${round}`));

  progress(`${objects} objects: ${options.drifts} edits`);
  const driftDetectMs = percentiles(await measureDrift(rig, options, timeoutMs));
  const storm = options.stormEdits > 0 ? { storm: await measureStorm(rig, options, cost, timeoutMs) } : {};
  if ("storm" in storm) progress(`  ${JSON.stringify(storm.storm)}`);

  progress(`${objects} objects: at rest for ${options.idleSeconds} s`);
  await sleep(SETTLE_MS);
  const idleMark = api.auditMark();
  const idleCpu = cost.cpuSeconds();
  const idleBegan = Date.now();
  await sleep(options.idleSeconds * 1_000);
  const idleEnded = Date.now();
  const idleCalls = callsOf(own(api.audit(idleMark)));
  const perMinute = (count: number) => round2((count * 60) / options.idleSeconds);
  const idleCpuPerMinute = perMinute(cost.cpuSeconds() - idleCpu);
  const atRest = cost.rssMiB();
  await options.onRest?.();

  progress(`${objects} objects: started anew`);
  const restartMark = api.auditMark();
  const synced = hub.untilApplied(rig.generation, timeoutMs);
  const restartBegan = performance.now();
  await agent.restart();
  const restartMs = (await synced) - restartBegan;
  cost = processCost(agent.pid);
  const restart = { ms: Math.round(restartMs), cpuSeconds: round2(cost.cpuSeconds()), calls: callsOf(own(api.audit(restartMark))) };
  const [restarted, peakOfRestart] = [cost.rssMiB(), cost.peakMiB()];

  // A watch is in the audit log when it has ended; those of the process before have.
  const watches = own(api.audit()).filter(
    (entry) => entry.verb === "watch" && Date.parse(entry.at) < idleBegan && Date.parse(entry.endedAt) > idleEnded,
  ).length;
  return {
    objects,
    rssMiB: { empty, afterFirstSync, peakOfFirstSync, atRest, restarted, peakOfRestart },
    firstSync,
    noop,
    oneObject,
    driftDetectMs,
    restart,
    idle: {
      seconds: options.idleSeconds,
      cpuSecondsPerMinute: idleCpuPerMinute,
      readsPerMinute: perMinute(idleCalls.reads),
      mutatingPerMinute: perMinute(idleCalls.writes),
      watches,
    },
    ...storm,
  };
}

/** ConfigMaps with 200 bytes of data, as in the bench of the whole system. */
function bundlesOf(objects: number, stampOf: (index: number) => string): MadeBundle[] {
  const bundles: MadeBundle[] = [];
  for (let from = 0; from < objects; from += PER_BUNDLE) {
    const manifests: Manifest[] = [];
    for (let index = from; index < Math.min(from + PER_BUNDLE, objects); index++) {
      const stamp = stampOf(index);
      const fill = "x".repeat(Math.max(0, 200 - stamp.length - "stampfill".length));
      manifests.push({
        apiVersion: "v1",
        kind: "ConfigMap",
        metadata: { name: nameOf(index), namespace: NAMESPACE },
        data: { stamp, fill },
      });
    }
    bundles.push({ name: `bundle-${from / PER_BUNDLE}`, objects: manifests });
  }
  return bundles;
}

function edit({ api }: AgentRig, name: string): Promise<unknown> {
  const path = `${pathOf(name)}?fieldManager=kubectl-edit`;
  return api.admin.request("PATCH", path, { data: { stamp: "foreign" } }, "application/merge-patch+json");
}

async function measureDrift(rig: AgentRig, { objects, drifts }: SizeOptions, timeoutMs: number): Promise<number[]> {
  const times: number[] = [];
  for (let round = 0; round < Math.min(drifts, objects); round++) {
    // Another object each time: many corrections of one would count as a fight, and slow down.
    const name = nameOf((round * 97 + 11) % objects);
    const told = rig.hub.untilDrifted(name, timeoutMs);
    const began = performance.now();
    await edit(rig, name);
    times.push((await told) - began);
    await eventually(
      async () => {
        const live = await rig.api.admin.get<{ data: { stamp: string } }>(pathOf(name));
        if (live?.data.stamp === "foreign") throw new Error("not repaired");
      },
      { timeoutMs, intervalMs: 20 },
    );
  }
  return times;
}

async function measureStorm(
  rig: AgentRig,
  { stormEdits: edits, progress }: SizeOptions,
  cost: ProcessCost,
  timeoutMs: number,
): Promise<NonNullable<SizeFigures["storm"]>> {
  progress(`${edits} edits at once`);
  const [mark, messages, cpu] = [rig.api.auditMark(), rig.hub.messages, cost.cpuSeconds()];
  cost.forgetPeak();
  const silence = sampleSilence(rig.healthUrl);
  await forEachLimited(Array.from({ length: edits }).keys(), 16, async (index) => void (await edit(rig, nameOf(index))));
  const edited = performance.now();
  // What was mended while others were edited may have been told already: only the state of the cluster tells.
  await eventually(
    async () => {
      const path = `/api/v1/namespaces/${NAMESPACE}/configmaps?resourceVersion=0`;
      const { items } = await rig.api.admin.request<{ items: { data: { stamp: string } }[] }>("GET", path);
      const left = items.filter((item) => item.data.stamp === "foreign").length;
      if (left > 0) throw new Error(`${left} are not repaired`);
    },
    { timeoutMs, intervalMs: 500 },
  );
  const ms = Math.round(performance.now() - edited);
  return {
    edits,
    ms,
    cpuSeconds: round2(cost.cpuSeconds() - cpu),
    peakMiB: cost.peakMiB(),
    applies: own(rig.api.audit(mark)).filter((entry) => entry.verb === "patch").length,
    statusMessages: rig.hub.messages - messages,
    longestSilenceMs: await silence.stop(),
  };
}

function own(entries: readonly AuditEntry[]): AuditEntry[] {
  return entries.filter((entry) => entry.user === AGENT_USER);
}

function callsOf(entries: readonly AuditEntry[]): Calls {
  const calls = entries.filter((entry) => entry.verb !== "watch");
  const writes = calls.filter(isMutating).length;
  return { reads: calls.length - writes, writes };
}

const round2 = (value: number) => Math.round(value * 100) / 100;
