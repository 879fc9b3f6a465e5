import { Health, SyncState } from "@muster/shared/model";
import { beforeEach, describe, expect, it } from "vitest";
import type { ManualClock } from "../../../test/rig/manual-clock.ts";
import type { FleetStatus } from "./fleet-status.ts";
import {
  at,
  bundleReport,
  connect,
  createSampleStatus,
  drifted,
  FACTS,
  LEASE_MS,
  REF,
  report,
  result,
  slice,
  update,
  WEB,
} from "./testing/sample-status.ts";

let clock: ManualClock;
let status: FleetStatus;
beforeEach(() => {
  ({ status, clock } = createSampleStatus());
});
const inForce = (...args: Parameters<typeof slice>) => ({ slices: new Map([["one", slice(...args)]]) });

describe("I10: Synced is only what the agent has told of the slice in force", () => {
  /** NATS is cut, gRPC is not: the agent lives, reports, and knows nothing of generation 2. */
  const stillAtOne = () => {
    expect(status.cluster("one")).toMatchObject({ freshness: "Live", desiredGeneration: 2, appliedGeneration: 1, sync: "Progressing" });
    expect(status.fleet()).toMatchObject({ healthy: false, clusters: { total: 1, live: 1, synced: 0 } });
  };
  const nowAtTwo = (bundles = [bundleReport()]) => {
    status.status("one", update({ report: { ...at(2), bundles } }));
    expect(status.cluster("one")).toMatchObject({ sync: "Synced" });
    expect(status.fleet()).toMatchObject({ healthy: true, clusters: { synced: 1 } });
  };

  it("not if a bundle has left Git and its agent does not know it yet", () => {
    status.record(result(["one"], { model: { bundles: new Map([["web", WEB]]) } }));
    connect(status, "one", update({ restart: true, report: report({}, { bundles: [bundleReport(), bundleReport({ bundle: "gone" })] }) }));
    expect(status.fleet().healthy).toBe(true);
    status.record(result(["one"], inForce("one", "a", 2)));
    stillAtOne();
    expect(status.target("web", "one")?.sync).toBe("Progressing");
    nowAtTwo();
  });

  it("not if the last bundle has left Git: a cluster without targets is not Synced by itself", () => {
    status.record(result(["one"]));
    connect(status, "one");
    status.record(result(["one"], { ...inForce("one", "a", 2, { bundles: [] }), model: { targets: [] } }));
    stillAtOne();
    nowAtTwo([]);
  });

  it.each([
    [
      "the drift mode",
      { bundles: [{ ...slice("one", "a").bundles[0], options: { ...WEB.options, drift: { mode: "report", ignore: [] } } }] },
    ],
    ["pruning", { bundles: [{ ...slice("one", "a").bundles[0], options: { ...WEB.options, prune: false } }] }],
    ["a pause", { paused: true }],
  ])("not if only %s has changed", (_, changed) => {
    status.record(result(["one"]));
    connect(status, "one");
    status.record(result(["one"], inForce("one", "a", 2, changed as Parameters<typeof slice>[3])));
    stillAtOne();
    nowAtTwo();
  });

  it("not if an agent has seen a pause, but not its end", () => {
    status.record(result(["one"], inForce("one", "a", 2)));
    connect(status, "one", update({ restart: true, report: report({ state: SyncState.Paused, reason: "Paused" }, at(1)) }));
    expect(status.target("web", "one")?.sync).toBe("Progressing");
  });

  it("not if its agent is at the same generation of another epoch, or ahead of the hub", () => {
    status.record(result(["one"], inForce("one", "a", 2, { epoch: 2 })));
    for (const seen of [
      { epoch: 1, generation: 2 },
      { epoch: 3, generation: 1 },
    ]) {
      connect(status, "one", update({ restart: true, report: report({}, { seen, applied: seen }) }));
      expect([status.cluster("one")?.sync, status.target("web", "one")?.sync]).toEqual(["Progressing", "Progressing"]);
      expect(status.revisions()[0]?.clusters).toEqual({ total: 1, applied: 0 });
    }
  });

  it("and what is worse than Progressing stays so, while the agent has not seen the slice in force", () => {
    status.record(result(["one"], inForce("one", "a", 2)));
    connect(status, "one", update({ restart: true, report: report({ state: SyncState.Failed, failed: 1 }) }));
    expect(status.cluster("one")?.sync).toBe("Failed");
  });

  it("and a cluster is not disturbed by a commit that did not move its slice", () => {
    status.record(result(["one", "two"]));
    for (const name of ["one", "two"]) connect(status, name);
    const slices = new Map([
      ["one", slice("one", "a")],
      ["two", slice("two", "b", 2)],
    ]);
    status.record(result(["one", "two"], { slices }));
    expect([status.cluster("one")?.sync, status.cluster("two")?.sync]).toEqual(["Synced", "Progressing"]);
  });

  it("and a cluster that never had a bundle needs no slice to be Synced", () => {
    status.record(result(["one"], { slices: new Map(), model: { targets: [] } }));
    connect(status, "one", update({ restart: true, report: { bundles: [] } }));
    expect(status.cluster("one")).toMatchObject({ sync: "Synced", health: "Current" });
  });
});

describe("I10: after a Hello, what was reported before counts as unknown until the first full report", () => {
  const unknown = (freshness = "Live") => {
    expect(status.cluster("one")).toMatchObject({ freshness, sync: "Unknown", health: "Unknown" });
    expect(status.target("web", "one")).toMatchObject({ sync: "Unknown", health: "Unknown" });
    expect(status.fleet()).toMatchObject({ healthy: false, targets: { synced: 0, healthy: 0, unknown: 1 } });
  };

  it("also if it comes from a new process after an hour of silence", async () => {
    status.record(result(["one"]));
    connect(status, "one");
    status.disconnected("one");
    await clock.advance(40 * LEASE_MS);
    unknown("Stale");
    status.connected("one", "another", FACTS, undefined);
    status.heard("one");
    unknown();
    status.status("one", update({ restart: true, report: report() }));
    expect(status.cluster("one")).toMatchObject({ sync: "Synced", health: "Current" });
    expect(status.fleet().healthy).toBe(true);
  });

  it("which is over only with its last part", () => {
    status.record(result(["one"]));
    connect(status, "one");
    status.connected("one", "another", FACTS, undefined);
    status.status("one", update({ restart: true, complete: false, report: report() }));
    unknown();
    status.status("one", update());
    expect(status.cluster("one")).toMatchObject({ sync: "Synced", health: "Current" });
  });

  it("and a message that is part of none does not make it known", () => {
    status.record(result(["one"], { model: { targets: [] }, slices: new Map() }));
    status.connected("one", "i", FACTS, undefined);
    status.status("one", update({ exceptions: [drifted] }));
    expect(status.cluster("one")).toMatchObject({ freshness: "Live", sync: "Unknown", health: "Unknown" });
  });
});

describe("a full report in several parts", () => {
  const other = { ...drifted, ref: { ...REF, name: "other" } };
  const names = () => status.drift().map((one) => one.ref.name);
  beforeEach(() => {
    status.record(result(["one"]));
    connect(status, "one", update({ restart: true, report: report({ drifted: 2 }), exceptions: [drifted, other] }));
  });

  it("is shown when its last part is there, not short before", () => {
    status.status("one", update({ restart: true, complete: false, report: report({ drifted: 1 }), exceptions: [drifted] }));
    expect([names(), status.target("web", "one")?.drifted]).toEqual([["web", "other"], 2]);
    status.status("one", update());
    expect([names(), status.target("web", "one")?.drifted]).toEqual([["web"], 1]);
  });

  it("that breaks midway takes no dates away", async () => {
    const since = status.drift().map((one) => one.since);
    await clock.advance(5_000);
    status.status("one", update({ restart: true, complete: false, report: report(), exceptions: [drifted] }));
    status.disconnected("one");
    await clock.advance(5_000);
    connect(status, "one", update({ restart: true, report: report({ drifted: 2 }), exceptions: [drifted, other] }));
    expect(status.drift().map((one) => one.since)).toEqual(since);
  });

  it("tells a refused slice once", () => {
    const refused = report({}, { sliceProblem: { code: "SLICE_SIGNATURE", message: "no pinned key has signed it" } });
    for (let round = 0; round < 2; round += 1) {
      status.status("one", update({ restart: true, complete: false, report: refused }));
      status.status("one", update());
    }
    expect(status.events().filter((event) => event.type === "SliceRefused")).toHaveLength(1);
    expect(status.cluster("one")?.health).toBe(Health.Current);
  });
});
