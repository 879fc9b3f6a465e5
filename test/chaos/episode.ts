import { type ObjectRefText, parseObjectRef } from "@muster/shared/model";
import { eventually } from "../rig/eventually.ts";
import type { AuditMark } from "../rig/kube-apiserver.ts";
import { judgeInstant, judgeRest, type Snapshot, type Violation } from "./judge.ts";
import type { ChaosAgent, Lane } from "./lane.ts";
import { heldBy, type Revision, renewedBy } from "./revision.ts";

/** Milliseconds in which everything must be in order after the last start (P1). */
export const CONVERGENCE_LIMIT_MS = 15_000;
/** So long is waited at most, to tell “late” from “never”. */
const PATIENCE_MS = 90_000;
/** Nothing was written for so many milliseconds: at rest. */
const QUIET_MS = 250;

/** A violation, and when it was seen. */
export interface Finding extends Violation {
  readonly when: string;
  /** The end of what the agent said. */
  readonly log: string;
}

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
  /** Waits for rest; throws if it never comes. `since`: start of the agent, in monotonic milliseconds. */
  settle(agent: ChaosAgent, since: number): Promise<Rest>;
  readonly findings: readonly Finding[];
  /** Milliseconds from the last start until everything was as Git says, once for each time that was waited for. */
  readonly convergedMs: readonly number[];
}

export function beginEpisode(lane: Lane, rest: Rest, name: string): Episode {
  const before = rest.snapshot;
  const revisions: Revision[] = [rest.revision];
  const disturbed = new Set<ObjectRefText>();
  const findings: Finding[] = [];
  const convergedMs: number[] = [];
  let unjudged: AuditMark = lane.mark();

  /** As {@link judgeInstant} takes it. */
  const soFar = () => ({ before, revisions, disturbed: new Set([...disturbed, ...renewedBy(revisions)]) });
  const newest = () => revisions.at(-1) ?? rest.revision;
  const note = (violations: readonly Violation[], agent: ChaosAgent, when: string) => {
    for (const violation of violations) {
      if (findings.some(({ what }) => what === violation.what)) continue;
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
  async function untilInOrder(held: ReadonlySet<ObjectRefText>, agent: ChaosAgent, since: number): Promise<Snapshot> {
    let seen: { readonly snapshot: Snapshot; readonly violations: readonly Violation[] } | undefined;
    const look = async () => {
      const snapshot = await lane.snapshot();
      const violations = judgeRest(snapshot, newest(), held);
      seen = { snapshot, violations };
      if (!agent.running) throw new Error("the agent has ended by itself");
      if (violations.length > 0) throw new Error(violations.map(({ what }) => what).join("; "));
      return snapshot;
    };
    const soon = await eventually(look, { timeoutMs: CONVERGENCE_LIMIT_MS, intervalMs: 40 }).catch(() => undefined);
    if (!soon) {
      note(seen?.violations ?? [], agent, `${CONVERGENCE_LIMIT_MS} ms after the last start`);
      await eventually(look, { timeoutMs: PATIENCE_MS, intervalMs: 500 });
    }
    const ms = Math.round(performance.now() - since);
    convergedMs.push(ms);
    if (ms > CONVERGENCE_LIMIT_MS) note([{ kind: "late", what: `in order only after ${ms} ms (I7)` }], agent, "at last");
    return look();
  }

  async function untilQuiet(agent: ChaosAgent): Promise<void> {
    let writes: string[] = [];
    const look = async () => {
      const mark = lane.mark();
      const until = performance.now() + QUIET_MS;
      while (performance.now() < until) await new Promise((resolve) => setTimeout(resolve, Math.max(1, until - performance.now())));
      writes = lane.writes(mark).map(({ verb, resource, name: object }) => `${verb} ${resource}/${object}`);
      if (writes.length > 0) throw new Error(writes.join(", "));
    };
    await eventually(look).catch(() =>
      note([{ kind: "write", what: `it does not stop writing: ${writes.join(", ")} (I9)` }], agent, "at rest"),
    );
  }

  return {
    findings,
    convergedMs,
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
      const released = performance.now();
      if (await lane.release(held)) await untilInOrder(new Set(), agent, released);
      await untilQuiet(agent);
      const snapshot = await lane.snapshot();
      const violations = [...judgeRest(snapshot, newest(), new Set()), ...judgeInstant(soFar(), snapshot)];
      note([...violations, ...judgeDeletions()], agent, "at rest");
      return { revision: newest(), snapshot };
    },
  };
}
