import { SyncState } from "@muster/shared/model";
import { beforeEach, describe, expect, it } from "vitest";
import type { ManualClock } from "../../../test/rig/manual-clock.ts";
import type { FleetStatus } from "./fleet-status.ts";
import {
  at,
  COMMIT,
  cluster,
  connect,
  createSampleStatus,
  digest,
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
import type { ChangeNotice } from "./views.ts";

let clock: ManualClock;
let status: FleetStatus;
let notices: ChangeNotice[];
beforeEach(() => {
  ({ status, clock } = createSampleStatus());
  notices = [];
  status.subscribe((notice) => notices.push(notice));
});

const sync = (name = "one") => status.target("web", name)?.sync;

describe("a target", () => {
  it("I10: is Synced only if its agent has reported just the digest that the hub wants", () => {
    status.record(result(["one"]));
    expect(sync()).toBe("Unknown");
    connect(status, "one");
    expect(sync()).toBe("Synced");
    status.record(result(["one"], { slices: new Map([["one", slice("one", "b", 2)]]) }));
    expect(sync()).toBe("Progressing");
    status.status("one", update({ report: report({ applied: digest("b") }, at(2)) }));
    expect(sync()).toBe("Synced");
  });

  it("I10: is Unknown as soon as its agent was not heard for the lease, and healthy again only when it speaks", async () => {
    status.record(result(["one"]));
    connect(status, "one");
    await clock.advance(LEASE_MS);
    expect(status.cluster("one")).toMatchObject({ freshness: "Live", sync: "Synced", health: "Current" });
    await clock.advance(1);
    expect(status.cluster("one")).toMatchObject({ freshness: "Stale", sync: "Unknown", health: "Unknown" });
    expect(status.target("web", "one")).toMatchObject({ freshness: "Stale", sync: "Unknown", health: "Unknown" });
    expect(status.fleet()).toMatchObject({ healthy: false, clusters: { stale: 1, live: 0 }, targets: { unknown: 1, synced: 0 } });
    status.heard("one");
    expect(status.cluster("one")).toMatchObject({ freshness: "Live", sync: "Synced" });
  });

  it("of which nothing was published yet is in sync with nothing, whatever its agent says", () => {
    status.record(result(["one"], { slices: new Map() }));
    connect(status, "one");
    expect(sync()).toBe("Unknown");
  });

  it("that is held shows why and since when, and the date stays while the trouble does", async () => {
    const problems = [{ cluster: "one", bundle: "web", code: "VARIABLE_UNSET" as const, message: "X has no value" }];
    status.record(result(["one"], { problems }));
    const [before] = status.target("web", "one")?.conditions ?? [];
    expect(before).toMatchObject({ type: "Held", reason: "VARIABLE_UNSET", message: "X has no value" });
    await clock.advance(60_000);
    status.record(result(["one"], { problems }));
    expect(status.target("web", "one")?.conditions).toEqual([before]);
    status.record(result(["one"]));
    expect(status.target("web", "one")?.conditions).toEqual([]);
  });
});

describe("an agent that knows of less than it had taken", () => {
  const rewound = () => status.cluster("one")?.conditions.filter(({ type }) => type === "StateRewound") ?? [];
  const told = () => status.events().filter(({ type }) => type === "StateRewound");
  const hello = (generation: number | undefined) =>
    status.connected("one", "i", FACTS, generation === undefined ? undefined : { epoch: 1, generation });
  beforeEach(() => {
    status.record(result(["one"], { slices: new Map([["one", slice("one", "a", 7)]]) }));
    hello(6);
    status.status("one", update({ restart: true, report: report({}, at(7)) }));
    hello(7);
    status.status("one", update({ restart: true, report: report({}, at(7)) }));
    expect(told()).toEqual([]);
  });

  it.each([
    [3, "is back at 1.3"],
    [undefined, "remembers none"],
  ])("E099: (its mark is %s) is told as rewound, once per connection, until it is where it was", async (mark, words) => {
    hello(mark);
    expect(told()).toMatchObject([{ severity: "warning", message: expect.stringContaining(words) }]);
    const [condition] = rewound();
    expect(condition).toMatchObject({ reason: "AGENT_STATE_REWOUND", message: expect.stringContaining("had taken generation 1.7") });
    await clock.advance(1_000);
    status.status("one", update({ restart: true, report: report({}, mark === undefined ? {} : at(mark)) }));
    expect(rewound()).toEqual([condition]);
    status.status("one", update({ report: report({}, at(7)) }));
    expect(rewound()).toEqual([]);
    expect(status.fleet().healthy).toBe(true);
    hello(7);
    expect(told()).toHaveLength(1);
  });
});

describe("what an agent tells", () => {
  it("adds to what is known, and a full report replaces it", () => {
    status.record(result(["one"]));
    connect(status, "one", update({ restart: true, report: report({ drifted: 1, state: SyncState.OutOfSync }), exceptions: [drifted] }));
    expect(status.drift()).toMatchObject([{ cluster: "one", ref: REF, drift: { manager: "kubectl-edit" } }]);
    status.status("one", update({ cleared: [REF], report: report() }));
    expect(status.drift()).toEqual([]);
    status.status("one", update({ exceptions: [drifted] }));
    status.status("one", update({ restart: true, report: report() }));
    expect(status.drift()).toEqual([]);
  });

  it("in several parts is one full report, in which old dates stay", async () => {
    status.record(result(["one"]));
    connect(status, "one", update({ restart: true, report: report(), exceptions: [drifted] }));
    const since = status.drift()[0]?.since;
    await clock.advance(5_000);
    const other = { ...drifted, ref: { ...REF, name: "other" } };
    status.status("one", update({ restart: true, complete: false, report: report(), exceptions: [other] }));
    status.status("one", update({ exceptions: [drifted] }));
    expect(status.drift().map((one) => [one.ref.name, one.since === since])).toEqual([
      ["other", false],
      ["web", true],
    ]);
  });

  it("of a cluster that Git does not declare shows nowhere", () => {
    status.record(result(["one"]));
    connect(status, "stranger", update({ restart: true, exceptions: [drifted] }));
    expect([status.cluster("stranger"), status.drift(), status.clusters().length]).toEqual([undefined, [], 1]);
  });

  it("E253: cannot flood the history", () => {
    status.record(result(["one"]));
    connect(status, "one");
    const events = Array.from({ length: 2_000 }, (_, index) => ({
      at: "2026-10-05T03:12:00Z",
      type: "DriftDetected",
      message: `event ${index}`,
    }));
    status.status("one", update({ events }));
    const told = status.events().filter((event) => event.type === "DriftDetected");
    expect(told).toHaveLength(500);
    // The latest are those that say how things are.
    expect(told[0]?.message).toBe("event 1999");
  });

  it("of a slice that it refuses is told once, and shown until it is over", () => {
    status.record(result(["one"]));
    connect(status, "one");
    const sliceProblem = { code: "SLICE_SIGNATURE", message: "no pinned key has signed it" } as const;
    status.status("one", update({ report: report({}, { sliceProblem }) }));
    status.status("one", update({ report: report({}, { sliceProblem }) }));
    expect(status.events().filter((event) => event.type === "SliceRefused")).toHaveLength(1);
    expect(status.cluster("one")?.conditions).toMatchObject([{ type: "SliceRefused", reason: "SLICE_SIGNATURE" }]);
    expect(status.fleet().healthy).toBe(false);
    status.status("one", update({ report: report() }));
    expect(status.cluster("one")?.conditions).toEqual([]);
    expect(status.fleet().healthy).toBe(true);
  });
});

describe("the fleet", () => {
  it("is healthy only if every source, cluster and target is, and nothing was found wrong", () => {
    expect(status.fleet().healthy).toBe(false);
    status.record(result(["one", "two"]));
    connect(status, "one");
    expect(status.fleet().healthy).toBe(false);
    connect(status, "two");
    expect(status.fleet().healthy).toBe(true);
    status.recordSource(
      { name: "fleet", url: "https://git.example/fleet", ref: "main" },
      { code: "SOURCE_UNREACHABLE", message: "no answer" },
    );
    expect(status.fleet()).toMatchObject({ healthy: false, sources: [{ conditions: [{ reason: "SOURCE_UNREACHABLE" }] }] });
    status.recordSource({ name: "fleet", url: "https://git.example/fleet", ref: "main" }, undefined);
    expect(status.fleet().healthy).toBe(true);
    status.recordTransport({ code: "NATS_UNREACHABLE", message: "no answer" });
    expect(status.fleet()).toMatchObject({ healthy: false, problems: [{ type: "TransportFailed", reason: "NATS_UNREACHABLE" }] });
    status.recordTransport(undefined);
    status.record(result(["one", "two"], { held: { code: "FLEET_EMPTY", message: "nothing is declared" } }));
    expect(status.fleet()).toMatchObject({ healthy: false, problems: [{ type: "RevisionHeld", reason: "FLEET_EMPTY" }] });
  });

  it("tells a trouble once when it comes and once when it goes, with its place", () => {
    const at = { file: "apps/web/bundle.yaml", line: 3 };
    const broken = () =>
      result(["one"], {
        model: { problems: [{ code: "FLEET_UNKNOWN_FIELD", message: "x is unknown", at, scope: { kind: "bundle", name: "web" } }] },
      });
    status.record(result(["one"]));
    status.record(broken());
    status.record(broken());
    status.record(result(["one"]));
    expect(status.events().map((event) => `${event.type} ${event.message}`)).toEqual([
      "Recovered No longer: x is unknown [FLEET_UNKNOWN_FIELD]",
      "FleetInvalid apps/web/bundle.yaml:3: x is unknown [FLEET_UNKNOWN_FIELD]",
    ]);
  });

  it("does not call a trouble solved because it holds more or fewer clusters than before", async () => {
    const broken = (...names: string[]) =>
      result(["one", "two", "three"], {
        problems: names.map((name) => ({ cluster: name, bundle: "web", code: "VARIABLE_UNSET" as const, message: "X has no value" })),
      });
    status.record(broken("one", "two"));
    const since = status.bundle("web")?.conditions[0]?.since;
    await clock.advance(60_000);
    for (const names of [["one", "two", "three"], ["one"]]) {
      status.record(broken(...names));
      const where = names.length === 1 ? "one" : `${names.length} clusters`;
      expect(status.bundle("web")?.conditions).toMatchObject([{ message: `web: X has no value (${where})`, since }]);
    }
    expect(status.events().map((event) => event.type)).toEqual(["RenderFailed"]);
    status.record(broken());
    expect(status.events().map((event) => event.type)).toEqual(["Recovered", "RenderFailed"]);
  });

  it("tells the slices that could not be published, until they are", () => {
    status.record(result(["one"], { failed: new Map([["one", { code: "NATS_UNREACHABLE", message: "no answer" }]]) }));
    expect(status.cluster("one")?.conditions).toMatchObject([{ type: "PublishFailed", reason: "NATS_UNREACHABLE" }]);
    expect(status.events()[0]).toMatchObject({ type: "PublishFailed", severity: "warning" });
    status.record(result(["one"]));
    expect(status.cluster("one")?.conditions).toEqual([]);
    expect(status.events()[0]).toMatchObject({ type: "Recovered" });
  });

  it("tells a source or NATS that fails once, however often it is tried, and when it is well again", () => {
    const source = { name: "fleet", url: "https://git.example/fleet", ref: "main" };
    const problem = { code: "SOURCE_UNREACHABLE", message: "no answer" };
    for (let round = 0; round < 3; round += 1) status.recordSource(source, problem);
    status.recordSource(source, undefined);
    const lost = { code: "NATS_UNREACHABLE", message: "no answer" };
    for (let round = 0; round < 3; round += 1) status.recordTransport(lost);
    status.recordTransport(undefined);
    expect(status.events().map((event) => event.type)).toEqual([
      "TransportRecovered",
      "TransportFailed",
      "SourceRecovered",
      "SourceFailed",
    ]);
  });

  it("counts for every revision the clusters that have applied it", () => {
    status.record(result(["one", "two"]));
    connect(status, "one");
    expect(status.revisions()).toMatchObject([
      { revision: `main@sha1:${COMMIT.commit}`, publishedSlices: 2, current: true, clusters: { total: 2, applied: 1 } },
    ]);
    connect(status, "two");
    expect(status.revisions()[0]?.clusters).toEqual({ total: 2, applied: 2 });
  });

  it("tells listeners of every change, and of a lease that ran out though nobody spoke", async () => {
    status.record(result(["one"]));
    connect(status, "one");
    const stop = new AbortController();
    const running = status.run(stop.signal);
    await clock.advance(1_000);
    notices.length = 0;
    for (let second = 0; second < 95; second += 1) await clock.advance(1_000);
    expect(notices).toContainEqual({ kind: "cluster", name: "one" });
    expect(status.events()[0]).toMatchObject({ type: "AgentStale", severity: "warning", cluster: "one" });
    stop.abort();
    await running;
  });

  it("forgets a cluster that left Git when its agent is gone, and keeps one that is only held", () => {
    status.record(result(["one", "two"]));
    for (const name of ["one", "two"]) {
      connect(status, name);
      status.disconnected(name);
    }
    status.record(result([], { model: { heldClusters: new Set(["one"]) }, slices: new Map() }));
    expect([status.facts("one"), status.facts("two")]).toEqual([FACTS, undefined]);
  });

  it("answers for 2,000 clusters with 20,000 targets in well under a second", () => {
    const names = Array.from({ length: 2_000 }, (_, index) => `c${index}`);
    const bundles = Array.from({ length: 10 }, (_, index) => ({ ...WEB, name: `b${index}` }));
    const targets = names.flatMap((name) => bundles.map((one) => ({ cluster: cluster(name), bundle: one, layers: [] })));
    status.record(result(names, { model: { targets, bundles: new Map(bundles.map((one) => [one.name, one])) } }));
    for (const name of names) connect(status, name);
    const started = performance.now();
    expect([status.fleet().clusters.total, status.clusters().length, status.targets().length]).toEqual([2_000, 2_000, 20_000]);
    expect(performance.now() - started).toBeLessThan(2_000);
  });
});
