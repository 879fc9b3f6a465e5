import { eventually } from "../rig/eventually.ts";
import { beginEpisode, type Rest } from "./episode.ts";
import type { ChaosAgent, Lane } from "./lane.ts";
import { nameOf, type PointTask } from "./point-tasks.ts";
import { heldBy } from "./revision.ts";
import { PHASES, type Scene, sceneOf } from "./scenes.ts";

/** Goes step by step through the revisions of a scene, with a kill in each or with none. */
export interface Drill {
  readonly rest: Rest;
  readonly agent: ChaosAgent;
  /** From now on the revisions are those of this scene. */
  enter(scene: Scene): void;
  /** How often the point is passed in the next step; goes on without kills to one in which it is passed so often, if there is any. */
  passings(task: PointTask, least: number): Promise<number>;
  /** Gives whether the agent died at that passing. */
  killAt(task: PointTask, at: number): Promise<boolean>;
}

/** So long a failpoint that is not passed is waited for, in milliseconds. Much of it is a machine that is busy. */
const DEATH_LIMIT_MS = 30_000;
const STANDSTILL_MS = 3_000;

/** How often each failpoint is passed in a phase of a scene; lanes share it, for they do the same. */
export type Counts = Map<string, ReadonlyMap<string, number>>;

/** `begin` must be at rest under step 0 of the scene `mixed`. */
export function createDrill(lane: Lane, counts: Counts, begin: Rest, first: ChaosAgent): Drill {
  let rest = begin;
  let agent = first;
  let step = 1;
  let scene: Scene = "mixed";
  let stepsInScene = 1;

  const next = () => {
    stepsInScene += 1;
    return sceneOf(scene, step++, lane.objects, rest.revision);
  };
  const keyOf = (moment: PointTask["moment"]) => `${scene} ${moment} ${step % PHASES}`;

  /** Starts an agent that says what it passes; with `rested`, waits until its first pass is over. */
  async function startNoting(failpoints: string, rested: boolean): Promise<void> {
    agent = await lane.start(`*=note${failpoints}`);
    const look = () => {
      if (agent.running && !agent.passed().includes("agent.afterRecord")) throw new Error(`no first pass:\n${agent.logTail()}`);
    };
    if (rested) await eventually(look, { timeoutMs: 60_000 });
  }

  /** One step without a kill, to count what is passed in it. */
  async function count(): Promise<void> {
    await startNoting("", true);
    const episode = beginEpisode(lane, rest, `${scene}, step ${step}, without a kill`);
    const keys = { start: keyOf("start"), change: keyOf("change") };
    const isOfScene = stepsInScene > 0;
    const atStart = tally(agent.passed());
    await episode.publish(next());
    rest = await episode.settle(agent);
    const passed = agent.passed();
    if (!isOfScene) return;
    counts.set(keys.start, atStart);
    counts.set(keys.change, tally(passed.slice(passed.indexOf("agent.afterSlice"))));
  }

  return {
    get rest() {
      return rest;
    },
    get agent() {
      return agent;
    },
    enter(entered) {
      if (entered !== scene) stepsInScene = 0;
      scene = entered;
    },
    async passings({ point, moment }, least) {
      const seenIn = (phase: number) => counts.get(`${scene} ${moment} ${phase}`);
      const passed = (phase: number) => seenIn(phase)?.get(point) ?? 0;
      const phases = Array.from({ length: PHASES }, (_, phase) => phase);
      const isHopeless = () => phases.every((phase) => seenIn(phase) && passed(phase) < least);
      // Counts are of steps between two revisions of one scene.
      if (stepsInScene === 0) await count();
      while (passed(step % PHASES) < least && !isHopeless()) await count();
      return passed(step % PHASES);
    },
    async killAt(task, at) {
      const { point, moment } = task;
      const episode = beginEpisode(lane, rest, `${nameOf(task)} @${at}`);
      const gate = moment === "change" && point !== "agent.afterSlice" ? "agent.afterSlice>" : "";
      await startNoting(`,${gate}${point}=kill@${at}`, moment === "change");
      if (moment === "change") await episode.publish(next());
      const died = await dies(agent, moment === "change" ? "agent.afterSlice" : "agent.afterRecord");
      await agent.kill();
      await episode.judgeDeath(agent, "when it was killed");
      // Whoever holds an object lets go of it now while the agent is away, now after it has come back.
      if (step % 2 === 0) await lane.release(heldBy(episode.revisions));
      const since = performance.now();
      agent = await lane.start();
      rest = await episode.settle(agent, since);
      if (died) lane.record.kills.push(point);
      return died;
    },
  };
}

function tally(passed: readonly string[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const name of passed) counts.set(name, (counts.get(name) ?? 0) + 1);
  return counts;
}

/** Gives false when the agent has passed `end` and then nothing more for a while, apart from what it always does. */
async function dies(agent: ChaosAgent, end: string): Promise<boolean> {
  let seen = 0;
  let since = performance.now();
  const look = () => {
    if (!agent.running) return true;
    const passed = agent.passed().filter((name) => name !== "agent.duringRelist" && name !== "agent.duringStatus");
    if (passed.length !== seen) [seen, since] = [passed.length, performance.now()];
    if (passed.includes(end) && performance.now() - since > STANDSTILL_MS) return false;
    throw new Error("it lives");
  };
  return eventually(look, { timeoutMs: DEATH_LIMIT_MS }).catch(() => false);
}
