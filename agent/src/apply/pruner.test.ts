import { CodedError } from "@muster/shared/errors";
import { formatObjectRef, type Manifest, objectRefOf } from "@muster/shared/model";
import { systemClock } from "@muster/shared/runtime";
import { silentLogger } from "@muster/shared/telemetry";
import { describe, expect, it } from "vitest";
import { createDiscovery } from "../kube/discovery.ts";
import { createDiscoveryCache } from "../kube/discovery-cache.ts";
import { createObserver } from "../observe/create-observer.ts";
import { configMap } from "../pull/testing/slice-maker.ts";
import { createPruner } from "./pruner.ts";
import { createFakeCluster } from "./testing/fake-cluster.ts";

const { signal } = new AbortController();
function setUp(failedGroups: string[] = []) {
  const cluster = createFakeCluster();
  const full = cluster.discover;
  cluster.discover = async () => createDiscovery((await full()).all, new Set(failedGroups));
  const observer = createObserver({ cluster, clock: systemClock, random: () => 0, logger: silentLogger() });
  const prune = createPruner({ cluster, discovery: createDiscoveryCache(cluster, systemClock), observer });
  const ours = (manifest: Manifest) =>
    cluster.put({ ...manifest, metadata: { ...manifest.metadata, labels: { "muster.dev/bundle": "a" } } });
  const deletes = () => cluster.calls.filter((call) => call.verb === "delete").length;
  return {
    cluster,
    prune,
    ours,
    deletes,
    entry: (manifest: Manifest, uid?: string) => ({ ref: formatObjectRef(objectRefOf(manifest)), bundle: "a", ...(uid && { uid }) }),
  };
}
const uidOf = (manifest: Manifest) => String(manifest.metadata["uid"]);

describe("pruning one object", () => {
  it("deletes what is ours, and says gone only then", async () => {
    const { prune, ours, entry, cluster } = setUp();
    const live = ours(configMap("x"));
    expect(await prune(entry(live, uidOf(live)), signal)).toBe("gone");
    expect(cluster.objects.size).toBe(0);
    expect(await prune(entry(live, uidOf(live)), signal)).toBe("gone");
  });

  it("E076: an object that somebody made anew under the same name is released", async () => {
    const { prune, ours, entry, deletes } = setUp();
    const live = ours(configMap("x"));
    expect(await prune(entry(live, "another"), signal)).toBe("released");
    expect(deletes()).toBe(0);
  });

  it("E077: an object without our mark is released, whether its UID is known or not", async () => {
    const { prune, cluster, entry, deletes } = setUp();
    const live = cluster.put(configMap("x"));
    for (const uid of [uidOf(live), undefined]) expect(await prune(entry(live, uid), signal)).toBe("released");
    expect(deletes()).toBe(0);
  });

  it("E075: a deletion is asked for once while finalizers are outstanding", async () => {
    const { prune, ours, entry, deletes } = setUp();
    const live = ours({ ...configMap("x"), metadata: { ...configMap("x").metadata, finalizers: ["a/b"] } });
    expect(await prune(entry(live, uidOf(live)), signal)).toBe("terminating");
    expect(await prune(entry(live, uidOf(live)), signal)).toBe("terminating");
    expect(deletes()).toBe(1);
  });

  it.each(["KUBE_DENIED", "KUBE_FORBIDDEN"] as const)("E073: a deletion that is refused (%s) is PRUNE_BLOCKED", async (code) => {
    const { prune, ours, entry, cluster } = setUp();
    const live = ours(configMap("x"));
    cluster.onCall = (call) => {
      if (call.verb === "delete") throw new CodedError(code, "policy says no");
    };
    await expect(prune(entry(live, uidOf(live)), signal)).rejects.toMatchObject({ code: "PRUNE_BLOCKED" });
  });

  it("E074: an object that cannot be read is not taken for gone", async () => {
    const { prune, ours, entry, cluster } = setUp();
    const live = ours(configMap("x"));
    cluster.onCall = () => {
      throw new CodedError("KUBE_SERVER", "500");
    };
    await expect(prune(entry(live, uidOf(live)), signal)).rejects.toMatchObject({ code: "KUBE_SERVER" });
  });

  it("E006, E087: a kind that is gone has no objects, but only a complete discovery says so", async () => {
    const widget = { apiVersion: "example.com/v1", kind: "Widget", metadata: { name: "w", namespace: "web" } };
    const whole = setUp();
    expect(await whole.prune(whole.entry(widget, "u"), signal)).toBe("gone");
    const partial = setUp(["example.com"]);
    await expect(partial.prune(partial.entry(widget, "u"), signal)).rejects.toMatchObject({ code: "PRUNE_BLOCKED" });
  });
});
