import {
  type BundleReport,
  type ClusterReport,
  DEFAULT_DELETION_BUDGET,
  DriftKind,
  Health,
  type ObjectException,
  type Slice,
  SyncState,
} from "@muster/shared/model";
import { beforeEach, describe, expect, it } from "vitest";
import { ManualClock } from "../../../test/rig/manual-clock.ts";
import type { AgentStatus } from "../agents/agent-sessions.ts";
import type { BundleDefinition, ClusterDefinition, FleetModel } from "../fleet/model.ts";
import type { PipelineResult } from "./desired-state.ts";
import { createFleetStatus, type FleetStatus } from "./fleet-status.ts";
import type { ChangeNotice } from "./views.ts";

const LEASE_MS = 90_000;
const COMMIT = { source: "fleet", ref: "main", commit: "3f2a1b9c4d5e6f708192a3b4c5d6e7f809101112" };
const FACTS = { agentVersion: "0.1.0", kubernetesVersion: "v1.36.3", apiVersions: [], clusterScopedKinds: [] };
const cluster = (name: string): ClusterDefinition => ({
  name,
  labels: { env: "prod" },
  variables: {},
  paused: false,
  at: { file: "c.yaml" },
});
const WEB: BundleDefinition = {
  name: "web",
  source: "fleet",
  directory: "apps/web",
  targets: [{ all: true }],
  variables: {},
  patches: [],
  layers: [],
  at: { file: "apps/web/bundle.yaml" },
  options: { drift: { mode: "correct", ignore: [] }, prune: true, createNamespace: false, dependsOn: [] },
};
const digest = (letter: string) => `sha256:${letter.repeat(64)}` as const;
const slice = (name: string, letter: string, generation = 1): Slice => ({
  version: 1,
  trustDomain: "muster.local",
  cluster: name,
  epoch: 1,
  generation,
  commits: [COMMIT],
  paused: false,
  deletionBudget: DEFAULT_DELETION_BUDGET,
  approvedDeletions: [],
  bundles: [
    {
      name: "web",
      state: "desired",
      manifestSet: { digest: digest(letter), blob: "b", chunks: 1, bytes: 1 },
      objects: ["a_web__ConfigMap"],
      options: WEB.options,
    },
  ],
});
const result = (
  names: readonly string[],
  more: Partial<Omit<PipelineResult, "model">> & { model?: Partial<FleetModel> } = {},
): PipelineResult => {
  const clusters = new Map(names.map((name) => [name, cluster(name)]));
  const model: FleetModel = {
    commits: [COMMIT],
    clusters,
    bundles: new Map([["web", WEB]]),
    problems: [],
    heldBundles: new Set(),
    heldClusters: new Set(),
    complete: true,
    targets: [...clusters.values()].map((one) => ({ cluster: one, bundle: WEB, layers: [] })),
    deletionBudget: DEFAULT_DELETION_BUDGET,
    approvedDeletions: [],
    ...more.model,
  };
  return {
    problems: [],
    notices: new Map(),
    slices: new Map(names.map((name) => [name, slice(name, "a")])),
    moved: names.length,
    failed: new Map(),
    commit: { subject: "Change", author: "Ada" },
    ...more,
    model,
  };
};
const REF = { group: "", kind: "ConfigMap", namespace: "a", name: "web" };
const bundleReport = (more: Partial<BundleReport> = {}): BundleReport => ({
  bundle: "web",
  state: SyncState.Synced,
  health: Health.Current,
  applied: digest("a"),
  objects: 1,
  drifted: 0,
  failed: 0,
  ...more,
});
const report = (bundle: Partial<BundleReport> = {}, more: Partial<ClusterReport> = {}): ClusterReport => ({
  seen: { epoch: 1, generation: 1 },
  applied: { epoch: 1, generation: 1 },
  bundles: [bundleReport(bundle)],
  ...more,
});
const update = (more: Partial<AgentStatus> = {}): AgentStatus => ({
  restart: false,
  complete: true,
  exceptions: [],
  cleared: [],
  events: [],
  ...more,
});
const drifted: ObjectException = {
  ref: REF,
  bundle: "web",
  health: Health.Current,
  drift: { kind: DriftKind.Modified, manager: "kubectl-edit", paths: [".data.x"] },
};

let clock: ManualClock;
let status: FleetStatus;
let notices: ChangeNotice[];
beforeEach(() => {
  clock = new ManualClock(Date.parse("2026-10-05T03:12:00Z"));
  status = createFleetStatus({ clock, leaseMs: LEASE_MS });
  status.recordSource({ name: "fleet", url: "https://git.example/fleet", ref: "main", commit: COMMIT.commit }, undefined);
  notices = [];
  status.subscribe((notice) => notices.push(notice));
});

const connect = (name: string, first: AgentStatus = update({ restart: true, report: report() })) => {
  status.connected(name, "i", FACTS, undefined);
  status.status(name, first);
};
const sync = (name = "one") => status.target("web", name)?.sync;

describe("a target", () => {
  it("I10: is Synced only if its agent has reported just the digest that the hub wants", () => {
    status.record(result(["one"]));
    expect(sync()).toBe("Unknown");
    connect("one");
    expect(sync()).toBe("Synced");
    status.record(result(["one"], { slices: new Map([["one", slice("one", "b", 2)]]) }));
    expect(sync()).toBe("Progressing");
    status.status("one", update({ report: report({ applied: digest("b") }) }));
    expect(sync()).toBe("Synced");
  });

  it("I10: is Unknown as soon as its agent was not heard for the lease, and healthy again only when it speaks", async () => {
    status.record(result(["one"]));
    connect("one");
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
    connect("one");
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

describe("what an agent tells", () => {
  it("adds to what is known, and a full report replaces it", () => {
    status.record(result(["one"]));
    connect("one", update({ restart: true, report: report({ drifted: 1, state: SyncState.OutOfSync }), exceptions: [drifted] }));
    expect(status.drift()).toMatchObject([{ cluster: "one", ref: REF, drift: { manager: "kubectl-edit" } }]);
    status.status("one", update({ cleared: [REF], report: report() }));
    expect(status.drift()).toEqual([]);
    status.status("one", update({ exceptions: [drifted] }));
    status.status("one", update({ restart: true, report: report() }));
    expect(status.drift()).toEqual([]);
  });

  it("in several parts is one full report, in which old dates stay", async () => {
    status.record(result(["one"]));
    connect("one", update({ restart: true, report: report(), exceptions: [drifted] }));
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
    connect("stranger", update({ restart: true, exceptions: [drifted] }));
    expect([status.cluster("stranger"), status.drift(), status.clusters().length]).toEqual([undefined, [], 1]);
  });

  it("E253: cannot flood the history", () => {
    status.record(result(["one"]));
    connect("one");
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
    connect("one");
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
    connect("one");
    expect(status.fleet().healthy).toBe(false);
    connect("two");
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
    connect("one");
    expect(status.revisions()).toMatchObject([
      { revision: `main@sha1:${COMMIT.commit}`, publishedSlices: 2, current: true, clusters: { total: 2, applied: 1 } },
    ]);
    connect("two");
    expect(status.revisions()[0]?.clusters).toEqual({ total: 2, applied: 2 });
  });

  it("tells listeners of every change, and of a lease that ran out though nobody spoke", async () => {
    status.record(result(["one"]));
    connect("one");
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
      connect(name);
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
    for (const name of names) connect(name);
    const started = performance.now();
    expect([status.fleet().clusters.total, status.clusters().length, status.targets().length]).toEqual([2_000, 2_000, 20_000]);
    expect(performance.now() - started).toBeLessThan(2_000);
  });
});
