import type { Drill } from "./drill.ts";
import { nameOf, type PointTask } from "./point-tasks.ts";

/**
 * Works through a queue of kills, which other lanes may share. Gives what could not be done: each failpoint must have a first passing,
 * and a second and a last where there are several.
 */
export async function killAtPoints(drill: Drill, tasks: PointTask[], progress: (text: string) => void): Promise<string[]> {
  const unreached: string[] = [];
  for (let task = tasks.shift(); task !== undefined; task = tasks.shift()) {
    await drill.enter(task.scene);
    const least = { first: 1, second: 2, last: 3 }[task.nth];
    const times = await drill.passings(task, least);
    if (times < least) {
      if (task.nth === "first") unreached.push(nameOf(task));
      continue;
    }
    const reached = await killAtPassing(drill, task, { first: 1, second: 2, last: times }[task.nth]);
    if (!reached) unreached.push(nameOf(task));
    progress(`${nameOf(task)} ${reached ? `@${reached}` : "was not reached"}`);
  }
  return unreached;
}

/** How often a point is passed differs a little from time to time: takes the one before if it was passed less often. */
async function killAtPassing(drill: Drill, task: PointTask, at: number): Promise<number | undefined> {
  for (let passing = at; passing >= Math.max(1, at - 2); passing--) {
    if (await drill.killAt(task, passing)) return passing;
  }
  return undefined;
}
