import { CodedError } from "@muster/shared/errors";
import type { ObjectRefText } from "@muster/shared/model";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { FakeCall } from "../apply/testing/fake-cluster.ts";
import { loadKeptState } from "../pull/desired-state.ts";
import { createStateStore } from "../pull/state-store.ts";
import { configMap, type MadeBundle } from "../pull/testing/slice-maker.ts";
import { maker, settle, startAgent, stopAgents, values, writes } from "./testing/fake-agent.ts";

afterEach(stopAgents);

describe("what the agent keeps in its cluster", () => {
  it("E276, P3: a new process with hub and NATS gone applies the last good slice and corrects what drifted meanwhile", async () => {
    const first = startAgent();
    await first.take([{ name: "a", objects: [configMap("x"), configMap("y")] }]);
    await first.synced("a");
    const desired = first.reconciler.desired!;
    first.stop();
    await settle(first.cluster);
    first.cluster.put({ ...first.cluster.objects.get("web_x__ConfigMap")!, data: { value: "edited" } });
    first.cluster.take("web_y__ConfigMap");
    const second = startAgent({ cluster: first.cluster });
    second.reconciler.resume(desired);
    await second.synced("a");
    expect(values(first.cluster)).toEqual({ x: "1", y: "1" });
  });

  it("E078: an object that moves back into a bundle that cannot be rendered is that bundle's in the inventory too", async () => {
    const agent = startAgent();
    const [x, y] = [configMap("x"), configMap("y")];
    const bundleOf = async (name: string) => (await agent.inventory()).entries.get(`web_${name}__ConfigMap`)?.bundle;
    await agent.take([
      { name: "a", objects: [y], options: { prune: false } },
      { name: "b", objects: [x] },
    ]);
    await agent.synced("b");
    await agent.take([{ name: "a", objects: [y, x], options: { prune: false } }, { name: "b" }]);
    await vi.waitFor(async () => expect(await bundleOf("x")).toBe("a"));
    await agent.take([{ name: "a", objects: [y], options: { prune: false } }, { name: "b" }]);
    await vi.waitFor(async () => expect(await bundleOf("x")).toBe("b"));
    // Rendered again, without it: what leaves b goes as b says, and b does not say that it stays.
    await agent.take([
      { name: "a", objects: [y], options: { prune: false } },
      { name: "b", objects: [] },
    ]);
    await vi.waitFor(() => expect(Object.keys(values(agent.cluster))).toEqual(["y"]));
  });

  it("E096: after the inventory was damaged, what left Git meanwhile is found by its label and waits for an approval", async () => {
    const first = startAgent();
    await first.take([{ name: "a", objects: [configMap("x"), configMap("y")] }]);
    await first.synced("a");
    await settle(first.cluster);
    first.stop();
    const ref = "muster-system_muster-state-inventory__Secret";
    first.cluster.put({ ...first.cluster.objects.get(ref)!, data: {} });
    const second = startAgent({ cluster: first.cluster });
    await second.take([{ name: "a", objects: [configMap("y")] }]);
    await second.synced("a");
    await settle(first.cluster);
    expect(Object.keys(values(first.cluster)).sort()).toEqual(["x", "y"]);
    expect([...(await second.inventory()).entries.keys()].sort()).toEqual(["web_x__ConfigMap", "web_y__ConfigMap"]);
    expect(second.reconciler.report(undefined).heldDeletion).toMatchObject({ objects: 1, sample: [{ name: "x" }] });
  });

  it("E096: an inventory that is missing beside a kept slice is a loss that is told", async () => {
    const first = startAgent();
    await first.take([{ name: "a", objects: [configMap("x")] }]);
    await first.synced("a");
    await settle(first.cluster);
    first.stop();
    first.cluster.take("muster-system_muster-state-inventory__Secret");
    const second = startAgent({ cluster: first.cluster });
    second.reconciler.resume(first.reconciler.desired!);
    await second.synced("a");
    expect(second.told).toContainEqual(expect.objectContaining({ type: "InventoryLost", message: expect.stringContaining("missing") }));
  });

  it("E096: what is deleted of it in mid-run, in whole or in part, is written again as it was, once, and otherwise nothing is written", async () => {
    const agent = startAgent();
    const { cluster } = agent;
    await agent.take([{ name: "a", objects: [configMap("x"), configMap("y")] }]);
    await agent.take([{ name: "a" }, { name: "b", objects: [configMap("z")] }]);
    await agent.synced("b");
    await settle(cluster);
    const state = () => [...cluster.objects].filter(([ref]) => ref.includes("muster-state-")).map(([ref, { data }]) => [ref, data]);
    const were = new Map(state() as [ObjectRefText, unknown][]);
    expect([...were.keys()].map((ref) => ref.split("_")[1]?.replace(/blob-.*/, "blob"))).toEqual(
      expect.arrayContaining(["muster-state-inventory", "muster-state-slice", "muster-state-kept", "muster-state-high-water"]),
    );
    const check = async () => {
      cluster.calls.splice(0);
      agent.reconciler.checkState();
      await settle(cluster);
      return writes(cluster);
    };
    expect(await check()).toEqual([]);
    for (const gone of [...[...were.keys()].map((ref) => [ref]), [...were.keys()]]) {
      for (const ref of gone) cluster.take(ref);
      expect(await check()).toHaveLength(gone.length);
      expect(new Map(state() as [ObjectRefText, unknown][])).toEqual(were);
    }
    expect(await check()).toEqual([]);
    expect(agent.told.filter(({ type }) => type === "StateMended")).toHaveLength(were.size + 1);
  });

  it("E096: what cannot be written again at once is written when it can be, and holds up nothing meanwhile", async () => {
    const agent = startAgent();
    const { cluster } = agent;
    await agent.take([{ name: "a", objects: [configMap("x")] }]);
    await agent.synced("a");
    await settle(cluster);
    const ref = "muster-system_muster-state-slice__Secret";
    cluster.take(ref);
    cluster.onCall = ({ verb }) => {
      if (verb === "create") throw new CodedError("KUBE_FORBIDDEN", "no");
    };
    agent.reconciler.checkState();
    await settle(cluster);
    expect(cluster.objects.has(ref)).toBe(false);
    cluster.put({ ...cluster.objects.get("web_x__ConfigMap")!, data: { value: "edited" } });
    await vi.waitFor(() => expect(values(cluster)).toEqual({ x: "1" }));
    cluster.onCall = undefined;
    agent.reconciler.checkState();
    await vi.waitFor(() => expect(cluster.objects.has(ref)).toBe(true));
  });

  it("E096: with inventory and slice lost, what left Git meanwhile is found where the slice has objects, and waits for an approval", async () => {
    const first = startAgent();
    await first.take([{ name: "a", objects: [configMap("x"), configMap("y"), configMap("far", "1", "elsewhere")] }]);
    await first.synced("a");
    await settle(first.cluster);
    first.stop();
    for (const ref of [...first.cluster.objects.keys()]) if (ref.includes("muster-state-")) first.cluster.take(ref);
    const second = startAgent({ cluster: first.cluster });
    await second.take([{ name: "a", objects: [configMap("y")] }]);
    await second.synced("a");
    await settle(first.cluster);
    expect(Object.keys(values(first.cluster)).sort()).toEqual(["far", "x", "y"]);
    expect(second.told).toContainEqual(
      expect.objectContaining({ type: "InventoryLost", message: expect.stringContaining("neither inventory nor slice") }),
    );
    const held = second.reconciler.report(undefined).heldDeletion;
    expect(held).toMatchObject({ objects: 1, sample: [{ name: "x" }] });
    await second.take([{ name: "a", objects: [configMap("y")] }], { approvedDeletions: [held!.id] });
    await vi.waitFor(() => expect(Object.keys(values(first.cluster)).sort()).toEqual(["far", "y"]));
  });

  it("E096: an agent that is really new says nothing of a loss, and finds nothing of other bundles", async () => {
    const first = startAgent();
    await first.take([{ name: "other", objects: [configMap("x")] }]);
    await first.synced("other");
    await settle(first.cluster);
    first.stop();
    for (const ref of [...first.cluster.objects.keys()]) if (ref.includes("muster-state-")) first.cluster.take(ref);
    const second = startAgent({ cluster: first.cluster });
    await second.take([{ name: "a", objects: [configMap("y")] }]);
    await second.synced("a");
    await settle(first.cluster);
    expect(second.events()).not.toContain("InventoryLost");
    expect([...(await second.inventory()).entries.keys()]).toEqual(["web_y__ConfigMap"]);
  });

  it("a manifest set that is kept while old ones are dropped is not taken for one that nobody needs", async () => {
    const { cluster, take, synced, reconciler } = startAgent();
    await take([{ name: "a", objects: [configMap("x", "1")] }]);
    await synced("a");
    await settle(cluster);
    let third: Promise<void> | undefined;
    cluster.onCall = async (call) => {
      if (call.verb !== "list" || call.ref !== "secrets" || third) return;
      third = take([{ name: "a", objects: [configMap("x", "3")] }]);
      for (let turn = 0; turn < 50; turn += 1) await new Promise(setImmediate);
    };
    await take([{ name: "a", objects: [configMap("x", "2")] }]);
    await vi.waitFor(() => expect(values(cluster)).toEqual({ x: "3" }));
    await third;
    await settle(cluster);
    const kept = await loadKeptState(createStateStore({ cluster, namespace: "muster-system" }), [maker.publicKey]);
    expect(kept.problem).toBeUndefined();
    expect(kept.desired?.digest).toBe(reconciler.desired?.digest);
    expect([...cluster.objects.keys()].filter((ref) => ref.includes("blob-"))).toHaveLength(1);
  });

  it("an agent that cannot keep its own state says so instead of “progressing” for ever", async () => {
    const { cluster, take, bundle, synced } = startAgent();
    let denied = true;
    cluster.onCall = (call) => {
      if (denied && call.ref.includes("muster-state-inventory") && call.verb !== "get") throw new CodedError("KUBE_FORBIDDEN", "no");
    };
    await take([
      { name: "a", objects: [configMap("x")] },
      { name: "b", objects: [configMap("y")], options: { dependsOn: ["a"] } },
    ]);
    await vi.waitFor(() => expect(bundle("a")).toMatchObject({ state: "Pending", reason: "AGENT_STATE" }));
    expect(values(cluster)).toEqual({});
    denied = false;
    await synced("b");
  });

  it("in mode report a new process writes over no drift, also in a bundle of which one object never could be applied", async () => {
    const first = startAgent();
    const deny = (call: FakeCall) => {
      if (call.verb === "apply" && call.ref.includes("bad")) throw new CodedError("KUBE_DENIED", "policy says no");
    };
    first.cluster.onCall = deny;
    const bundles = (y: string): MadeBundle[] => [
      { name: "r", objects: [configMap("bad"), configMap("x"), configMap("y", y)], options: { drift: { mode: "report", ignore: [] } } },
    ];
    await first.take(bundles("1"));
    await vi.waitFor(() => expect(first.bundle("r")).toMatchObject({ state: "Failed", failed: 1 }));
    await settle(first.cluster);
    first.stop();
    for (const name of ["x", "y"])
      first.cluster.put({ ...first.cluster.objects.get(`web_${name}__ConfigMap`)!, data: { value: "edited" } });
    const second = startAgent({ cluster: first.cluster });
    await second.take(bundles("2"));
    await vi.waitFor(() => expect(second.bundle("r")).toMatchObject({ failed: 1, drifted: 1 }));
    expect(values(first.cluster)).toEqual({ x: "edited", y: "2" });
  });
});
