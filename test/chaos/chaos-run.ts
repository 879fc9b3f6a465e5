import { AGENT_FAILPOINTS } from "../../agent/src/failpoints.ts";
import { EMPTY_INVENTORY } from "../../agent/src/plan/inventory.ts";
import { startChaosRig } from "./chaos-rig.ts";
import { createDrill, type Drill, type KillResult } from "./drill.ts";
import { beginEpisode } from "./episode.ts";
import { killAtPoints } from "./every-point.ts";
import { createLane, type Lane } from "./lane.ts";
import { type Nth, pointTasks } from "./point-tasks.ts";
import { killAtRandom } from "./random-kills.ts";
import { NOTHING } from "./revision.ts";
import { sceneOf } from "./scenes.ts";

/** Options of {@link runChaos}. */
export interface ChaosOptions {
  readonly seed: number;
  /** Random kills. */
  readonly kills: number;
  /** Passings of each failpoint at which to kill; none: only random kills. */
  readonly nths: readonly Nth[];
  /** Only this failpoint. */
  readonly only?: string;
  /** Clusters that are worked on at once. */
  readonly lanes: number;
  readonly progress: (text: string) => void;
}

/** What a run came to. */
export interface ChaosResult extends KillResult {
  /** Failpoints at which an agent was killed. */
  readonly covered: readonly string[];
  /** Failpoints at which none was, of those that were asked for. */
  readonly missing: readonly string[];
  /** Passings that were asked for and did not come. */
  readonly unreached: readonly string[];
}

/** Kills agents at every failpoint, then at random, and judges what is seen after each kill. */
export async function runChaos(options: ChaosOptions): Promise<ChaosResult> {
  const { only, nths, progress } = options;
  const rig = await startChaosRig();
  const tasks = pointTasks(nths, only);
  const unreached: string[] = [];
  let randomKills = options.kills;
  const more = () => randomKills-- > 0;

  async function work(index: number): Promise<KillResult[]> {
    const lane = await createLane(rig, `l${index + 1}`);
    try {
      const drill = await begin(lane);
      unreached.push(...(await killAtPoints(drill, tasks, (text) => progress(`${lane.name}: ${text}`))));
      const { rest, agent, result } = drill;
      const seed = options.seed + index;
      return [result, await killAtRandom(lane, { begin: rest, agent, seed, more, progress, ...(only && { only }) })];
    } finally {
      await lane.stop();
    }
  }

  try {
    const results = await Promise.all(Array.from({ length: options.lanes }, (_, index) => work(index)));
    return summarize(options, results.flat(), unreached);
  } finally {
    await rig.stop();
  }
}

/** An agent at rest under the first revision. */
async function begin(lane: Lane): Promise<Drill> {
  const nothing = { live: new Map(), inventory: EMPTY_INVENTORY, generation: { slice: 0, highWater: 0 } };
  const episode = beginEpisode(lane, { revision: NOTHING, snapshot: nothing }, "the first revision");
  const since = performance.now();
  const agent = await lane.start();
  await episode.publish(sceneOf("mixed", 0, lane.objects, NOTHING));
  const rest = await episode.settle(agent, since);
  if (episode.findings.length > 0) throw new Error(`nothing was killed yet, and ${JSON.stringify(episode.findings)}`);
  return createDrill(lane, rest, agent);
}

function summarize({ nths, only }: ChaosOptions, results: readonly KillResult[], unreached: readonly string[]): ChaosResult {
  const kills = results.flatMap((result) => result.kills);
  const covered = AGENT_FAILPOINTS.filter((point) => kills.includes(point));
  const asked = nths.length === 0 ? [] : AGENT_FAILPOINTS.filter((point) => only === undefined || point === only);
  return {
    kills,
    covered,
    missing: asked.filter((point) => !covered.includes(point)),
    findings: results.flatMap((result) => result.findings),
    convergedMs: results.flatMap((result) => result.convergedMs),
    unreached,
  };
}
