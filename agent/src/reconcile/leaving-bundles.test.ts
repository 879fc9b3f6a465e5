import { CodedError } from "@muster/shared/errors";
import type { BundleOptions, Manifest } from "@muster/shared/model";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { FakeCluster } from "../apply/testing/fake-cluster.ts";
import { parseInventory } from "../plan/inventory.ts";
import { configMap } from "../pull/testing/slice-maker.ts";
import { settle, startAgent, stopAgents, values } from "./testing/fake-agent.ts";

afterEach(stopAgents);

const ref = (name: string) => `web_${name}__ConfigMap` as const;
const labelsOf = (cluster: FakeCluster, name: string) => cluster.objects.get(ref(name))?.metadata["labels"];
const deleted = (cluster: FakeCluster) =>
  cluster.calls.filter((call) => call.verb === "delete" && call.ref.startsWith("web_")).map((call) => call.ref.split("_")[1]);
const bundle = (name: string, objects: readonly Manifest[], options: Partial<BundleOptions> = {}) => ({ name, objects, options });
const last = bundle("last", [configMap("last")]);
const ORPHAN = { onRemoval: "orphan" as const };

/** An agent that has applied these bundles, and one that stays. */
async function applied(...bundles: ReturnType<typeof bundle>[]) {
  const agent = startAgent();
  await agent.take([...bundles, last]);
  for (const { name } of [...bundles, last]) await agent.synced(name);
  await settle(agent.cluster);
  return agent;
}

describe("E101: a bundle that leaves the cluster as a whole", () => {
  it("leaves its objects, as nobody's, where it said onRemoval: orphan, and those that leave it before go by prune", async () => {
    const many = Array.from({ length: 60 }, (_, index) => configMap(`m${index}`));
    const { take, cluster, events, inventory, reconciler } = await applied(bundle("a", [...many, configMap("x")], ORPHAN));
    await take([bundle("a", many, ORPHAN), last]);
    await vi.waitFor(() => expect(cluster.objects.has(ref("x"))).toBe(false));
    // More than the budget of deletions allows: what stays does not count.
    await take([last]);
    await vi.waitFor(async () => expect((await inventory()).entries.size).toBe(1));
    expect(deleted(cluster)).toEqual(["x"]);
    expect(labelsOf(cluster, "m7")).toEqual({});
    expect(events().filter((type) => type === "Released")).toHaveLength(60);
    expect(reconciler.report(undefined).heldDeletion).toBeUndefined();
    expect((await inventory()).bundles).toEqual(new Map());
  });

  it("and of which an object has moved to another one keeps that object where it is", async () => {
    const { take, cluster, synced, inventory } = await applied(bundle("a", [configMap("x"), configMap("y")], ORPHAN));
    await take([bundle("b", [configMap("x", "2")]), last]);
    await synced("b");
    await vi.waitFor(async () => expect((await inventory()).entries.size).toBe(2));
    expect([labelsOf(cluster, "x"), labelsOf(cluster, "y")]).toEqual([{ "muster.dev/bundle": "b" }, {}]);
    expect(deleted(cluster)).toEqual([]);
  });

  it("goes by what the agent has heard of it last, also in a new process", async () => {
    const { take, cluster, reconciler, stop, inventory } = await applied(bundle("a", [configMap("x")], ORPHAN));
    await vi.waitFor(async () => expect((await inventory()).bundles.get("a")).toEqual({ orphan: true }));
    cluster.onCall = ({ verb }) => {
      if (verb === "patch") throw new CodedError("KUBE_DENIED", "not yet");
    };
    await take([last]);
    await settle(cluster);
    stop();
    cluster.onCall = undefined;
    const second = startAgent({ cluster });
    second.reconciler.resume(reconciler.desired!);
    await vi.waitFor(() => expect(labelsOf(cluster, "x")).toEqual({}));
    expect(deleted(cluster)).toEqual([]);
  });

  it("keeps its objects also where only prune: false says so", async () => {
    const { take, cluster, inventory } = await applied(bundle("a", [configMap("x")], { prune: false }));
    await take([last]);
    await vi.waitFor(async () => expect((await inventory()).entries.size).toBe(1));
    expect(values(cluster)).toEqual({ x: "1", last: "1" });
  });
});

describe("E012: bundles that leave together", () => {
  const chain = () =>
    applied(
      bundle("base", [configMap("a-base")]),
      bundle("middle", [configMap("b-middle")], { dependsOn: ["base"] }),
      bundle("top", [configMap("c-top")], { dependsOn: ["middle"] }),
    );

  it("go in the reverse of the order in which they depend on each other, in one pass", async () => {
    const { take, cluster, inventory } = await chain();
    expect((await inventory()).bundles).toEqual(
      new Map([
        ["middle", { dependsOn: ["base"] }],
        ["top", { dependsOn: ["middle"] }],
      ]),
    );
    await take([last]);
    await vi.waitFor(() => expect(values(cluster)).toEqual({ last: "1" }));
    expect(deleted(cluster)).toEqual(["c-top", "b-middle", "a-base"]);
    await vi.waitFor(async () => expect((await inventory()).bundles).toEqual(new Map()));
  });

  it("wait for a dependent that cannot go, and say for what; when it is gone they go at once", async () => {
    const { take, cluster, reconciler, stop } = await chain();
    cluster.onCall = ({ verb, ref }) => {
      if (verb === "delete" && ref.includes("top")) throw new CodedError("KUBE_DENIED", "policy says no");
    };
    await take([last]);
    const why = (name: string) => reconciler.exceptions().find((exception) => exception.ref.name === name);
    await vi.waitFor(() => expect(why("c-top")?.code).toBe("PRUNE_BLOCKED"));
    expect(why("a-base")).toMatchObject({
      code: "PRUNE_WAITING",
      message:
        "ConfigMap web/a-base waits for what depends on its bundle to be gone: ConfigMap web/b-middle of the bundle middle, ConfigMap web/c-top of the bundle top",
    });
    await settle(cluster);
    expect(new Set(deleted(cluster))).toEqual(new Set(["c-top"]));
    stop();
    cluster.onCall = undefined;
    cluster.calls.length = 0;
    const second = startAgent({ cluster });
    second.reconciler.resume(reconciler.desired!);
    await vi.waitFor(() => expect(values(cluster)).toEqual({ last: "1" }));
    expect(deleted(cluster)).toEqual(["c-top", "b-middle", "a-base"]);
  });

  it("wait for a dependent with outstanding finalizers, and for one whose deletion is held", async () => {
    const held = { ...configMap("held"), metadata: { ...configMap("held").metadata, finalizers: ["a/b"] } };
    const { take, cluster, reconciler } = await applied(
      bundle("base", [configMap("a-base")]),
      bundle("top", [held], { dependsOn: ["base"] }),
    );
    await take([last]);
    await vi.waitFor(() =>
      expect(reconciler.exceptions().map(({ ref, code }) => [ref.name, code])).toContainEqual(["a-base", "PRUNE_WAITING"]),
    );
    cluster.take(ref("held"));
    reconciler.trigger();
    await vi.waitFor(() => expect(values(cluster)).toEqual({ last: "1" }));
  });

  it("and an object that leaves one goes after what leaves a dependent in the same commit, and before nothing else", async () => {
    const { take, cluster } = await applied(
      bundle("base", [configMap("a-base"), configMap("a-stays")]),
      bundle("top", [configMap("c-top"), configMap("c-stays")], { dependsOn: ["base"] }),
    );
    await take([bundle("base", [configMap("a-stays")]), bundle("top", [configMap("c-stays")], { dependsOn: ["base"] }), last]);
    await vi.waitFor(() => expect(deleted(cluster)).toEqual(["c-top", "a-base"]));
  });
});

describe("E012, E080: objects that left two bundles of which one depends on the other", () => {
  const workload = (replicas: number): Manifest => ({
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "d", namespace: "web" },
    spec: { replicas },
  });
  const healthy = (cluster: FakeCluster) => {
    const live = [...cluster.objects.values()].find(({ kind }) => kind === "Deployment")!;
    const { replicas } = live["spec"] as { replicas: number };
    const counts = { replicas, updatedReplicas: replicas, readyReplicas: replicas, availableReplicas: replicas };
    cluster.put({ ...live, status: { observedGeneration: 1, ...counts } });
  };

  it("do not hold up the dependent, whose new object they wait for", async () => {
    const { take, cluster, synced, reconciler } = startAgent();
    const revision = (value: number) => [
      bundle("base", [workload(value), configMap(`base-${value}`)]),
      bundle("top", [configMap(`top-${value}`)], { dependsOn: ["base"] }),
    ];
    await take(revision(1));
    await synced("base");
    healthy(cluster);
    await synced("top");
    await settle(cluster);
    await take(revision(2));
    await vi.waitFor(() => expect(reconciler.exceptions()).toMatchObject([{ ref: { name: "d" } }, { code: "PRUNE_WAITING" }]));
    healthy(cluster);
    await vi.waitFor(() => expect(values(cluster)).toEqual({ "base-2": "1", "top-2": "1" }));
    expect(deleted(cluster)).toEqual(["top-1", "base-1"]);
  });
});

describe("what an earlier agent has written of the inventory", () => {
  it("is read as one that knows nothing of bundles", () => {
    const text = '{"version":1,"entries":[],"applied":{},"rebuilt":false}';
    expect(parseInventory(text).bundles).toEqual(new Map());
  });
});
