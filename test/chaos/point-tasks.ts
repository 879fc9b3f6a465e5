import { AGENT_FAILPOINTS } from "../../agent/src/failpoints.ts";
import { SCENES, type Scene } from "./scenes.ts";

/** Which of its passings kills. */
const NTHS = ["first", "second", "last"] as const;

/** `change`: passings since a new slice was heard of. `start`: passings since the start, with nothing new. */
export type Moment = "change" | "start";

/** One kill of the matrix. */
export interface PointTask {
  readonly point: string;
  readonly scene: Scene;
  readonly moment: Moment;
  readonly nth: (typeof NTHS)[number];
}

export function nameOf({ point, nth, scene, moment }: PointTask): string {
  return `${point} (${nth}, ${scene}, ${moment})`;
}

/** Points that `mixed` has too, but that stand for something else in another scene. */
const MORE_SCENES: Partial<Record<Scene, readonly string[]>> = {
  large: ["agent.beforeStateWrite", "agent.afterStateWrite", "agent.beforeStateDrop"],
  kept: ["agent.afterLastGoodKept", "agent.afterSliceKept", "agent.afterHighWater", "agent.beforePrune"],
  anew: ["agent.afterApply"],
};
/** Points that `mixed` does not pass. */
const ONLY_IN: Partial<Record<string, Scene>> = {
  "agent.afterShardWrite": "large",
  "agent.afterNamespace": "spaces",
  "agent.afterTakeOver": "anew",
  "agent.afterRecreateDelete": "anew",
};
/** What is passed before a slice is heard of, or without one. */
const AT_START: ReadonlySet<string> = new Set([
  "agent.duringTokenReload",
  "agent.afterLease",
  "agent.afterResume",
  "agent.beforeFirstApply",
  "agent.afterApply",
  "agent.afterDefinitions",
  "agent.beforePrune",
  "agent.afterRecord",
  "agent.duringRelist",
  "agent.duringStatus",
]);
const ONLY_AT_START: ReadonlySet<string> = new Set(["agent.duringTokenReload", "agent.afterLease", "agent.afterResume"]);

/** `once`: each failpoint at one passing. */
export type Matrix = "all" | "once" | "none";

/** The whole matrix, or one point's part of it, sorted by scene. */
export function pointTasks(matrix: Matrix, only?: string): PointTask[] {
  const points = AGENT_FAILPOINTS.filter((point) => matrix !== "none" && (only === undefined || point === only));
  const all = SCENES.flatMap((scene) =>
    points.flatMap((point) => momentsOf(point, scene).flatMap((moment) => NTHS.map((nth) => ({ point, scene, moment, nth })))),
  );
  return matrix === "once" ? points.flatMap((point) => all.find((task) => task.point === point) ?? []) : all;
}

function momentsOf(point: string, scene: Scene): Moment[] {
  if (scene !== (ONLY_IN[point] ?? "mixed")) return MORE_SCENES[scene]?.includes(point) ? ["change"] : [];
  const moments: Moment[] = [];
  if (!ONLY_AT_START.has(point)) moments.push("change");
  if (AT_START.has(point)) moments.push("start");
  return moments;
}
