import { CodedError } from "@muster/shared/errors";
import type { Manifest } from "@muster/shared/model";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { FakeCall } from "../apply/testing/fake-cluster.ts";
import { NAMESPACE } from "../kube/testing/memory/kinds.ts";
import { createMemoryApi } from "../kube/testing/memory/memory-api.ts";
import { createMemoryCluster } from "../kube/testing/memory/memory-cluster.ts";
import { configMap, type MadeBundle } from "../pull/testing/slice-maker.ts";
import { composeAgent } from "./testing/compose-agent.ts";
import { maker, settle, startAgent, stopAgents, values } from "./testing/fake-agent.ts";

afterEach(stopAgents);

const INVENTORY = "muster-system_muster-state-inventory__Secret";
const isWrite = ({ ref, verb }: FakeCall) => ref === INVENTORY && (verb === "create" || verb === "replace");

describe("what is left half done", () => {
  it("UIDs are noted also when the pass that learned them came to no end", async () => {
    const { cluster, take, synced, inventory } = startAgent();
    await take([]);
    let refused = 0;
    // The claim goes through, what comes after the apply does not, once.
    cluster.onCall = (call) => {
      if (isWrite(call) && cluster.objects.has("web_x__ConfigMap") && refused++ === 0) throw new CodedError("KUBE_SERVER", "not now");
    };
    await take([{ name: "a", objects: [configMap("x")] }]);
    await synced("a");
    await settle(cluster);
    expect(refused).toBeGreaterThan(0);
    const uid = cluster.objects.get("web_x__ConfigMap")?.metadata["uid"];
    await vi.waitFor(async () => expect((await inventory()).entries.get("web_x__ConfigMap")).toMatchObject({ uid }));
  });

  it("I5: what a slice wants that came while the one before was being claimed is claimed before it is applied", async () => {
    const { cluster, take, synced, inventory } = startAgent();
    const ref = "web_y__ConfigMap";
    await take([]);
    const claimedFirst: boolean[] = [];
    let claims = 0;
    cluster.onCall = async (call) => {
      if (isWrite(call) && claims++ === 0) await take([{ name: "a", objects: [configMap("x"), configMap("y")] }]);
      if (call.verb === "apply" && call.ref === ref) claimedFirst.push((await inventory()).entries.has(ref));
    };
    await take([{ name: "a", objects: [configMap("x")] }]);
    await synced("a");
    await vi.waitFor(() => expect(values(cluster)).toEqual({ x: "1", y: "1" }));
    expect(claimedFirst[0]).toBe(true);
  });

  it("I5: what a slice wants that came while a bundle's readiness was asked for is claimed before it is applied", async () => {
    const { cluster, take, synced, inventory } = startAgent();
    const ready = [{ bundle: "db", group: "", kind: "ConfigMap", expression: "object.data.value == '1'" }];
    const bundles = (...names: string[]): MadeBundle[] => [
      { name: "db", objects: [configMap("db")] },
      { name: "app", objects: names.map((name) => configMap(name)), options: { dependsOn: ["db"], ready } },
    ];
    await take([{ name: "db", objects: [configMap("db")] }]);
    await synced("db");
    await settle(cluster);
    const claimedFirst: boolean[] = [];
    let asked = 0;
    cluster.onCall = async (call) => {
      if (call.verb === "get" && call.ref === "web_db__ConfigMap" && asked++ === 0) await take(bundles("x", "y"));
      if (call.verb === "apply" && call.ref === "web_y__ConfigMap") claimedFirst.push((await inventory()).entries.has("web_y__ConfigMap"));
    };
    await take(bundles("x"));
    await synced("app");
    await vi.waitFor(() => expect(values(cluster)).toEqual({ db: "1", x: "1", y: "1" }));
    expect(asked).toBeGreaterThan(0);
    expect(claimedFirst[0]).toBe(true);
  });

  it("E099: an answer about the state that comes late is not taken for a restore of etcd, after which nothing would be pruned", async () => {
    const { cluster, take, synced, events } = startAgent();
    await take([{ name: "a", objects: [configMap("x"), configMap("old")] }]);
    await synced("a");
    await settle(cluster);
    const { get } = cluster;
    let answer = () => {};
    const late = new Promise<void>((resolve) => {
      answer = resolve;
    });
    /** While an inventory is to be written; what is asked for a slice goes by it. */
    let held = 0;
    cluster.get = async (...args) => {
      const live = await get(...args);
      if (args[2] === "muster-state-high-water" && live && ++held === 2) await late;
      return live;
    };
    await take([{ name: "a", objects: [configMap("x"), configMap("old"), configMap("y")] }]);
    await vi.waitFor(() => expect(held).toBe(2));
    await take([{ name: "a", objects: [configMap("x"), configMap("y")] }]);
    answer();
    await vi.waitFor(() => expect(values(cluster)).toEqual({ x: "1", y: "1" }));
    expect(events()).not.toContain("StateRewound");
  });

  it.each(["report", "off"] as const)(
    "what was released, and not forgotten yet, is ours again when Git has it again, in mode %s",
    async (mode) => {
      const first = startAgent();
      const { cluster } = first;
      const a: MadeBundle = { name: "a", objects: [configMap("x")], options: { drift: { mode, ignore: [] }, onRemoval: "orphan" } };
      const b: MadeBundle = { name: "b", objects: [configMap("y")] };
      await first.take([a, b]);
      await first.synced("a");
      const isReleased = () =>
        !JSON.stringify(cluster.objects.get("web_x__ConfigMap")?.metadata["labels"] ?? {}).includes("muster.dev/bundle");
      // Killed before the entry goes.
      cluster.onCall = (call) => {
        if (isWrite(call) && isReleased()) throw new CodedError("KUBE_SERVER", "not now");
      };
      await first.take([b]);
      await vi.waitFor(() => expect(isReleased()).toBe(true));
      first.stop();
      cluster.onCall = undefined;
      const second = startAgent({ cluster });
      second.reconciler.resume(first.reconciler.desired!);
      await second.take([a, b]);
      await second.synced("a");
      await vi.waitFor(() => expect(isReleased()).toBe(false));
    },
  );

  it("an object that could not be applied and moves into a bundle that waits for its old one holds up neither", async () => {
    const { cluster, take, bundle, synced } = startAgent();
    let denied = true;
    cluster.onCall = (call) => {
      if (denied && call.verb === "apply" && call.ref.includes("moving")) throw new CodedError("KUBE_FORBIDDEN", "no");
    };
    const bundles = (a: string[], b: string[]): MadeBundle[] => [
      { name: "a", objects: a.map((name) => configMap(name)) },
      { name: "b", objects: b.map((name) => configMap(name)), options: { dependsOn: ["a"] } },
    ];
    await take(bundles(["x", "moving"], ["y"]));
    await vi.waitFor(() => expect(bundle("a")).toMatchObject({ state: "Failed", failed: 1 }));
    denied = false;
    await take(bundles(["x"], ["y", "moving"]));
    await synced("b");
  });

  it("killed between its first slice and its first claim, an agent has lost nothing, and its successor prunes", async () => {
    const first = startAgent();
    // The first write of the inventory is before the slice; the claim is the second.
    let inventories = 0;
    first.cluster.onCall = (call) => {
      if (call.verb === "apply" && call.ref.includes("bad")) throw new CodedError("KUBE_DENIED", "policy says no");
      if (isWrite(call) && inventories++ > 0) throw new CodedError("KUBE_SERVER", "not now");
    };
    const bundles = (...names: string[]): MadeBundle[] => [
      { name: "a", objects: names.map((name) => configMap(name)) },
      { name: "b", objects: [{ ...configMap("bad"), kind: "Secret" } as Manifest] },
    ];
    await first.take(bundles("x", "y"));
    const desired = first.reconciler.desired!;
    await settle(first.cluster);
    first.stop();
    inventories = Number.NEGATIVE_INFINITY;
    const second = startAgent({ cluster: first.cluster });
    second.reconciler.resume(desired);
    await second.synced("a");
    await second.take(bundles("x"));
    await vi.waitFor(() => expect(values(first.cluster)).toEqual({ x: "1" }));
    expect(second.events()).not.toContain("InventoryLost");
  });

  it("an object that is wanted again while a finalizer still holds it is made anew when it is gone, in mode report too", async () => {
    const api = createMemoryApi({ wallMs: () => 0, later: (work) => void setImmediate(work) });
    const [by, maps] = [{ manager: "someone" }, api.discover().find("", "ConfigMap")!];
    for (const name of ["web", "muster-system"]) api.create(NAMESPACE, { apiVersion: "v1", kind: "Namespace", metadata: { name } }, by);
    const live = () => api.store.get(maps, "web", "x");
    const agent = composeAgent(createMemoryCluster(api), { maker });
    const held = { ...configMap("x"), metadata: { name: "x", namespace: "web", finalizers: ["example.com/hold"] } };
    const report = (...objects: Manifest[]): MadeBundle[] => [
      { name: "r", objects: [configMap("y"), ...objects], options: { drift: { mode: "report", ignore: [] } } },
    ];
    await agent.take(report(held));
    await vi.waitFor(() => expect(agent.bundle("r")).toMatchObject({ state: "Synced", objects: 2 }));
    await agent.take(report());
    await vi.waitFor(() => expect(live()?.metadata["deletionTimestamp"]).toBeDefined());
    const { uid } = live()!.metadata;
    await agent.take(report(held));
    await vi.waitFor(() => expect(agent.bundle("r")).toMatchObject({ objects: 2, health: "Terminating" }));
    api.mergePatch(maps, "web", "x", { metadata: { finalizers: null } }, by);
    await vi.waitFor(() => expect([undefined, uid]).not.toContain(live()?.metadata["uid"]), { timeout: 10_000 });
    await vi.waitFor(() => expect(agent.bundle("r")).toMatchObject({ state: "Synced", objects: 2 }));
    expect(live()).toMatchObject({ data: { value: "1" } });
    agent.stop();
  });
});
