import type { ErrorCode } from "@muster/shared/errors";
import { type ClusterFacts, type Generation, SyncState } from "@muster/shared/model";
import { beforeEach, describe, expect, it } from "vitest";
import { ManualClock } from "../../test/rig/manual-clock.ts";
import type { AgentListener, AgentStatus } from "./agents/agent-sessions.ts";
import { capabilitiesFrom } from "./cluster-capabilities.ts";
import { listenToAgents } from "./listen-to-agents.ts";
import { makeModel, published } from "./release/testing/fleet-maker.ts";
import { createFleetStatus, type FleetStatus } from "./status/fleet-status.ts";

const FACTS: ClusterFacts = { agentVersion: "0.1.0", kubernetesVersion: "v1.36.3", apiVersions: ["v1"], clusterScopedKinds: ["/Node"] };
const content = { cluster: "one", paused: false, bundles: [], deletionBudget: makeModel([]).deletionBudget, approvedDeletions: [] };
/** What is in force: generation 1 for the cluster `one`. */
const inForce = published({ slices: new Map([["one", content]]), problems: [], waiting: [] });

let status: FleetStatus;
let listener: AgentListener;
let asked: string[];
let floor: Generation;
let clock: ManualClock;

beforeEach(() => {
  clock = new ManualClock();
  asked = [];
  floor = { epoch: 1, generation: 1 };
  status = createFleetStatus({ clock, leaseMs: 90_000 });
  status.record({ model: makeModel([]), problems: [], waiting: [], notices: new Map(), slices: inForce, moved: 0, failed: new Map() });
  listener = listenToAgents({
    status,
    publisher: {
      sliceOf: (cluster) => inForce.get(cluster),
      raiseAbove(_, highWater) {
        if (highWater.generation <= floor.generation) return false;
        floor = highWater;
        asked.push(`above ${highWater.generation}`);
        return true;
      },
    },
    pipeline: {
      compose: (afterMs = 0) => asked.push(afterMs === 0 ? "compose" : `compose in ${afterMs}`),
      audit: () => asked.push("audit"),
    },
    clock,
  });
});

const say = (more: Partial<AgentStatus>) =>
  listener.status("one", { restart: false, complete: true, exceptions: [], cleared: [], events: [], ...more });
const refuse = (code?: ErrorCode) =>
  say({ report: { bundles: [], ...(code && { sliceProblem: { code, message: "the agent says why" } }) } });

describe("an agent", () => {
  it("makes the hub compose when what renders differently is another, and only then", () => {
    listener.connected("one", "i", FACTS, undefined);
    expect(asked).toEqual(["compose"]);
    listener.connected("one", "i", FACTS, undefined);
    listener.connected("one", "i", { ...FACTS, agentVersion: "0.2.0" }, undefined);
    say({ facts: FACTS });
    expect(asked).toEqual(["compose"]);
    say({ facts: { ...FACTS, apiVersions: ["example.org/v1", "v1"] } });
    expect(asked).toEqual(["compose", "compose in 10000"]);
    expect(status.facts("one")?.apiVersions).toEqual(["example.org/v1", "v1"]);
  });

  it("D7: that has seen a higher generation than the hub gets one above that", () => {
    listener.connected("one", "i", FACTS, { epoch: 1, generation: 1 });
    asked.length = 0;
    listener.connected("one", "i", FACTS, { epoch: 1, generation: 40 });
    expect(asked).toEqual(["above 40", "compose in 10000"]);
  });

  it("D3: that has seen two contents of one generation gets one above both, once", () => {
    refuse("SLICE_EQUIVOCATION");
    refuse("SLICE_EQUIVOCATION");
    expect(asked).toEqual(["above 2", "compose"]);
  });

  it("D3: that has seen two contents before the hub knows what is published is heard when it knows", () => {
    const known = inForce.get("one");
    inForce.delete("one");
    refuse("SLICE_EQUIVOCATION");
    expect(asked).toEqual([]);
    if (known) inForce.set("one", known);
    refuse("SLICE_EQUIVOCATION");
    expect(asked).toEqual(["above 2", "compose"]);
  });

  it.each<ErrorCode>(["BLOB_MISSING", "BLOB_CORRUPT"])(
    "that tells %s makes the hub compare every byte, once for each time",
    async (code) => {
      refuse(code);
      refuse(code);
      expect(asked).toEqual(["audit"]);
      await clock.advance(60_000);
      refuse();
      refuse(code);
      expect(asked).toEqual(["audit", "audit"]);
    },
  );

  it("E253: cannot make the hub work for the whole fleet more often than now and then, whatever it says", async () => {
    for (let turn = 0; turn < 100; turn += 1) {
      refuse(turn % 2 === 0 ? "BLOB_CORRUPT" : undefined);
      say({ facts: { ...FACTS, apiVersions: [`example.org/v${turn}`] } });
      await clock.advance(100);
    }
    expect(asked.filter((what) => what === "audit")).toHaveLength(1);
    // What comes too soon is done a little later, and no later than that, however often it is asked for.
    const waits = asked.filter((what) => what.startsWith("compose")).map((what) => Number(what.split(" ").at(2) ?? 0));
    expect(waits.length).toBe(100);
    expect(Math.max(...waits)).toBeLessThanOrEqual(10_000);
    expect(waits.filter((wait) => wait === 0)).toHaveLength(1);
  });

  it("that refuses a slice for its signature makes the hub do nothing but tell operators", () => {
    refuse("SLICE_SIGNATURE");
    expect(asked).toEqual([]);
    expect(status.events()[0]).toMatchObject({ type: "SliceRefused", cluster: "one" });
  });

  it("is shown as it reports", () => {
    listener.connected("one", "i", FACTS, undefined);
    say({ restart: true, report: { seen: { epoch: 1, generation: 1 }, applied: { epoch: 1, generation: 1 }, bundles: [] } });
    expect(status.cluster("one")).toMatchObject({ connected: true, sync: SyncState.Synced, appliedGeneration: 1 });
    listener.disconnected("one");
    listener.duplicate("one");
    expect(status.cluster("one")?.connected).toBe(false);
    expect(status.events()[0]).toMatchObject({ type: "DuplicateAgent" });
  });
});

describe("what is known of a cluster's API", () => {
  it("is the same object for the same facts, by which renderers cache, and another for others", () => {
    let facts: ClusterFacts | undefined;
    const of = capabilitiesFrom(() => facts);
    expect(of("one")).toBe(of("two"));
    expect(of("one")).toEqual({ apiVersions: [], clusterScopedKinds: new Set(), unreported: true });
    facts = { ...FACTS, apiVersions: [] };
    expect(of("one")).toHaveProperty("unreported");
    facts = FACTS;
    const known = of("one");
    expect(known).toEqual({ kubernetesVersion: "v1.36.3", apiVersions: ["v1"], clusterScopedKinds: new Set(["/Node"]) });
    expect(of("one")).toBe(known);
    facts = { ...FACTS, kubernetesVersion: "" };
    expect(of("one")).toEqual({ apiVersions: ["v1"], clusterScopedKinds: new Set(["/Node"]) });
  });
});
