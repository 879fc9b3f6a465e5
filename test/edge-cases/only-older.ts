import { relative } from "node:path";
import { fileURLToPath } from "node:url";
import type { RunnerTask } from "vitest";
import { beforeAll } from "vitest";
import { runsOnOlder } from "./starred.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

// Of the files that run on the older minor version, only the tests that are to, and no hook of a group that has none of them.
// biome-ignore lint/correctness/noEmptyPattern: Vitest reads from the pattern what a hook asks for.
beforeAll(({}, file) => {
  leaveOut(file.tasks);
});

/** Gives true if nothing is left. */
function leaveOut(tasks: readonly RunnerTask[]): boolean {
  let nothing = true;
  for (const task of tasks) {
    const skip = "tasks" in task ? leaveOut(task.tasks) : !runsOnOlder(relative(ROOT, task.file.filepath), task.fullName);
    if (skip) task.mode = "skip";
    nothing &&= skip;
  }
  return nothing;
}
