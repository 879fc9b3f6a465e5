import { CodedError } from "@muster/shared/errors";
import type { Manifest } from "@muster/shared/model";
import { afterEach, describe, expect, it, vi } from "vitest";
import { ManualClock } from "../../../test/rig/manual-clock.ts";
import { configMap } from "../pull/testing/slice-maker.ts";
import { settle, startAgent, stopAgents } from "./testing/fake-agent.ts";

afterEach(stopAgents);

const annotated = (manifest: Manifest, annotations: Record<string, string>): Manifest => ({
  ...manifest,
  metadata: { ...manifest.metadata, annotations },
});

describe("what cannot be deleted", () => {
  it("E075: is an error once its finalizers take longer than ten minutes, told once, and none when it is gone", async () => {
    const clock = new ManualClock(Date.parse("2026-01-01T00:00:00Z"));
    const { cluster, take, bundle, events, reconciler, synced } = startAgent({ clock });
    const held: Manifest = { ...configMap("held"), metadata: { ...configMap("held").metadata, finalizers: ["a/b"] } };
    await take([{ name: "a", objects: [held, configMap("y")] }]);
    await synced("a");
    await take([{ name: "a", objects: [configMap("y")] }]);
    await settle(cluster);
    const minutes = async (count: number) => {
      for (let step = 0; step < count * 6; step += 1) {
        await clock.advance(10_000);
        await settle(cluster);
      }
    };
    await minutes(9);
    expect([bundle("a")?.state, events().includes("PruneStuck")]).toEqual(["Synced", false]);
    await minutes(3);
    expect(bundle("a")).toMatchObject({ state: "Failed", reason: "PRUNE_STUCK", failed: 1, message: expect.stringContaining("a/b") });
    expect(reconciler.exceptions()).toMatchObject([{ ref: { name: "held" }, code: "PRUNE_STUCK", health: "Terminating" }]);
    await minutes(3);
    expect(events().filter((type) => type === "PruneStuck")).toHaveLength(1);
    cluster.take("web_held__ConfigMap");
    await minutes(1);
    expect(bundle("a")).toMatchObject({ state: "Synced", failed: 0 });
  });

  it("E083: because of where it stands is looked at now and then, and forgotten when somebody has deleted it by hand", async () => {
    const clock = new ManualClock();
    const { cluster, take, reconciler, inventory, synced } = startAgent({ clock });
    await take([{ name: "a", objects: [configMap("x", "1", "kube-system"), configMap("y")] }]);
    await synced("a");
    await take([{ name: "a", objects: [configMap("y")] }]);
    await settle(cluster);
    expect(reconciler.exceptions()).toMatchObject([{ ref: { name: "x" }, code: "PRUNE_PROTECTED" }]);
    cluster.calls.length = 0;
    await clock.advance(3_600_000);
    await settle(cluster);
    expect(cluster.calls.filter((call) => call.ref.includes("kube-system")).map((call) => call.verb)).toEqual(["get"]);
    cluster.take("kube-system_x__ConfigMap");
    reconciler.trigger();
    await vi.waitFor(async () => expect([...(await inventory()).entries.keys()]).toEqual(["web_y__ConfigMap"]));
    expect(reconciler.exceptions()).toEqual([]);
  });

  it("E080: what is replaced goes first where the new object says so, for then the two cannot be there at once", async () => {
    const { cluster, take, synced, bundle } = startAgent();
    await take([{ name: "a", objects: [configMap("old"), configMap("y")] }]);
    await synced("a");
    await settle(cluster);
    cluster.onCall = ({ verb, ref }) => {
      if (verb === "apply" && ref.includes("new") && cluster.objects.has("web_old__ConfigMap"))
        throw new CodedError("KUBE_INVALID", "the port is allocated already");
    };
    await take([{ name: "a", objects: [configMap("new"), configMap("y")] }]);
    await vi.waitFor(() => expect(bundle("a")?.reason).toBe("KUBE_INVALID"));
    await settle(cluster);
    expect(cluster.objects.has("web_old__ConfigMap")).toBe(true);
    await take([{ name: "a", objects: [annotated(configMap("new"), { "muster.dev/replace": "deleteFirst" }), configMap("y")] }]);
    await synced("a");
    expect([...cluster.objects.keys()].filter((ref) => ref.startsWith("web_")).sort()).toEqual(["web_new__ConfigMap", "web_y__ConfigMap"]);
  });

  it("E103: costs at most two attempts a minute in the long run, and one event", async () => {
    const clock = new ManualClock();
    const { cluster, take, bundle, events } = startAgent({ clock });
    const held: Manifest = { ...configMap("held"), metadata: { ...configMap("held").metadata, finalizers: ["a/b"] } };
    await take([{ name: "a", objects: [configMap("denied"), held, configMap("y")] }]);
    await vi.waitFor(() => expect(bundle("a")?.state).toBe("Synced"));
    await settle(cluster);
    cluster.onCall = (call) => {
      if (call.verb === "delete" && call.ref.includes("denied")) throw new CodedError("KUBE_DENIED", "policy says no");
    };
    await take([{ name: "a", objects: [configMap("y")] }]);
    await settle(cluster);
    const minutes = async (count: number) => {
      cluster.calls.length = 0;
      for (let second = 0; second < count * 60; second += 1) {
        await clock.advance(1_000);
        await settle(cluster);
      }
      return (name: string, verb: string) => cluster.calls.filter((call) => call.verb === verb && call.ref.includes(name)).length;
    };
    await minutes(5);
    const calls = await minutes(10);
    expect(calls("denied", "delete")).toBeGreaterThan(0);
    expect(calls("denied", "delete")).toBeLessThanOrEqual(20);
    expect(calls("held", "delete")).toBe(0);
    expect(calls("held", "get")).toBeLessThanOrEqual(40);
    expect(events().filter((type) => type === "PruneBlocked")).toHaveLength(1);
  });
});
