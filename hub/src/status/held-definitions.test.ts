import { Health, type SliceBundle } from "@muster/shared/model";
import { beforeEach, describe, expect, it } from "vitest";
import type { FleetModel, FleetProblem } from "../fleet/model.ts";
import type { FleetStatus } from "./fleet-status.ts";
import {
  at,
  bundleReport,
  cluster,
  connect,
  createSampleStatus,
  drifted,
  FACTS,
  report,
  result,
  slice,
  update,
  WEB,
} from "./testing/sample-status.ts";

let status: FleetStatus;
beforeEach(() => {
  ({ status } = createSampleStatus());
});

const unknownField = (kind: "cluster" | "bundle", name: string): FleetProblem => ({
  code: "FLEET_UNKNOWN_FIELD",
  message: "x is unknown",
  at: { file: kind === "bundle" ? `apps/${name}/bundle.yaml` : "c.yaml", line: 3, source: "fleet" },
  scope: { kind, name },
});
const unreadable: FleetProblem = { code: "YAML_SYNTAX", message: "no YAML", at: { file: "x.yaml" }, scope: { kind: "document" } };
const both = new Map(["one", "two"].map((name) => [name, slice(name, "a")]));

/** The cluster two has an unknown field: nothing that is sound says anything of it. */
const clusterHeld = (more: Partial<FleetModel> = {}) =>
  result(["one"], { slices: both, model: { heldClusters: new Set(["two"]), problems: [unknownField("cluster", "two")], ...more } });
/** So has the bundle web. */
const bundleHeld = (more: Partial<FleetModel> = {}) =>
  result(["one", "two"], {
    model: { bundles: new Map(), targets: [], heldBundles: new Set(["web"]), problems: [unknownField("bundle", "web")], ...more },
  });
const HELD = { type: "Held", reason: "FLEET_UNKNOWN_FIELD", message: "x is unknown" };

describe("a cluster whose document is held", () => {
  it("stays as it was known, with why, and is neither synced nor healthy for the fleet", () => {
    status.record(result(["one", "two"]));
    for (const name of ["one", "two"]) connect(status, name, update({ restart: true, report: report(), exceptions: [drifted] }));
    status.record(clusterHeld());
    expect(status.cluster("two")).toMatchObject({
      labels: { env: "prod" },
      connected: true,
      desiredGeneration: 1,
      targets: { total: 1, synced: 1 },
      conditions: [HELD],
    });
    expect(status.clusters().map(({ name }) => name)).toEqual(["one", "two"]);
    expect(status.targets({ cluster: "two" })).toMatchObject([{ bundle: "web", sync: "Synced", labels: { env: "prod" } }]);
    expect(status.target("web", "two")).toMatchObject({ directory: "apps/web", driftMode: "correct" });
    expect(status.drift().map((one) => one.cluster)).toEqual(["one", "two"]);
    expect(status.bundle("web")?.targets.total).toBe(2);
    expect(status.fleet()).toMatchObject({
      healthy: false,
      clusters: { total: 2, live: 2, synced: 1, healthy: 1 },
      targets: { total: 2 },
      problems: [{ reason: "FLEET_UNKNOWN_FIELD" }],
    });
    status.record(result(["one", "two"]));
    expect(status.cluster("two")?.conditions).toEqual([]);
    expect(status.fleet().healthy).toBe(true);
  });

  it("that this hub never knew is shown without labels, with the targets of its slice in force", () => {
    status.record(clusterHeld());
    connect(status, "two");
    expect(status.cluster("two")).toMatchObject({ labels: {}, paused: false, connected: true, sync: "Synced", conditions: [HELD] });
    expect(status.target("web", "two")).toMatchObject({ sync: "Synced", directory: "apps/web" });
    expect(status.clusters()).toHaveLength(2);
  });

  it("without a slice is shown all the same", () => {
    status.record(result(["one"], { model: { heldClusters: new Set(["two"]), problems: [unknownField("cluster", "two")] } }));
    expect(status.cluster("two")).toMatchObject({ freshness: "Never", targets: { total: 0 }, conditions: [HELD] });
  });

  it("keeps what its agent has told, also if the agent is gone", () => {
    status.record(result(["one", "two"]));
    connect(status, "two");
    status.disconnected("two");
    status.record(clusterHeld());
    expect([status.facts("two"), status.cluster("two")?.appliedGeneration]).toEqual([FACTS, 1]);
  });
});

describe("a bundle whose document is held", () => {
  it("stays as it was known on the clusters whose slice has it, and its targets say that they are held", () => {
    status.record(result(["one", "two", "three"], { slices: both }));
    for (const name of ["one", "two"]) connect(status, name);
    status.record(bundleHeld());
    expect(status.bundle("web")).toMatchObject({
      source: "fleet",
      directory: "apps/web",
      driftMode: "correct",
      targets: { total: 2, synced: 2, failed: 2 },
      conditions: [HELD],
    });
    expect(status.bundles()).toHaveLength(1);
    expect(status.targets({ bundle: "web" })).toMatchObject([
      { cluster: "one", sync: "Synced", conditions: [HELD] },
      { cluster: "two", sync: "Synced", conditions: [HELD] },
    ]);
    expect(status.cluster("one")?.targets).toMatchObject({ total: 1, failed: 1 });
    expect(status.fleet()).toMatchObject({ healthy: false, targets: { total: 2, synced: 2, failed: 2 } });
  });

  it("that this hub never knew is shown as far as its slices and its place in Git tell", () => {
    const kept: SliceBundle = { name: "web", state: "keep", reason: "FLEET_INVALID" };
    const options = { ...WEB.options, drift: { mode: "report" as const, ignore: [] }, dependsOn: ["db"] };
    const desired = { ...slice("two", "a").bundles[0], options } as SliceBundle;
    const slices = new Map([
      ["one", slice("one", "a", 1, { bundles: [kept] })],
      ["two", slice("two", "a", 1, { bundles: [desired] })],
    ]);
    status.record({ ...bundleHeld(), slices });
    for (const name of ["one", "two"]) connect(status, name);
    expect(status.bundle("web")).toMatchObject({
      source: "fleet",
      directory: "apps/web",
      dependsOn: ["db"],
      driftMode: "report",
      targets: { total: 2, synced: 1 },
      conditions: [HELD],
    });
    expect(status.target("web", "one")).toMatchObject({ sync: "Pending", reason: "FLEET_INVALID", layers: [] });
  });

  it("of which nothing at all is known is shown with why it is held", () => {
    status.record({ ...bundleHeld(), slices: new Map() });
    expect(status.bundle("web")).toMatchObject({ driftMode: "Unknown", targets: { total: 0 }, conditions: [HELD] });
  });

  it("follows the labels of its clusters", () => {
    status.record(result(["one"]));
    status.record(bundleHeld({ clusters: new Map([["one", { ...cluster("one"), labels: { env: "lab" } }]]) }));
    expect(status.target("web", "one")).toMatchObject({ labels: { env: "lab" }, directory: "apps/web" });
  });
});

describe("absence in a model that is not complete proves nothing", () => {
  /** A document whose name nobody can read: everything else in Git is there, or is not. */
  const incomplete = () => result([], { slices: both, model: { complete: false, bundles: new Map(), problems: [unreadable] } });
  const empty: FleetProblem = { code: "FLEET_EMPTY", message: "no cluster at all", scope: { kind: "fleet" } };

  it("so clusters, bundles, targets and reports that were known stay", () => {
    status.record(result(["one", "two"]));
    for (const name of ["one", "two"]) {
      connect(status, name);
      status.disconnected(name);
    }
    status.record(incomplete());
    expect(status.clusters()).toMatchObject([
      { name: "one", sync: "Synced", labels: { env: "prod" } },
      { name: "two", sync: "Synced" },
    ]);
    expect(status.bundle("web")).toMatchObject({ directory: "apps/web", targets: { total: 2, synced: 2, failed: 0 } });
    expect(status.fleet()).toMatchObject({ healthy: false, clusters: { total: 2 }, targets: { total: 2 } });
    expect(status.facts("two")).toEqual(FACTS);
    status.record(result(["one"]));
    expect([status.cluster("two"), status.facts("two")]).toEqual([undefined, undefined]);
  });

  it("so a hub that starts shows what has a slice in force", () => {
    status.record(incomplete());
    expect(status.clusters()).toMatchObject([{ name: "one", labels: {}, targets: { total: 1 } }, { name: "two" }]);
    expect(status.bundle("web")?.targets.total).toBe(2);
  });

  it("but what was gone from a complete one stays gone, though its last slice is still in force", () => {
    status.record(result(["one"], { slices: both }));
    status.record(result(["one"], { slices: both, model: { complete: false, problems: [unreadable] } }));
    expect(status.clusters().map(({ name }) => name)).toEqual(["one"]);
  });

  it("E070: and neither does a revision without any cluster, which is held", () => {
    status.record(result(["one", "two"]));
    connect(status, "one");
    status.disconnected("one");
    const nothing = { bundles: new Map(), problems: [empty] };
    status.record(result([], { slices: both, model: nothing, held: { code: "FLEET_EMPTY", message: "no cluster at all" } }));
    expect(status.clusters().map(({ name }) => name)).toEqual(["one", "two"]);
    expect(status.targets()).toHaveLength(2);
    expect(status.facts("one")).toEqual(FACTS);
  });

  it("and before slices are read from NATS, the targets that were known stay too", () => {
    status.record(result(["one"], { slices: new Map() }));
    status.record(
      result(["one"], { slices: new Map(), model: { complete: false, bundles: new Map(), targets: [], problems: [unreadable] } }),
    );
    expect(status.targets()).toMatchObject([{ bundle: "web", cluster: "one", sync: "Unknown" }]);
  });
});

it("a target that a sound model has no more is gone, though another bundle is held", () => {
  const db = { ...WEB, name: "db", directory: "apps/db" };
  const bundles = new Map([
    ["web", WEB],
    ["db", db],
  ]);
  status.record(result(["one"], { model: { bundles } }));
  connect(
    status,
    "one",
    update({ restart: true, report: { ...at(1), bundles: [bundleReport(), bundleReport({ bundle: "db", health: Health.Failed })] } }),
  );
  const desired = slice("one", "a").bundles[0] as SliceBundle;
  const slices = new Map([["one", slice("one", "a", 1, { bundles: [desired, { ...desired, name: "db" }] })]]);
  status.record(
    result(["one"], {
      slices,
      model: { bundles: new Map(), targets: [], heldBundles: new Set(["db"]), problems: [unknownField("bundle", "db")] },
    }),
  );
  expect(status.targets().map(({ bundle }) => bundle)).toEqual(["db"]);
  expect(status.cluster("one")?.health).toBe(Health.Failed);
});
