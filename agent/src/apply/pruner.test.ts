import { CodedError } from "@muster/shared/errors";
import { formatObjectRef, type Manifest, objectRefOf } from "@muster/shared/model";
import { systemClock } from "@muster/shared/runtime";
import { silentLogger } from "@muster/shared/telemetry";
import { describe, expect, it } from "vitest";
import { ManualClock } from "../../../test/rig/manual-clock.ts";
import type { ResourceType } from "../kube/cluster.ts";
import { createDiscovery } from "../kube/discovery.ts";
import { createDiscoveryCache } from "../kube/discovery-cache.ts";
import { createObserver } from "../observe/create-observer.ts";
import type { InventoryEntry } from "../plan/inventory.ts";
import { configMap } from "../pull/testing/slice-maker.ts";
import { createPruner } from "./pruner.ts";
import { createFakeCluster, FAKE_TYPES } from "./testing/fake-cluster.ts";

const { signal } = new AbortController();
function setUp(failedGroups: string[] = []) {
  const clock = new ManualClock();
  const cluster = createFakeCluster();
  const full = cluster.discover;
  cluster.discover = async () => createDiscovery({ types: (await full()).all, failedGroups: new Set(failedGroups) });
  const observer = createObserver({ cluster, clock: systemClock, random: () => 0, logger: silentLogger() });
  const pruner = createPruner({ cluster, discovery: createDiscoveryCache(cluster, clock), observer });
  const prune = async (entry: InventoryEntry, isWanted: () => boolean, signal: AbortSignal) => {
    const context = { isWanted, leaves: () => false, isKnown: (bundle: string) => bundle === "a", accountOf: () => undefined, keep: false };
    return (await pruner(entry, context, signal)).outcome;
  };
  const ours = (manifest: Manifest) =>
    cluster.put({ ...manifest, metadata: { ...manifest.metadata, labels: { "muster.dev/bundle": "a" } } });
  const deletes = () => cluster.calls.filter((call) => call.verb === "delete").length;
  return {
    clock,
    cluster,
    prune,
    ours,
    deletes,
    entry: (manifest: Manifest, uid?: string) => ({ ref: formatObjectRef(objectRefOf(manifest)), bundle: "a", ...(uid && { uid }) }),
  };
}
const notWanted = () => false;
const uidOf = (manifest: Manifest) => String(manifest.metadata["uid"]);

describe("pruning one object", () => {
  it("deletes what is ours, and says gone only then", async () => {
    const { prune, ours, entry, cluster } = setUp();
    const live = ours(configMap("x"));
    expect(await prune(entry(live, uidOf(live)), notWanted, signal)).toBe("gone");
    expect(cluster.objects.size).toBe(0);
    expect(await prune(entry(live, uidOf(live)), notWanted, signal)).toBe("gone");
  });

  it("E076: an object that somebody made anew under the same name is released", async () => {
    const { prune, ours, entry, deletes } = setUp();
    const live = ours(configMap("x"));
    expect(await prune(entry(live, "another"), notWanted, signal)).toBe("released");
    expect(deletes()).toBe(0);
  });

  it("E076: an object that somebody has copied to a name which we had claimed is released, though the copy has our label", async () => {
    const { prune, ours, entry, deletes } = setUp();
    const copy = ours(configMap("x"));
    expect(await prune(entry(copy), notWanted, signal)).toBe("released");
    expect(deletes()).toBe(0);
  });

  it("E098: an object that we made anew right before we were killed is ours, whatever UID the inventory has", async () => {
    const { prune, cluster, entry } = setUp();
    const manifest = { ...configMap("x"), metadata: { ...configMap("x").metadata, labels: { "muster.dev/bundle": "a" } } };
    const type = FAKE_TYPES[0]!;
    const live = await cluster.apply(type, manifest, { force: true });
    expect(await prune(entry(live, "of the one before"), notWanted, signal)).toBe("gone");
    expect(cluster.objects.size).toBe(0);
  });

  it("E077: an object without our mark is released, whether its UID is known or not", async () => {
    const { prune, cluster, entry, deletes } = setUp();
    const live = cluster.put(configMap("x"));
    for (const uid of [uidOf(live), undefined]) expect(await prune(entry(live, uid), notWanted, signal)).toBe("released");
    expect(deletes()).toBe(0);
  });

  it("E053: of a kind without namespaces, an object that is wanted under another namespace's name is released", async () => {
    const { prune, ours, entry, deletes } = setUp();
    const live = ours({ apiVersion: "v1", kind: "Namespace", metadata: { name: "x" } });
    const misplaced = { ...entry(live), ref: formatObjectRef({ ...objectRefOf(live), namespace: "web" }) };
    expect(await prune(misplaced, () => true, signal)).toBe("released");
    expect(deletes()).toBe(0);
    const inNamespace = ours(configMap("x"));
    expect(await prune(entry(inNamespace, uidOf(inNamespace)), () => true, signal)).toBe("gone");
  });

  it("E075: a deletion is asked for once while finalizers are outstanding", async () => {
    const { prune, ours, entry, deletes } = setUp();
    const live = ours({ ...configMap("x"), metadata: { ...configMap("x").metadata, finalizers: ["a/b"] } });
    expect(await prune(entry(live, uidOf(live)), notWanted, signal)).toBe("terminating");
    expect(await prune(entry(live, uidOf(live)), notWanted, signal)).toBe("terminating");
    expect(deletes()).toBe(1);
  });

  it.each(["KUBE_DENIED", "KUBE_FORBIDDEN"] as const)("E073: a deletion that is refused (%s) is PRUNE_BLOCKED", async (code) => {
    const { prune, ours, entry, cluster } = setUp();
    const live = ours(configMap("x"));
    cluster.onCall = (call) => {
      if (call.verb === "delete") throw new CodedError(code, "policy says no");
    };
    await expect(prune(entry(live, uidOf(live)), notWanted, signal)).rejects.toMatchObject({ code: "PRUNE_BLOCKED" });
  });

  it("E074: an object that cannot be read is not taken for gone", async () => {
    const { prune, ours, entry, cluster } = setUp();
    const live = ours(configMap("x"));
    cluster.onCall = () => {
      throw new CodedError("KUBE_SERVER", "500");
    };
    await expect(prune(entry(live, uidOf(live)), notWanted, signal)).rejects.toMatchObject({ code: "KUBE_SERVER" });
  });

  describe("of a kind that is not served", () => {
    const widgets: ResourceType = { ...FAKE_TYPES[0]!, group: "example.com", kind: "Widget", plural: "widgets" };
    const widget = { apiVersion: "example.com/v1", kind: "Widget", metadata: { name: "w", namespace: "web" } };
    const definition = (name: string, kind: string): Manifest => ({
      apiVersion: "apiextensions.k8s.io/v1",
      kind: "CustomResourceDefinition",
      metadata: { name },
      spec: { names: { kind } },
    });

    it("E087: has no objects if it is not defined any more", async () => {
      const { prune, entry, cluster } = setUp();
      for (const other of [definition("gadgets.example.com", "Gadget"), definition("widgets.sub.example.com", "Widget")])
        cluster.put(other);
      expect(await prune(entry(widget, "u"), notWanted, signal)).toBe("gone");
    });

    it("E087: is found out although it was served a moment ago", async () => {
      const { clock, prune, ours, entry, cluster } = setUp();
      cluster.types = [...FAKE_TYPES, widgets];
      const live = ours(widget);
      expect(await prune(entry(live, "another"), notWanted, signal)).toBe("released");
      cluster.types = FAKE_TYPES;
      // Discovery is not asked more than once a second; until then the entry stays.
      await expect(prune(entry(live, uidOf(live)), notWanted, signal)).rejects.toMatchObject({ code: "KUBE_SERVER" });
      await clock.advance(1_000);
      expect(await prune(entry(live, uidOf(live)), notWanted, signal)).toBe("gone");
    });

    it("E006: may have objects while its group does not answer", async () => {
      const { prune, entry } = setUp(["example.com"]);
      await expect(prune(entry(widget, "u"), notWanted, signal)).rejects.toMatchObject({ code: "KIND_UNAVAILABLE" });
    });

    it("I5: may have objects while its definition is there", async () => {
      const { prune, entry, cluster } = setUp();
      cluster.put(definition("widgets.example.com", "Widget"));
      await expect(prune(entry(widget, "u"), notWanted, signal)).rejects.toMatchObject({ code: "PRUNE_BLOCKED" });
    });

    it("has none by the word of discovery, for an agent that may not look at definitions", async () => {
      const { prune, entry, cluster } = setUp();
      cluster.onCall = (call) => {
        if (call.verb === "list") throw new CodedError("KUBE_FORBIDDEN", "cannot list");
      };
      expect(await prune(entry(widget, "u"), notWanted, signal)).toBe("gone");
      cluster.onCall = (call) => {
        if (call.verb === "list") throw new CodedError("KUBE_SERVER", "500");
      };
      await expect(prune(entry(widget, "u"), notWanted, signal)).rejects.toMatchObject({ code: "KUBE_SERVER" });
    });
  });
});
