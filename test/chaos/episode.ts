import { type ObjectRefText, parseObjectRef } from "@muster/shared/model";
import { eventually } from "../rig/eventually.ts";
import type { AuditMark } from "../rig/kube-apiserver.ts";
import { judgeInstant, judgeRest, type Snapshot, type Violation } from "./judge.ts";
import type { ChaosAgent, Lane } from "./lane.ts";
import { heldBy, type Revision, renewedBy } from "./revision.ts";

/** Milliseconds in which everything must be in order after the last start (P1), unless a lane says otherwise. */
export const CONVERGENCE_LIMIT_MS = 15_000;
/** So long is waited at most, to tell “late” from “never”. */
const PATIENCE_MS = 90_000;
/** Nothing was written for so many milliseconds: at rest. */
const QUIET_MS = 250;

/** Everything is as Git says, and nothing is being written. */
export interface Rest {
  readonly revision: Revision;
  readonly snapshot: Snapshot;
}

/** From one rest to the next: revisions are published, agents are killed, and all that is seen is judged. */
export interface Episode {
  /** The one to come to rest under. */
  readonly revision: Revision;
  readonly revisions: readonly Revision[];
  publish(revision: Revision): Promise<void>;
  disturb(ref: ObjectRefText, how: "delete" | "edit"): Promise<void>;
  /** Now that the agent is dead, does all hold that must hold at every instant? */
  judgeDeath(agent: ChaosAgent, when: string): Promise<void>;
  /** Waits for rest; throws if it never comes. `since`: start of the agent, in monotonic milliseconds; absent: not measured. */
  settle(agent: ChaosAgent, since?: number): Promise<Rest>;
}

export function beginEpisode(lane: Lane, rest: Rest, name: string): Episode {
  const before = rest.snapshot;
  const revisions: Revision[] = [rest.revision];
  const disturbed = new Set<ObjectRefText>();
  const { findings, convergedMs } = lane.record;
  let unjudged: AuditMark = lane.mark();

  /** As {@link judgeInstant} takes it. */
  const soFar = () => ({ before, revisions, disturbed: new Set([...disturbed, ...renewedBy(revisions)]) });
  const newest = () => revisions.at(-1) ?? rest.revision;
  const note = (violations: readonly Violation[], agent: ChaosAgent, when: string) => {
    for (const violation of violations) {
      if (findings.some(({ what, when: seen }) => what === violation.what && seen.startsWith(name))) continue;
      findings.push({ ...violation, when: `${name}, ${when}`, log: agent.logTail(30) });
    }
  };

  function judgeDeletions(): Violation[] {
    const mark = unjudged;
    unjudged = lane.mark();
    const renewed = new Set([...renewedBy(revisions)].map((ref) => parseObjectRef(ref).name));
    const unexplained = lane.unexplainedDeletions(mark, revisions).filter(({ name: object }) => !renewed.has(object));
    return unexplained.map(({ resource, namespace, name: object, at }) => {
      return { kind: "deleted", what: `${resource} ${namespace}/${object} was deleted at ${at}, and no slice explains it (I3, I4)` };
    });
  }

  /** Gives the snapshot in which nothing is wrong any more. */
  async function untilInOrder(held: ReadonlySet<ObjectRefText>, agent: ChaosAgent, since: number | undefined): Promise<Snapshot> {
    const began = since ?? performance.now();
    const elapsed = () => Math.round(performance.now() - began);
    let violations: Violation[] = [];
    /** What was outstanding when everything should have been in order. */
    let late: string[] | undefined;
    let lookMs = 0;
    const look = async () => {
      // Looking costs the API server more than what is looked for.
      await pause(2 * lookMs);
      const lookedAt = performance.now();
      const snapshot = await lane.snapshot();
      lookMs = performance.now() - lookedAt;
      if (!agent.running) throw new Error("the agent has ended by itself");
      violations = judgeRest(snapshot, newest(), held);
      // The cluster may have been in order before the agent came.
      if (!agent.hadPass()) violations.push({ kind: "late", what: "it has not looked at its objects" });
      if (snapshot.generation.slice !== lane.generation) violations.push({ kind: "late", what: "it has not taken the newest slice (I6)" });
      if (violations.length === 0) return snapshot;
      const outstanding = violations.map(({ what }) => what);
      if (elapsed() > lane.convergenceLimitMs) late ??= outstanding;
      throw new Error(outstanding.join("; "));
    };
    try {
      const snapshot = await eventually(look, { timeoutMs: PATIENCE_MS });
      if (since !== undefined) convergedMs.push(elapsed());
      if (late) note([{ kind: "late", what: `in order only after ${elapsed()} ms; until then ${late.join("; ")} (I7)` }], agent, "at last");
      return snapshot;
    } catch (error) {
      note([...violations, ...judgeDeletions()], agent, `${elapsed()} ms after the last start, or the release of what was held`);
      throw error;
    }
  }

  async function untilQuiet(agent: ChaosAgent): Promise<void> {
    let writes: string[] = [];
    const look = async () => {
      const mark = lane.mark();
      await pause(QUIET_MS);
      writes = lane.writes(mark).map(({ verb, resource, name: object }) => `${verb} ${resource}/${object}`);
      if (writes.length > 0) throw new Error(writes.join(", "));
    };
    await eventually(look).catch(() =>
      note([{ kind: "write", what: `it does not stop writing: ${writes.join(", ")} (I9)` }], agent, "at rest"),
    );
  }

  return {
    revisions,
    get revision() {
      return newest();
    },
    async publish(revision) {
      revisions.push(revision);
      await lane.publish(revision);
    },
    async disturb(ref, how) {
      disturbed.add(ref);
      await lane.disturb(ref, how);
    },
    async judgeDeath(agent, when) {
      const now = await lane.snapshot();
      note([...judgeInstant(soFar(), now), ...judgeDeletions()], agent, when);
    },
    async settle(agent, since) {
      // Whoever holds an object may take their time; the rest must not wait for it.
      const held = heldBy(revisions);
      await untilInOrder(held, agent, since);
      const released = since === undefined ? since : performance.now();
      if (await lane.release(held)) await untilInOrder(new Set(), agent, released);
      await untilQuiet(agent);
      const snapshot = await lane.snapshot();
      const violations = [...judgeRest(snapshot, newest(), new Set()), ...judgeInstant(soFar(), snapshot)];
      note([...violations, ...judgeDeletions()], agent, "at rest");
      return { revision: newest(), snapshot };
    },
  };
}

/** I9: an agent at rest, over a time in which it lists everything anew, writes nothing at all. */
export async function judgeSilence(lane: Lane, ms: number): Promise<void> {
  const mark = lane.mark();
  await pause(ms);
  for (const { verb, resource, namespace, name } of lane.writes(mark)) {
    lane.record.findings.push({
      kind: "write",
      what: `${verb} ${resource} ${namespace}/${name} at rest (I9)`,
      when: "at the end",
      log: "",
    });
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
