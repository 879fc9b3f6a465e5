import { createPrivateKey, createPublicKey } from "node:crypto";
import { CodedError } from "@muster/shared/errors";
import type { DeletionBudget, Manifest } from "@muster/shared/model";
import type { Cluster } from "../../agent/src/kube/cluster.ts";
import { NAMESPACE } from "../../agent/src/kube/testing/memory/kinds.ts";
import { createMemoryApi, type MemoryApi } from "../../agent/src/kube/testing/memory/memory-api.ts";
import { createMemoryCluster } from "../../agent/src/kube/testing/memory/memory-cluster.ts";
import { createSliceMaker, type MadeSlice } from "../../agent/src/pull/testing/slice-maker.ts";
import { createSeededRandom, type SeededRandom } from "../rig/seeded-random.ts";
import { AGENT_NAMESPACE, type AgentProcess, CLUSTER, startProcess } from "./agent-process.ts";
import { type Broker, createBroker } from "./broker.ts";
import type { Commit } from "./git.ts";
import { createHubEar, type HubEar } from "./hub-ear.ts";
import { createAgentMemory } from "./memory-of-agent.ts";
import { type Carried, createLink, describe, type FaultyLink } from "./network.ts";
import { createOracle, type Oracle } from "./oracle.ts";
import type { RestScope } from "./rest.ts";
import { createStrangers, type Strangers } from "./strangers.ts";
import { createVirtualTime, type VirtualTime, WALL_START_MS } from "./virtual-time.ts";
import { fairWeather, type Weather } from "./weather.ts";
import { type Name, WEB } from "./wishes.ts";

/** Ed25519 keys are 32 bytes of anything; these sign the same slices with the same bytes in every run. */
function keysOf(byte: number) {
  const prefix = Buffer.from("302e020100300506032b657004220420", "hex");
  const privateKey = createPrivateKey({ key: Buffer.concat([prefix, Buffer.alloc(32, byte)]), format: "der", type: "pkcs8" });
  return { privateKey, publicKey: createPublicKey(privateKey) };
}
const KEYS = keysOf(1);
const STRANGERS_KEYS = keysOf(2);

/** A way to break the agent on purpose, to see that it is found. */
export interface Sabotage {
  /** What stands between the agent and its way to the API server. */
  readonly cluster?: (cluster: Cluster, world: Pick<World, "api" | "time">) => Cluster;
  /** It is told of a deletion budget that has no end, whatever Git says. */
  readonly ignoresBudget?: boolean;
  /** It believes whoever signs. */
  readonly trustsStrangers?: boolean;
  /** Where it shows soonest: what Git has, how often others interfere, and how often the aggregated API server is down. */
  readonly focus?: {
    readonly names?: readonly Name[];
    readonly budget?: DeletionBudget;
    readonly interference?: number;
    readonly aggregatedDown?: number;
    /** Bundles have no options, and nothing is paused. */
    readonly plain?: boolean;
  };
}

/** A cluster with its agents, the broker and the hub that they hear, and everybody else. */
export interface World {
  /** Share of an agent's writes right before which somebody else does something to the same object. */
  interference: number;
  readonly time: VirtualTime;
  readonly weather: Weather;
  readonly api: MemoryApi;
  readonly broker: Broker;
  readonly hub: HubEar;
  readonly oracle: Oracle;
  readonly strangers: Strangers;
  readonly trace: readonly string[];
  readonly agents: readonly AgentProcess[];
  /** Writes that agents have asked for, and got. */
  readonly writes: number;
  /** Requests that agents have made. */
  readonly requests: number;
  /** How often an agent was killed at each failpoint. */
  readonly kills: ReadonlyMap<string, number>;
  /** Agents that are to die at a failpoint live on. */
  spare(): void;
  note(line: string): void;
  /** `die`: at which passing of which failpoint it is killed. */
  start(die?: { readonly point: string; readonly at: number }): AgentProcess;
  /** Kills an agent; another one comes after `restartMs`. */
  kill(agent: AgentProcess, why: string, restartMs?: number): void;
  publish(commit: Commit): void;
  /** Something that no agent may take: signed by somebody else, for another cluster, or long superseded. */
  forge(): void;
  cutWatches(): void;
  rest(): RestScope;
  /** Ends every process, and what those that were killed still hold. */
  end(): void;
}

/** Streams of chance: what one uses up moves no other. */
export interface Chances {
  readonly network: SeededRandom;
  readonly strangers: SeededRandom;
  readonly agents: SeededRandom;
  readonly broker: SeededRandom;
}

export function createWorld(chances: Chances, sabotage: Sabotage = {}): World {
  const time = createVirtualTime();
  const weather = fairWeather();
  const trace: string[] = [];
  const note = (line: string) => void trace.push(`${(time.nowMs / 1_000).toFixed(3).padStart(10)} ${line}`);
  const api = createMemoryApi({
    wallMs: () => WALL_START_MS + time.nowMs,
    later: (work) => void time.after(5 + chances.network.below(400), work),
    workloads: true,
  });
  for (const name of ["default", "kube-system", AGENT_NAMESPACE, WEB])
    api.create(NAMESPACE, { apiVersion: "v1", kind: "Namespace", metadata: { name } }, { manager: "installer" });
  const pinned = [KEYS.publicKey, ...(sabotage.trustsStrangers ? [STRANGERS_KEYS.publicKey] : [])];
  const maker = createSliceMaker(CLUSTER, KEYS);
  const memory = createAgentMemory(api, pinned);
  const nowMs = () => time.nowMs;
  const strangers = createStrangers(api, chances.strangers, nowMs);
  const oracle = createOracle({ api, memory, nowMs, touchedMs: (ref) => strangers.touchedMs(ref) });

  const broker = createBroker(maker, time, chances.broker);
  const hub = createHubEar(time, chances.broker);
  const agents: AgentProcess[] = [];
  const links = new Map<AgentProcess, FaultyLink>();
  const kills = new Map<string, number>();
  const made: MadeSlice[] = [];
  let newest: Commit = { bundles: [], more: {} };
  let spared = false;
  let names = 0;
  let writes = 0;
  let requests = 0;

  const broken = (cluster: Cluster) => sabotage.cluster?.(cluster, { api, time }) ?? cluster;
  const look = ({ request }: Carried): Manifest | undefined =>
    request.type && request.name !== "" ? api.store.get(request.type, request.namespace, request.name) : undefined;

  function carry(carried: Carried): unknown {
    const { caller, request } = carried;
    requests += 1;
    const target = request.isWrite ? look(carried) : undefined;
    if (target && world.interference > 0 && chances.strangers.chance(world.interference))
      note(`somebody just before: ${request.verb === "delete" ? strangers.usurp(target) : strangers.act(target)}`);
    const before = request.isWrite ? look(carried) : undefined;
    try {
      const answer = carried.work();
      if (request.isWrite) {
        writes += 1;
        note(`${caller.name} ${describe(request)}${before && look(carried) === before ? " (no change)" : ""}`);
        oracle.judge({ ...carried, before, after: look(carried), atMs: time.nowMs });
      }
      return answer;
    } catch (error) {
      note(`${caller.name} ${describe(request)}: ${error instanceof CodedError ? error.code : String(error)}`);
      if (!(error instanceof CodedError))
        oracle.say("I15", `the simulation's API server failed: ${error instanceof Error ? error.stack : error}`);
      throw error;
    }
  }

  const world: World = {
    interference: 0,
    time,
    weather,
    api,
    broker,
    hub,
    oracle,
    strangers,
    trace,
    kills,
    get agents() {
      return agents.filter(({ alive }) => alive);
    },
    get writes() {
      return writes;
    },
    get requests() {
      return requests;
    },
    note,
    spare() {
      spared = true;
    },
    start(die) {
      let passed = 0;
      const agent = startProcess({
        name: `agent-${++names}`,
        time,
        random: chances.agents,
        pinned,
        connect(caller) {
          const link = createLink({ api, time, random: chances.network, weather, caller, carry, trace: note });
          links.set(caller as AgentProcess, link);
          return {
            cluster: broken(createMemoryCluster(api, link)),
            puller: broker.connect(caller),
            openHub: () => hub.open(caller),
          };
        },
        onFailpoint(point, process) {
          if (spared || point !== die?.point || ++passed !== die.at) return;
          world.kill(process, point, chances.agents.below(5_000));
        },
        onEnd(why) {
          oracle.say("I15", why);
        },
      });
      note(`${agent.name} starts${die ? `, to die at ${die.point} (${die.at})` : ""}`);
      agents.push(agent);
      return agent;
    },
    kill(agent, why, restartMs) {
      if (!agent.alive) return;
      agent.kill();
      kills.set(why, (kills.get(why) ?? 0) + 1);
      note(`${agent.name} is killed: ${why}`);
      if (restartMs !== undefined) time.after(restartMs, () => world.start());
    },
    publish(commit) {
      const deletionBudget = { objects: 1_000, percent: 100 };
      const slice = maker.make(commit.bundles, { ...commit.more, ...(sabotage.ignoresBudget && { deletionBudget }) });
      oracle.published({ ...slice.slice, ...commit.more }, commit);
      made.push(slice);
      newest = commit;
      note(`Git: generation ${slice.slice.generation}: ${describeCommit(commit)}`);
      broker.publish(slice);
    },
    forge() {
      const generation = (made.at(-1)?.slice.generation ?? 0) + 10;
      const nothing = [{ name: "one", objects: [] }];
      note("forged slices arrive");
      broker.say(createSliceMaker(CLUSTER, STRANGERS_KEYS).make(nothing, { generation }).message);
      broker.say(createSliceMaker("c2", KEYS).make(nothing, { generation }).message);
      const [old] = made;
      if (old && made.length > 1) broker.say(old.message);
    },
    cutWatches() {
      for (const [agent, link] of links) if (agent.alive) link.cut();
    },
    rest: () => ({ api, memory, oracle, disturbed: strangers.disturbed, newest, generation: made.at(-1)?.slice.generation ?? 0 }),
    end() {
      for (const agent of agents) agent.kill();
      for (const agent of agents) agent.bury();
    },
  };
  return world;
}

function describeCommit({ bundles, more }: Commit): string {
  const parts = bundles.map(({ name, objects, options }) => {
    const what = objects ? objects.map(({ kind, metadata }) => `${kind}/${metadata.name}`).join(" ") : "kept";
    const { prune, drift, onRemoval, paused, dependsOn = [] } = options ?? {};
    const mode = drift && drift.mode !== "correct" && drift.mode;
    const ignores = (drift?.ignore.length ?? 0) > 0 && `ignores ${drift?.ignore.length}`;
    const how = [paused && "paused", prune === false && "no prune", mode, ignores, onRemoval, ...dependsOn];
    return `${name}[${what}${how.some(Boolean) ? `; ${how.filter(Boolean).join(", ")}` : ""}]`;
  });
  const { paused, deletionBudget, approvedDeletions = [], retained = [] } = more;
  const rest = [
    paused && "paused",
    deletionBudget && `budget ${deletionBudget.objects}/${deletionBudget.percent}%`,
    approvedDeletions.length > 0 && `approved ${approvedDeletions.length}`,
    retained.length > 0 && `retained ${retained.join(" ")}`,
  ];
  return [...parts, ...rest.filter(Boolean)].join(" ");
}

/** Streams of chance of one seed. */
export function chancesOf(seed: number): Chances {
  const stream = (index: number) => createSeededRandom(Math.imul(seed + 1, 0x9e3779b1) ^ (index * 0x85ebca6b));
  return { network: stream(1), strangers: stream(2), agents: stream(3), broker: stream(4) };
}
