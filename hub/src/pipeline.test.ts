import { CodedError, type ErrorCode } from "@muster/shared/errors";
import type { Generation, Slice } from "@muster/shared/model";
import { systemClock } from "@muster/shared/runtime";
import { createLogger, createMetrics } from "@muster/shared/telemetry";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { eventually } from "../../test/rig/eventually.ts";
import { createFleetLoader } from "./load-fleet-input.ts";
import { createPipeline, type Pipeline } from "./pipeline.ts";
import type { Publisher } from "./publish/publisher.ts";
import { nextGeneration } from "./release/next-generation.ts";
import { type PublishedState, planPublish } from "./release/plan-publish.ts";
import { rendered } from "./release/testing/fleet-maker.ts";
import type { CommitSnapshot } from "./source/snapshot.ts";
import { createFleetStatus, type FleetStatus } from "./status/fleet-status.ts";

const CLUSTER = "apiVersion: muster.dev/v1alpha1\nkind: Cluster\nmetadata: { name: one }\n";
const BUNDLE = "apiVersion: muster.dev/v1alpha1\nkind: Bundle\nmetadata: { name: web }\nspec: { targets: [{ all: true }] }\n";
const NO_TIMEOUT = new CodedError("NATS_UNREACHABLE", "no answer in time");

/** A commit of a fleet with one cluster and these bundles. */
function snapshotOf(commit: string, bundles: readonly string[] = ["web"]): CommitSnapshot {
  const texts = new Map([["clusters/all.yaml", CLUSTER], ...bundles.map((name): [string, string] => [`${name}/bundle.yaml`, BUNDLE])]);
  const fileOf = (path: string) => ({ path, oid: `${commit}-${path}`, type: "file" as const, executable: false });
  return {
    source: "fleet",
    ref: "main",
    commit: commit.repeat(40),
    subject: `Commit ${commit}`,
    author: "Ada",
    committedAt: "2026-10-05T03:12:00Z",
    files: new Map([...texts.keys()].map((path) => [path, fileOf(path)])),
    read: async (path) => Buffer.from(texts.get(path) ?? ""),
    readLink: async () => "",
  };
}

/** What a test turns: Git, NATS, and what goes wrong how often. */
interface World {
  snapshot: CommitSnapshot | undefined;
  connected: boolean;
  /** Name of the object that the bundle renders to; undefined: the commit that was rendered. */
  object: string | undefined;
  /** Why no bundle can be rendered now. */
  renderError?: { readonly code: ErrorCode; readonly message: string };
  /** What happens elsewhere while a commit is read. */
  whileReading?: () => void;
  /** Errors that the next calls throw, per call. */
  readonly failures: Map<"load" | "publish" | "audit" | "read", number>;
  /** Milliseconds that have passed without anybody waiting. */
  aheadMs: number;
  readonly calls: string[];
  readonly inForce: Map<string, PublishedState & { readonly slice: Slice }>;
  readonly floors: Map<string, Generation>;
  readonly hints: string[];
  readonly lines: { readonly level: string; readonly msg: string; readonly code?: string }[];
}

let world: World;
let status: FleetStatus;
let pipeline: Pipeline;
let stop: AbortController;
let running: Promise<void>;

function failOrGo(call: "load" | "publish" | "audit" | "read"): void {
  world.calls.push(call);
  const left = world.failures.get(call) ?? 0;
  if (left === 0) return;
  world.failures.set(call, left - 1);
  throw NO_TIMEOUT;
}

/** The publisher's rules over a map: what it does to JetStream has tests of its own. */
const publisher: Publisher = {
  get current() {
    return new Map([...world.inForce].map(([name, { slice }]) => [name, slice]));
  },
  get trusted() {
    return this.current;
  },
  sliceOf: (cluster) => world.inForce.get(cluster)?.slice,
  load: async () => failOrGo("load"),
  async publish(slices, _sets, commits) {
    failOrGo("publish");
    const moved = new Map<string, Slice>();
    for (const [cluster, { content, contentDigest }] of planPublish(world.inForce, slices, world.floors)) {
      const generation = nextGeneration(world.inForce.get(cluster), world.floors.get(cluster));
      const slice: Slice = { ...content, version: 1, trustDomain: "t", ...generation, commits };
      world.inForce.set(cluster, { ...generation, slice, contentDigest });
      moved.set(cluster, slice);
    }
    return { moved, failed: new Map() };
  },
  async audit(deep) {
    failOrGo("audit");
    world.calls.push(deep ? "deep" : "shallow");
    return { republished: 0, stirred: [], failed: [] };
  },
  raiseAbove: () => true,
  collectGarbage: async () => 0,
};

beforeEach(() => {
  world = {
    snapshot: snapshotOf("a"),
    connected: true,
    object: "x",
    failures: new Map(),
    aheadMs: 0,
    calls: [],
    inForce: new Map(),
    floors: new Map(),
    hints: [],
    lines: [],
  };
  status = createFleetStatus({ clock: systemClock, leaseMs: 90_000 });
  const loader = createFleetLoader();
  pipeline = createPipeline({
    sources: {
      get snapshots() {
        return [{ source: "fleet", snapshot: world.snapshot }];
      },
      tried: true,
    },
    loader: {
      async load(snapshot) {
        failOrGo("read");
        const input = await loader.load(snapshot);
        world.whileReading?.();
        return input;
      },
    },
    targets: {
      async render(targets, snapshots) {
        world.calls.push("render");
        const outcomes = targets.map((target) =>
          world.renderError
            ? { target, error: world.renderError }
            : rendered(target, [world.object ?? snapshots.get("fleet")?.commit ?? ""]),
        );
        const sets = new Map(outcomes.flatMap((one) => ("set" in one ? [[one.set.ref.blob, one.set] as const] : [])));
        return { outcomes, sets, notices: new Map(), encodeMs: 0 };
      },
    },
    publisher,
    link: {
      get connected() {
        return world.connected;
      },
    },
    status,
    hint: (cluster, { generation }) => world.hints.push(`${cluster} ${generation}`),
    onModel: () => {},
    auditIntervalMs: 60_000,
    failpoint: () => {},
    clock: { ...systemClock, monotonicMs: () => systemClock.monotonicMs() + world.aheadMs },
    // The shortest waits of the backoff.
    random: () => 0,
    logger: createLogger({ name: "hub", level: "debug", destination: { write: (line) => void world.lines.push(JSON.parse(line)) } }),
    metrics: createMetrics(),
  });
  stop = new AbortController();
  running = Promise.resolve();
});
afterEach(async () => {
  stop.abort();
  await running;
});

const run = () => {
  running = pipeline.run(stop.signal);
};
const generation = () => world.inForce.get("one")?.generation;
const audited = (times: number) =>
  eventually(() => expect(world.calls.filter((call) => call === "shallow" || call === "deep").length).toBeGreaterThanOrEqual(times));
/** Turns that composed. */
const composed = () => world.calls.filter((call) => call === "publish").length;
const operatorsRead = () => world.lines.filter(({ level }) => level !== "debug").map(({ level, msg }) => `${level}: ${msg}`);

describe("a commit", () => {
  it("becomes a slice, of which the agent and operators are told", async () => {
    run();
    await audited(1);
    expect([generation(), world.hints, pipeline.loaded]).toEqual([1, ["one 1"], true]);
    expect(status.events()[0]).toMatchObject({ type: "Published", cluster: "one", message: `Generation 1 of main@sha1:${"a".repeat(40)}` });
    expect(operatorsRead()).toEqual([`info: main@sha1:${"a".repeat(40)}: 1 slices published`]);
    world.snapshot = snapshotOf("b");
    world.object = "y";
    pipeline.news();
    await eventually(() => expect(world.hints).toEqual(["one 1", "one 2"]));
    await eventually(() => expect(status.revisions()).toMatchObject([{ subject: "Commit b" }, { subject: "Commit a" }]));
  });

  it("that changes nothing, and facts that change nothing, are no news to operators", async () => {
    run();
    await audited(1);
    world.lines.length = 0;
    world.snapshot = snapshotOf("b");
    pipeline.news();
    await eventually(() => expect(composed()).toBe(2));
    pipeline.compose();
    await eventually(() => expect(composed()).toBe(3));
    await eventually(() => expect(status.revisions()).toMatchObject([{ publishedSlices: 0 }, { publishedSlices: 1 }]));
    expect([generation(), operatorsRead()]).toEqual([1, []]);
  });

  it("that comes while another one is read does not mix with it", async () => {
    world.object = undefined;
    world.whileReading = () => {
      world.snapshot = snapshotOf("b");
    };
    run();
    await audited(1);
    const [entry] = world.inForce.get("one")?.slice.bundles ?? [];
    expect(entry).toMatchObject({ objects: [`a_${"a".repeat(40)}__ConfigMap`] });
    expect(status.revisions()).toMatchObject([{ subject: "Commit a", revision: `main@sha1:${"a".repeat(40)}` }]);
  });

  it("that is held is said once, however often all is composed again, and again when another one is", async () => {
    world.snapshot = snapshotOf("a", []);
    run();
    await audited(1);
    for (const round of [2, 3]) {
      pipeline.compose();
      await eventually(() => expect(composed()).toBe(round));
    }
    expect(operatorsRead()).toEqual([expect.stringContaining("the revision is held")]);
    world.snapshot = snapshotOf("b", []);
    pipeline.news();
    await eventually(() => expect(operatorsRead()).toHaveLength(2));
    expect(generation()).toBeUndefined();
  });

  it("is composed once for many agents whose facts come together", async () => {
    run();
    await audited(1);
    for (let agent = 0; agent < 500; agent += 1) pipeline.compose();
    await eventually(() => expect(composed()).toBe(2));
    world.object = "y";
    pipeline.news();
    await eventually(() => expect(generation()).toBe(2));
    expect(composed()).toBe(3);
  });
});

describe("the publish loop", () => {
  it("publishes nothing before what is published was read", async () => {
    world.failures.set("load", 1);
    run();
    await audited(1);
    expect(world.calls.slice(0, 2)).toEqual(["load", "load"]);
    expect(generation()).toBe(1);
  });

  it("E200: reads the fleet without NATS, so that agents are taken in, and publishes when NATS comes", async () => {
    world.connected = false;
    pipeline.news();
    run();
    await eventually(() => expect(status.cluster("one")).toBeDefined());
    expect([pipeline.loaded, pipeline.model?.clusters.has("one"), composed()]).toEqual([false, true, 0]);
    world.connected = true;
    pipeline.natsReady();
    await eventually(() => expect(generation()).toBe(1));
  });

  it("reads the fleet again if that failed while NATS was away", async () => {
    world.connected = false;
    world.failures.set("read", 1);
    pipeline.news();
    run();
    await eventually(() => expect(status.cluster("one")).toBeDefined());
  });

  it("tries again to publish what could not be published", async () => {
    world.failures.set("publish", 2);
    run();
    await eventually(() => expect(generation()).toBe(1));
    expect(world.lines.filter(({ code }) => code === "NATS_UNREACHABLE")).toHaveLength(2);
  });

  it("reads again soon what is published, if that failed after NATS came back", async () => {
    run();
    await audited(1);
    world.failures.set("load", 1);
    world.calls.length = 0;
    pipeline.natsReady();
    await eventually(() => expect(world.calls.slice(0, 3)).toEqual(["load", "load", "read"]));
  });

  it("compares every byte when an agent asks, and asks again if that failed", async () => {
    run();
    await audited(1);
    world.failures.set("audit", 1);
    world.calls.length = 0;
    pipeline.audit();
    await audited(1);
    expect(world.calls).toEqual(["audit", "audit", "deep"]);
  });

  it("I7: renders again what failed for a reason that may pass, though nobody pushes, and not what a person must mend", async () => {
    const renders = () => world.calls.filter((call) => call === "render").length;
    world.renderError = { code: "RENDER_TIMEOUT", message: "too slow" };
    run();
    await audited(1);
    expect(renders()).toBe(1);
    world.aheadMs += 130_000;
    world.renderError = { code: "RENDER_HELM", message: "no" };
    pipeline.audit();
    await eventually(() => expect(renders()).toBe(2));
    world.aheadMs += 3_600_000;
    pipeline.audit();
    await audited(3);
    expect(renders()).toBe(2);
  });

  it("reads what is new in Git while NATS is away, and forgets nothing of what it knows", async () => {
    world.renderError = { code: "RENDER_HELM", message: "no" };
    run();
    await audited(1);
    expect(status.fleet().problems).toHaveLength(1);
    world.connected = false;
    world.snapshot = snapshotOf("b");
    pipeline.news();
    await eventually(() => expect(status.revisions()).toMatchObject([{ subject: "Commit b" }, { subject: "Commit a" }]));
    expect([composed(), status.fleet().problems.length]).toEqual([1, 1]);
  });

  it("goes on with the audit when publishing fails", async () => {
    world.failures.set("publish", 1_000);
    run();
    await audited(1);
    expect(generation()).toBeUndefined();
  });
});
