import type { Drill } from "./drill.ts";
import { nameOf, type PointTask } from "./point-tasks.ts";
import { PHASES } from "./scenes.ts";

/**
 * Works through a queue of kills, which other lanes may share. Gives what could not be done: each failpoint must have a first passing,
 * and a second and a last where there are several.
 */
export async function killAtPoints(drill: Drill, tasks: PointTask[], progress: (text: string) => void): Promise<string[]> {
  const unreached: string[] = [];
  for (let task = tasks.shift(); task !== undefined; task = tasks.shift()) {
    drill.enter(task.scene);
    const passings = await candidates(drill, task);
    const reached = await firstReached(drill, task, passings);
    if (!reached && passings.length > 0) unreached.push(nameOf(task));
    if (passings.length > 0) progress(`${nameOf(task)} ${reached ? `@${reached}` : "was not reached"}`);
  }
  return unreached;
}

/** Which passings to try, one step after the other; none if the point has no such passing. */
async function candidates(drill: Drill, task: PointTask): Promise<number[]> {
  // Some points are passed in some phases only.
  if (task.nth === "first") return Array.from({ length: PHASES }, () => 1);
  const least = task.nth === "second" ? 2 : 3;
  const times = await drill.passings(task, least);
  if (times < least) return [];
  const passing = task.nth === "second" ? 2 : times;
  // How often a point is passed differs a little from time to time.
  return [passing, passing - 1, passing - 2].filter((at) => at >= 1);
}

async function firstReached(drill: Drill, task: PointTask, passings: readonly number[]): Promise<number | undefined> {
  for (const passing of passings) if (await drill.killAt(task, passing)) return passing;
  return undefined;
}
