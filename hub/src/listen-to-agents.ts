import type { AgentListener } from "./agents/agent-sessions.ts";
import { sameCapabilities } from "./cluster-capabilities.ts";
import type { Pipeline } from "./pipeline.ts";
import type { Publisher } from "./publish/publisher.ts";
import type { FleetStatus } from "./status/fleet-status.ts";

/** Agents' reports go into the fleet's state; what in them calls for another slice goes to the pipeline. */
export function listenToAgents(options: {
  readonly status: FleetStatus;
  readonly publisher: Pick<Publisher, "sliceOf" | "raiseAbove">;
  readonly pipeline: Pick<Pipeline, "compose" | "audit">;
}): AgentListener {
  const { status, publisher, pipeline } = options;
  const problems = new Map<string, string | undefined>();
  return {
    heard: status.heard,
    disconnected: status.disconnected,
    duplicate: status.duplicate,
    connected(cluster, instance, facts, highWater) {
      const same = sameCapabilities(status.facts(cluster), facts);
      status.connected(cluster, instance, facts, highWater);
      const ahead = highWater !== undefined && publisher.raiseAbove(cluster, highWater);
      // New facts may render differently; an agent that is ahead of us would take nothing that we publish (D7).
      if (ahead || !same) pipeline.compose();
    },
    status(cluster, update) {
      const same = !update.facts || sameCapabilities(status.facts(cluster), update.facts);
      status.status(cluster, update);
      if (!same) pipeline.compose();
      if (!update.report) return;
      const refused = update.report.sliceProblem?.code;
      const isNew = refused !== problems.get(cluster);
      problems.set(cluster, refused);
      // One generation with two contents: neither is taken, so the hub goes on with a higher one (D3).
      if (refused === "SLICE_EQUIVOCATION") {
        const current = publisher.sliceOf(cluster);
        if (current && publisher.raiseAbove(cluster, { epoch: current.epoch, generation: current.generation + 1 })) pipeline.compose();
      }
      if (isNew && (refused === "BLOB_MISSING" || refused === "BLOB_CORRUPT")) pipeline.audit();
    },
  };
}
