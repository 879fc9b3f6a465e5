import type { Clock } from "@muster/shared/runtime";
import type { AgentListener } from "./agents/agent-sessions.ts";
import { sameCapabilities } from "./cluster-capabilities.ts";
import type { Pipeline } from "./pipeline.ts";
import type { Publisher } from "./publish/publisher.ts";
import type { FleetStatus } from "./status/fleet-status.ts";

/** Milliseconds in which one agent can make the hub compose, or compare every byte, only once: both are work for the whole fleet. */
const COMPOSE_EVERY_MS = 10_000;
const AUDIT_EVERY_MS = 60_000;

/** What one cluster's agent has made the hub do. */
interface Caused {
  /** Code of the slice problem that it has reported last. */
  problem?: string | undefined;
  composedMs?: number;
  auditedMs?: number;
}

/** Agents' reports go into the fleet's state; what in them calls for another slice goes to the pipeline. */
export function listenToAgents(options: {
  readonly status: FleetStatus;
  readonly publisher: Pick<Publisher, "sliceOf" | "raiseAbove">;
  readonly pipeline: Pick<Pipeline, "compose" | "audit">;
  readonly clock: Pick<Clock, "monotonicMs">;
}): AgentListener {
  const { status, publisher, pipeline, clock } = options;
  const caused = new Map<string, Caused>();
  const causedBy = (cluster: string): Caused => {
    const known = caused.get(cluster) ?? {};
    caused.set(cluster, known);
    return known;
  };

  /** What comes too soon is done later, not never. */
  function compose(cluster: string): void {
    const known = causedBy(cluster);
    const now = clock.monotonicMs();
    const last = known.composedMs ?? Number.NEGATIVE_INFINITY;
    // One that is still to come serves whatever is asked for before it.
    const due = last > now ? last : Math.max(now, last + COMPOSE_EVERY_MS);
    known.composedMs = due;
    pipeline.compose(due - now);
  }

  /** What comes too soon is left to the audits that run anyway. */
  function audit(cluster: string): void {
    const known = causedBy(cluster);
    const now = clock.monotonicMs();
    if (known.auditedMs !== undefined && now - known.auditedMs < AUDIT_EVERY_MS) return;
    known.auditedMs = now;
    pipeline.audit();
  }

  return {
    heard: status.heard,
    disconnected: status.disconnected,
    duplicate: status.duplicate,
    connected(cluster, instance, facts, highWater) {
      const same = sameCapabilities(status.facts(cluster), facts);
      status.connected(cluster, instance, facts, highWater);
      const ahead = highWater !== undefined && publisher.raiseAbove(cluster, highWater);
      // New facts may render differently; an agent that is ahead of us would take nothing that we publish (D7).
      if (ahead || !same) compose(cluster);
    },
    status(cluster, update) {
      const same = !update.facts || sameCapabilities(status.facts(cluster), update.facts);
      status.status(cluster, update);
      if (!same) compose(cluster);
      if (!update.report) return;
      const known = causedBy(cluster);
      const refused = update.report.sliceProblem?.code;
      const isNew = refused !== known.problem;
      known.problem = refused;
      if (!isNew) return;
      // One generation with two contents: neither is taken, so the hub goes on with a higher one (D3).
      if (refused === "SLICE_EQUIVOCATION") {
        const current = publisher.sliceOf(cluster);
        // What is published is not known yet: the next report tells it again.
        if (!current) known.problem = undefined;
        else if (publisher.raiseAbove(cluster, { epoch: current.epoch, generation: current.generation + 1 })) compose(cluster);
      }
      if (refused === "BLOB_MISSING" || refused === "BLOB_CORRUPT") audit(cluster);
    },
  };
}
