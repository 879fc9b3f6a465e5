import type { Manifest } from "@muster/shared/model";
import { describe, expect, it } from "vitest";
import { ManualClock } from "../../../test/rig/manual-clock.ts";
import { createFakeCluster, type FakeCluster } from "../apply/testing/fake-cluster.ts";
import type { Cluster, ResourceType } from "../kube/cluster.ts";
import { createDeletionWindow } from "./deletion-window.ts";
import { policedCluster } from "./policed-cluster.ts";
import { parsePolicy } from "./policy.ts";

const typeOf = (cluster: FakeCluster, kind: string): ResourceType => {
  const type = cluster.types.find((one) => one.kind === kind);
  if (!type) throw new Error(`no ${kind}`);
  return type;
};
const configMap = (namespace: string, name = "x"): Manifest => ({ apiVersion: "v1", kind: "ConfigMap", metadata: { name, namespace } });

/** What an agent keeps, in memory. */
function memory() {
  const kept = new Map<string, Buffer>();
  const writes = { count: 0 };
  return {
    kept,
    writes,
    read: async (name: string) => kept.get(name),
    async write(name: string, value: Uint8Array) {
      writes.count += 1;
      kept.set(name, Buffer.from(value));
    },
  };
}

function setUp(policy: unknown, { max = 0, store = memory(), clock = new ManualClock(1_000_000_000) } = {}) {
  const fake = createFakeCluster();
  const state = { paused: false };
  const windowMinutes = 60;
  const cluster = policedCluster(fake, {
    policy: parsePolicy(policy),
    deletions: createDeletionWindow({ max, windowMinutes, store, clock }),
    isPaused: () => state.paused,
  });
  const configMaps = typeOf(fake, "ConfigMap");
  const remove = (of: Cluster, name: string) => of.delete(configMaps, "web", name, { uid: "u" });
  return { fake, cluster, configMaps, state, store, clock, remove };
}

describe("a cluster with a policy", () => {
  it("S6: hears of no write that the policy does not allow, by whatever method, account or condition it comes", async () => {
    const { fake, cluster, configMaps } = setUp({ namespaces: { allow: ["web"] } });
    const account = { namespace: "web", name: "deployer" };
    for (const each of [cluster, cluster.as(account), cluster.writtenWhile(() => true), cluster.as(account).writtenWhile(() => true)]) {
      const tries = [
        () => each.apply(configMaps, configMap("db"), { force: true }),
        () => each.apply(configMaps, configMap("db"), { force: true, dryRun: true }),
        () => each.create(configMaps, configMap("db")),
        () => each.replace(configMaps, configMap("db")),
        () => each.mergePatch(configMaps, "db", "x", {}),
        () => each.delete(configMaps, "db", "x", { uid: "u" }),
      ];
      for (const attempt of tries) await expect(attempt()).rejects.toMatchObject({ code: "POLICY_FORBIDDEN" });
    }
    expect(fake.calls).toEqual([]);
    await cluster.apply(configMaps, configMap("web"), { force: true });
    expect(fake.calls).toHaveLength(1);
  });

  it("S6: loses no label of Pod Security by an apply that leaves it out, nor a namespace that has one", async () => {
    const { fake, cluster } = setUp({});
    const namespaces = typeOf(fake, "Namespace");
    const labels = { "pod-security.kubernetes.io/enforce": "restricted", team: "a" };
    await fake.apply(namespaces, { apiVersion: "v1", kind: "Namespace", metadata: { name: "web", labels } }, { force: true });
    const without = { apiVersion: "v1", kind: "Namespace", metadata: { name: "web", labels: { team: "b" } } };
    await expect(cluster.apply(namespaces, without, { force: true })).rejects.toMatchObject({ code: "POLICY_FORBIDDEN" });
    await expect(cluster.delete(namespaces, "", "web", { uid: "u" })).rejects.toMatchObject({ code: "POLICY_FORBIDDEN" });
    expect((await fake.get(namespaces, "", "web"))?.metadata["labels"]).toEqual(labels);
  });

  it("S6: deletes no namespace with all that is in it where deletions are counted", async () => {
    const { fake, cluster } = setUp({ deletions: { max: 10 } }, { max: 10 });
    const namespaces = typeOf(fake, "Namespace");
    const annotations = { "muster.dev/prune": "cascade" };
    const made = await fake.apply(
      namespaces,
      { apiVersion: "v1", kind: "Namespace", metadata: { name: "web", annotations } },
      { force: true },
    );
    await expect(cluster.delete(namespaces, "", "web", { uid: String(made.metadata["uid"]) })).rejects.toMatchObject({
      code: "POLICY_FORBIDDEN",
    });
    expect(await fake.get(namespaces, "", "web")).toBeDefined();
  });

  it("counts no deletion that the API server has refused", async () => {
    const { fake, cluster, configMaps, remove } = setUp({}, { max: 2 });
    await fake.apply(configMaps, configMap("web", "kept"), { force: true });
    for (let time = 0; time < 5; time += 1) await expect(remove(cluster, "kept")).rejects.toMatchObject({ code: "KUBE_CONFLICT" });
    await remove(cluster, "a");
    await remove(cluster, "b");
    await expect(remove(cluster, "c")).rejects.toMatchObject({ code: "POLICY_DELETIONS" });
  });

  it("is not written while a person has paused the agent, and is again after that", async () => {
    const { fake, cluster, configMaps, state, remove } = setUp({});
    state.paused = true;
    await expect(cluster.apply(configMaps, configMap("web"), { force: true })).rejects.toMatchObject({ code: "AGENT_PAUSED" });
    await expect(remove(cluster, "x")).rejects.toMatchObject({ code: "AGENT_PAUSED" });
    expect(fake.calls).toEqual([]);
    state.paused = false;
    await cluster.apply(configMaps, configMap("web"), { force: true });
  });

  it("S6: loses no more objects in a window than the policy says, though the agent is started anew again and again", async () => {
    const store = memory();
    const clock = new ManualClock(1_000_000_000);
    let deleted = 0;
    for (let life = 0; life < 30; life += 1) {
      const { cluster, remove } = setUp({}, { max: 20, store, clock });
      for (let index = 0; index < 3; index += 1)
        await remove(cluster, `x${index}`).then(
          () => {
            deleted += 1;
          },
          (error: unknown) => expect(error).toMatchObject({ code: "POLICY_DELETIONS" }),
        );
    }
    expect(deleted).toBeLessThanOrEqual(20);
    expect(deleted).toBeGreaterThan(10);
    await clock.advance(61 * 60_000);
    const { cluster, remove } = setUp({}, { max: 20, store, clock });
    await remove(cluster, "later");
  });

  it("lets a process that goes on delete just as many as the policy says, with a write of its state for every tenth of them", async () => {
    const { cluster, remove, store } = setUp({}, { max: 50 });
    const outcomes = await Promise.allSettled(Array.from({ length: 60 }, (_, index) => remove(cluster, `x${index}`)));
    expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(50);
    expect(store.writes.count).toBe(10);
  });

  it("takes a count that is damaged for a window that is used up", async () => {
    const store = memory();
    store.kept.set("deletions", Buffer.from('{"no":"list"}'));
    const { cluster, remove, clock } = setUp({}, { max: 5, store });
    await expect(remove(cluster, "x")).rejects.toMatchObject({ code: "POLICY_DELETIONS" });
    await clock.advance(61 * 60_000);
    await remove(cluster, "x");
  });
});
