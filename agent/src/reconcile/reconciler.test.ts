import { CodedError } from "@muster/shared/errors";
import type { Manifest } from "@muster/shared/model";
import { afterEach, describe, expect, it, vi } from "vitest";
import { ManualClock } from "../../../test/rig/manual-clock.ts";
import { configMap } from "../pull/testing/slice-maker.ts";
import { settle, startAgent, stopAgents, values, writes } from "./testing/fake-agent.ts";

afterEach(stopAgents);

describe("reconciling", () => {
  it("I5: an object is in the inventory before its first apply, with its UID after it", async () => {
    const { cluster, take, synced, inventory } = startAgent();
    const known: boolean[] = [];
    cluster.onCall = async (call) => {
      if (call.verb === "apply") known.push((await inventory()).entries.has(call.ref));
    };
    await take([{ name: "a", objects: [configMap("x"), configMap("y")] }]);
    await synced("a");
    await settle(cluster);
    expect(known).toEqual([true, true]);
    expect([...(await inventory()).entries.values()].every((entry) => entry.uid !== undefined)).toBe(true);
  });

  it("I9: 1 changed object costs 1 apply, and a slice that changes nothing none", async () => {
    const { cluster, take, synced } = startAgent();
    const objects = Array.from({ length: 20 }, (_, index) => configMap(`m${index}`));
    await take([{ name: "a", objects }]);
    await synced("a");
    await settle(cluster);
    writes(cluster);
    await take([{ name: "a", objects: [...objects.slice(1), configMap("m0", "2")] }]);
    await synced("a");
    await settle(cluster);
    expect(writes(cluster).filter((write) => write.startsWith("apply"))).toEqual(["apply m0"]);
    await take([{ name: "a", objects: [...objects.slice(1), configMap("m0", "2")] }]);
    await settle(cluster);
    expect(writes(cluster).filter((write) => !write.includes("muster-state"))).toEqual([]);
  });

  it("E111: one object that fails stops no other, is shown, and is tried again", async () => {
    const { cluster, take, bundle, synced } = startAgent();
    let denied = true;
    cluster.onCall = (call) => {
      if (denied && call.verb === "apply" && call.ref.includes("bad")) throw new CodedError("KUBE_DENIED", "policy says no");
    };
    await take([
      { name: "a", objects: [configMap("bad"), configMap("x")] },
      { name: "b", objects: [configMap("y")] },
    ]);
    await synced("b");
    expect(bundle("a")).toMatchObject({ state: "Failed", reason: "KUBE_DENIED", failed: 1 });
    expect(Object.keys(values(cluster)).sort()).toEqual(["x", "y"]);
    denied = false;
    await synced("a");
  });

  it("E078, E079: a moved object changes its entry and its label, and nothing is deleted", async () => {
    const { cluster, take, synced, inventory } = startAgent();
    await take([{ name: "old", objects: [configMap("x"), configMap("y")] }]);
    await synced("old");
    const uid = cluster.objects.get("web_x__ConfigMap")?.metadata["uid"];
    writes(cluster);
    await take([{ name: "new", objects: [configMap("x"), configMap("y")] }]);
    await synced("new");
    await settle(cluster);
    expect(cluster.objects.get("web_x__ConfigMap")?.metadata).toMatchObject({ uid, labels: { "muster.dev/bundle": "new" } });
    expect((await inventory()).entries.get("web_x__ConfigMap")).toMatchObject({ bundle: "new", uid });
    expect(writes(cluster).filter((write) => write.startsWith("delete") && !write.includes("muster-state"))).toEqual([]);
  });

  it("E098: an entry leaves the inventory only after the deletion was confirmed", async () => {
    const { cluster, take, synced, inventory } = startAgent();
    const held: Manifest = { ...configMap("x"), metadata: { ...configMap("x").metadata, finalizers: ["a/b"] } };
    await take([{ name: "a", objects: [held, configMap("y")] }]);
    await synced("a");
    await take([{ name: "a", objects: [configMap("y")] }]);
    await vi.waitFor(() => expect(cluster.objects.get("web_x__ConfigMap")?.metadata["deletionTimestamp"]).toBeDefined());
    await settle(cluster);
    expect((await inventory()).entries.has("web_x__ConfigMap")).toBe(true);
    cluster.take("web_x__ConfigMap");
    await vi.waitFor(async () => expect((await inventory()).entries.has("web_x__ConfigMap")).toBe(false), { timeout: 5_000 });
  });

  it("E073: a deletion that is refused fails its bundle visibly and keeps the entry", async () => {
    const { cluster, take, bundle, synced, inventory, reconciler } = startAgent();
    await take([{ name: "a", objects: [configMap("x"), configMap("y")] }]);
    await synced("a");
    let denied = true;
    cluster.onCall = (call) => {
      if (denied && call.verb === "delete" && !call.ref.includes("muster-state")) throw new CodedError("KUBE_DENIED", "policy says no");
    };
    await take([{ name: "a", objects: [configMap("y")] }]);
    await vi.waitFor(() => expect(bundle("a")).toMatchObject({ state: "Failed", reason: "PRUNE_BLOCKED" }));
    expect(reconciler.exceptions()).toMatchObject([{ code: "PRUNE_BLOCKED", ref: { name: "x" } }]);
    expect((await inventory()).entries.has("web_x__ConfigMap")).toBe(true);
    denied = false;
    await vi.waitFor(() => expect(values(cluster)).toEqual({ y: "1" }), { timeout: 5_000 });
    await synced("a");
  });

  it("I3: a newer slice that wants the objects again ends a prune that is under way", async () => {
    const { cluster, take, synced } = startAgent();
    const objects = Array.from({ length: 20 }, (_, index) => configMap(`m${index}`));
    await take([{ name: "a", objects }]);
    await synced("a");
    let deleted = 0;
    const reached = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    cluster.onCall = async (call) => {
      if (call.verb !== "delete" || call.ref.includes("muster-state")) return;
      deleted += 1;
      reached.resolve();
      await goOn.promise;
    };
    await take([{ name: "a", objects: objects.slice(0, 12) }]);
    await reached.promise;
    await take([{ name: "a", objects }]);
    goOn.resolve();
    await synced("a");
    await settle(cluster);
    expect(deleted).toBe(1);
    expect(Object.keys(values(cluster))).toHaveLength(20);
  });

  it("drift is told and put back; in report mode it is only told", async () => {
    const { cluster, take, synced, bundle, events, told } = startAgent();
    await take([
      { name: "a", objects: [configMap("x")] },
      { name: "r", objects: [configMap("y")], options: { drift: { mode: "report", ignore: [] } } },
    ]);
    await synced("a");
    await synced("r");
    await settle(cluster);
    for (const name of ["x", "y"]) cluster.put({ ...cluster.objects.get(`web_${name}__ConfigMap`)!, data: { value: "edited" } });
    await vi.waitFor(() => expect(values(cluster)).toEqual({ x: "1", y: "edited" }));
    expect(bundle("r")).toMatchObject({ state: "OutOfSync", drifted: 1 });
    expect(events().filter((type) => type === "DriftDetected")).toHaveLength(2);
    expect(events().filter((type) => type === "DriftCorrected")).toHaveLength(1);
    expect(told.find((event) => event.type === "DriftCorrected")).toMatchObject({ bundle: "a", object: { name: "x" } });
    cluster.take("web_x__ConfigMap");
    await vi.waitFor(() => expect(values(cluster)["x"]).toBe("1"));
  });

  it("E039: a fight with another controller is slowed down", async () => {
    const { cluster, take, synced } = startAgent();
    await take([{ name: "a", objects: [configMap("x")] }]);
    await synced("a");
    await settle(cluster);
    writes(cluster);
    // The other one never gives up; we come to rest all the same.
    for (let round = 0; round < 40; round += 1) {
      const live = cluster.objects.get("web_x__ConfigMap")!;
      if ((live["data"] as { value: string }).value === "1") cluster.put({ ...live, data: { value: "theirs" } });
      await settle(cluster);
    }
    expect(values(cluster)).toEqual({ x: "theirs" });
    expect(writes(cluster).length).toBeLessThanOrEqual(6);
  });

  it("E009, E011: a bundle waits until what it depends on is healthy; one without objects is", async () => {
    const { cluster, take, bundle, synced } = startAgent();
    let denied = true;
    cluster.onCall = (call) => {
      if (denied && call.verb === "apply" && call.ref.includes("base")) throw new CodedError("KUBE_DENIED", "policy says no");
    };
    const options = { dependsOn: ["base", "empty"] };
    await take([
      { name: "base", objects: [configMap("base")] },
      { name: "empty", objects: [] },
      { name: "top", objects: [configMap("top")], options },
    ]);
    await vi.waitFor(() =>
      expect(bundle("top")).toMatchObject({ state: "Pending", reason: "DEPENDENCY_NOT_READY", message: expect.stringContaining("base") }),
    );
    expect(values(cluster)).toEqual({});
    denied = false;
    await synced("top");
  });

  it("E100: a paused cluster is left as it is, and a failing object in it keeps nobody awake", async () => {
    const clock = new ManualClock();
    const { cluster, take, bundle, reconciler } = startAgent({ clock });
    let tries = 0;
    cluster.onCall = (call) => {
      if (call.verb !== "apply" || !call.ref.includes("bad")) return;
      tries += 1;
      throw new CodedError("KUBE_DENIED", "policy says no");
    };
    await take([{ name: "a", objects: [configMap("bad"), configMap("x")] }]);
    await vi.waitFor(() => expect(bundle("a")?.state).toBe("Failed"));
    await settle(cluster);
    await clock.advance(60_000);
    await settle(cluster);
    expect(tries).toBe(2);
    await take([{ name: "a", objects: [configMap("bad")] }], { paused: true });
    await settle(cluster);
    expect(bundle("a")?.state).toBe("Paused");
    expect(values(cluster)).toEqual({ x: "1" });
    let passes = 0;
    reconciler.onChange(() => void passes++);
    for (let second = 0; second < 120; second += 1) await clock.advance(1_000);
    await settle(cluster);
    expect([passes, tries]).toEqual([0, 2]);
  });

  it("a kept bundle keeps its objects corrected, and an object that moved out of it is not fought over", async () => {
    const { cluster, take, synced } = startAgent();
    await take([
      { name: "a", objects: [configMap("x")] },
      { name: "k", objects: [configMap("y"), configMap("z")] },
    ]);
    await synced("k");
    await take([{ name: "a", objects: [configMap("x"), configMap("z", "moved")] }, { name: "k" }]);
    await synced("a");
    await settle(cluster);
    cluster.put({ ...cluster.objects.get("web_y__ConfigMap")!, data: { value: "edited" } });
    await vi.waitFor(() => expect(values(cluster)).toEqual({ x: "1", y: "1", z: "moved" }));
    writes(cluster);
    await settle(cluster);
    expect(writes(cluster)).toEqual([]);
  });

  it("an API server that does not answer makes health unknown after a while, and known again when it does", async () => {
    const clock = new ManualClock();
    const { cluster, take, bundle, reconciler } = startAgent({ clock });
    await take([{ name: "a", objects: [configMap("x")] }]);
    await vi.waitFor(() => expect(bundle("a")).toMatchObject({ state: "Synced", health: "Current" }));
    await settle(cluster);
    cluster.onCall = () => {
      throw new CodedError("KUBE_UNREACHABLE", "connection refused");
    };
    cluster.cutWatches();
    for (let second = 0; second < 3; second += 1) await clock.advance(1_000);
    expect(bundle("a")).toMatchObject({ health: "Current" });
    for (let second = 0; second < 20; second += 1) await clock.advance(1_000);
    expect(bundle("a")).toMatchObject({ health: "Unknown" });
    expect(reconciler.exceptions()).toMatchObject([{ ref: { name: "x" }, health: "Unknown", message: "connection refused" }]);
    cluster.onCall = undefined;
    for (let second = 0; second < 40; second += 1) await clock.advance(1_000);
    expect(bundle("a")).toMatchObject({ state: "Synced", health: "Current" });
    expect(reconciler.exceptions()).toEqual([]);
  });

  it("E099: what a restore of etcd brings back is seen, though its versions are older than the known ones", async () => {
    const { cluster, take, synced } = startAgent({ relistIntervalMs: 100 });
    await take([{ name: "a", objects: [configMap("x")] }]);
    await synced("a");
    await settle(cluster);
    const live = cluster.objects.get("web_x__ConfigMap")!;
    cluster.objects.set("web_x__ConfigMap", { ...live, metadata: { ...live.metadata, resourceVersion: "900" }, data: { value: "old" } });
    await vi.waitFor(() => expect(values(cluster)).toEqual({ x: "1" }));
  });

  it("tells an operator about one object, also one that could not be applied", async () => {
    const { cluster, take, synced, reconciler } = startAgent();
    cluster.onCall = (call) => {
      if (call.verb === "apply" && call.ref.includes("bad")) throw new CodedError("KUBE_DENIED", "policy says no");
    };
    await take([
      { name: "a", objects: [configMap("x")] },
      { name: "b", objects: [configMap("bad")] },
    ]);
    await synced("a");
    await vi.waitFor(() => expect(reconciler.inspect({ bundle: "b" })).toMatchObject([{ code: "KUBE_DENIED", lastAction: "failed" }]));
    const ref = { group: "", kind: "ConfigMap", namespace: "web", name: "x" };
    expect(reconciler.inspect({ ref })).toMatchObject([
      { ref, bundle: "a", health: "Current", lastAction: "created", uid: expect.stringMatching(/^uid-/) },
    ]);
    expect(reconciler.inspect({})).toHaveLength(2);
  });
});
