import { AGENT_FAILPOINTS } from "../../agent/src/failpoints.ts";
import { EMPTY_INVENTORY } from "../../agent/src/plan/inventory.ts";
import { startChaosRig } from "./chaos-rig.ts";
import { type Counts, createDrill, type Drill } from "./drill.ts";
import { beginEpisode, CONVERGENCE_LIMIT_MS, judgeSilence } from "./episode.ts";
import { killAtPoints } from "./every-point.ts";
import { createLane, type Lane, type LaneRecord } from "./lane.ts";
import { type Matrix, pointTasks } from "./point-tasks.ts";
import { killAtRandom } from "./random-kills.ts";
import { NOTHING } from "./revision.ts";
import { sceneOf } from "./scenes.ts";

/** More than one interval between two lists. */
const SILENCE_MS = 8_000;

/** Options of {@link runChaos}. */
export interface ChaosOptions {
  readonly seed: number;
  /** Random kills. */
  readonly kills: number;
  /** Which kills at failpoints. */
  readonly matrix: Matrix;
  /** Only this failpoint. */
  readonly only?: string;
  /** Milliseconds after the last start that everything may take to be in order. Default {@link CONVERGENCE_LIMIT_MS}. */
  readonly convergenceLimitMs?: number;
  /** Clusters that are worked on at once. */
  readonly lanes: number;
  readonly progress: (text: string) => void;
}

/** What a run came to. */
export interface ChaosResult extends LaneRecord {
  /** Failpoints at which an agent was killed. */
  readonly covered: readonly string[];
  /** Failpoints at which none was, of those that were asked for. */
  readonly missing: readonly string[];
  /** Passings that were asked for and did not come. */
  readonly unreached: readonly string[];
  /** Why lanes came to no end. */
  readonly broken: readonly string[];
}

/** Kills agents at every failpoint, then at random, and judges what is seen after each kill. */
export async function runChaos(options: ChaosOptions): Promise<ChaosResult> {
  const { only, matrix, progress } = options;
  const rig = await startChaosRig();
  const tasks = pointTasks(matrix, only);
  const unreached: string[] = [];
  const broken: string[] = [];
  const counts: Counts = new Map();
  let randomKills = options.kills;
  const more = () => randomKills-- > 0;

  async function work(index: number): Promise<LaneRecord> {
    const lane = await createLane(rig, `l${index + 1}`, options.convergenceLimitMs ?? CONVERGENCE_LIMIT_MS);
    try {
      const drill = await begin(lane, counts);
      unreached.push(...(await killAtPoints(drill, tasks, (text) => progress(`${lane.name}: ${text}`))));
      const { rest, agent } = drill;
      await killAtRandom(lane, { begin: rest, agent, seed: options.seed + index, more, progress, ...(only && { only }) });
      await judgeSilence(lane, SILENCE_MS);
    } catch (error) {
      // What was found until then is worth more than where it ended.
      broken.push(`${lane.name}: ${error instanceof Error ? error.stack : String(error)}`);
    } finally {
      await lane.stop();
    }
    return lane.record;
  }

  try {
    const results = await Promise.all(Array.from({ length: options.lanes }, (_, index) => work(index)));
    return { ...summarize(options, results), unreached, broken };
  } finally {
    await rig.stop();
  }
}

/** An agent at rest under the first revision. */
async function begin(lane: Lane, counts: Counts): Promise<Drill> {
  const nothing = { live: new Map(), inventory: EMPTY_INVENTORY, generation: { slice: 0, highWater: 0 } };
  const episode = beginEpisode(lane, { revision: NOTHING, snapshot: nothing }, "the first revision");
  const since = performance.now();
  const agent = await lane.start();
  await episode.publish(sceneOf("mixed", 0, lane.objects, NOTHING));
  const rest = await episode.settle(agent, since);
  if (lane.record.findings.length > 0) throw new Error(`nothing was killed yet, and ${JSON.stringify(lane.record.findings)}`);
  return createDrill(lane, counts, rest, agent);
}

function summarize({ matrix, only }: ChaosOptions, results: readonly LaneRecord[]): Omit<ChaosResult, "unreached" | "broken"> {
  const kills = results.flatMap((result) => result.kills);
  const covered = AGENT_FAILPOINTS.filter((point) => kills.includes(point));
  const asked = matrix === "none" ? [] : AGENT_FAILPOINTS.filter((point) => only === undefined || point === only);
  return {
    kills,
    covered,
    missing: asked.filter((point) => !covered.includes(point)),
    findings: results.flatMap((result) => result.findings),
    convergedMs: results.flatMap((result) => result.convergedMs),
  };
}
