import { CodedError } from "@muster/shared/errors";
import type { Manifest } from "@muster/shared/model";
import type { Clock } from "@muster/shared/runtime";
import { afterEach, describe, expect, it, vi } from "vitest";
import { ManualClock } from "../../../test/rig/manual-clock.ts";
import { createFakeCluster, type FakeCluster } from "../apply/testing/fake-cluster.ts";
import { configMap } from "../pull/testing/slice-maker.ts";
import { settle, startAgent, stopAgents, values } from "./testing/fake-agent.ts";

afterEach(stopAgents);

/** What no code of ours is prepared for: reading its status throws. */
function poison(manifest: Manifest): Manifest {
  return Object.defineProperty({ ...manifest }, "status", {
    enumerable: true,
    get: () => {
      throw new TypeError("boom");
    },
  });
}
const isPoisoned = (manifest: Manifest) => manifest.metadata.name === "poison";

describe("one object that the agent's own code fails on", () => {
  it("E121: when it is applied is set aside with a code, tried rarely, and stops no other", async () => {
    const clock = new ManualClock();
    const cluster = createFakeCluster();
    const { apply } = cluster;
    let tries = 0;
    cluster.apply = async (type, manifest, options) => {
      const live = await apply(type, manifest, options);
      if (!isPoisoned(manifest)) return live;
      tries += 1;
      return poison(live);
    };
    const { take, bundle, reconciler } = startAgent({ cluster, clock });
    await take([
      { name: "a", objects: [configMap("poison"), configMap("x")] },
      { name: "b", objects: [configMap("y")] },
    ]);
    await vi.waitFor(() => expect(bundle("b")).toMatchObject({ state: "Synced" }));
    expect(bundle("a")).toMatchObject({
      state: "Failed",
      reason: "OBJECT_QUARANTINED",
      failed: 1,
      message: expect.stringContaining("ConfigMap web/poison"),
    });
    expect(reconciler.inspect({ bundle: "a" })).toMatchObject([{ code: "OBJECT_QUARANTINED" }, { health: "Current" }]);
    await settle(cluster);
    for (let second = 0; second < 60; second += 1) await clock.advance(1_000);
    expect(tries).toBeLessThanOrEqual(4);
    // What the agent can still read of the others is right: drift is put back.
    cluster.put({ ...cluster.objects.get("web_x__ConfigMap")!, data: { value: "edited" } });
    await vi.waitFor(() => expect(values(cluster)["x"]).toBe("1"));
  });

  it("E121: when it is watched or listed becomes unknown, and all others of its kind are watched on", async () => {
    const cluster = createFakeCluster();
    let poisoned = false;
    const spoil = (manifest: Manifest) => (poisoned && isPoisoned(manifest) ? poison(manifest) : manifest);
    const { list, watch } = cluster;
    cluster.list = async (type, options) => {
      const { items, resourceVersion } = await list(type, options);
      return { items: items.map(spoil), resourceVersion };
    };
    cluster.watch = async function* (type, scope, signal) {
      for await (const event of watch(type, scope, signal))
        yield event.type === "bookmark" ? event : { ...event, object: spoil(event.object) };
    };
    const { take, synced, bundle, reconciler } = startAgent({ cluster, relistIntervalMs: 50 });
    await take([
      { name: "a", objects: [configMap("poison")] },
      { name: "b", objects: [configMap("x")] },
    ]);
    await synced("a");
    await synced("b");
    await settle(cluster);
    poisoned = true;
    cluster.put(cluster.objects.get("web_poison__ConfigMap")!);
    await vi.waitFor(() => expect(bundle("a")).toMatchObject({ health: "Unknown" }));
    expect(reconciler.exceptions()).toMatchObject([
      { ref: { name: "poison" }, health: "Unknown", message: expect.stringContaining("OBJECT_QUARANTINED") },
    ]);
    expect(bundle("b")).toMatchObject({ state: "Synced", health: "Current" });
    cluster.put({ ...cluster.objects.get("web_x__ConfigMap")!, data: { value: "edited" } });
    await vi.waitFor(() => expect(values(cluster)["x"]).toBe("1"));
    // Through the list as well, and known again as soon as it can be read.
    await vi.waitFor(() => expect(cluster.calls.filter((call) => call.verb === "list").length).toBeGreaterThan(3));
    expect(bundle("b")).toMatchObject({ state: "Synced", health: "Current" });
    poisoned = false;
    await vi.waitFor(() => expect(bundle("a")).toMatchObject({ state: "Synced", health: "Current" }));
  });
});

describe("failures", () => {
  const deny = (cluster: FakeCluster, why: () => CodedError | undefined) => {
    cluster.onCall = (call) => {
      const error = call.verb === "apply" ? why() : undefined;
      if (error) throw error;
    };
  };

  it("E118: of 13,000 objects are one sentence that counts them by kind, below 16 KiB however long each is", async () => {
    const long = "x".repeat(4_000);
    const { cluster, take, bundle, reconciler } = startAgent();
    let count = 0;
    deny(cluster, () => {
      count += 1;
      return new CodedError(count % 13 === 0 ? "KUBE_DENIED" : "KUBE_INVALID", `refused: ${long}`);
    });
    await take([{ name: "a", objects: Array.from({ length: 13_000 }, (_, index) => configMap(`m${index}`)) }]);
    await vi.waitFor(() => expect(bundle("a")).toMatchObject({ failed: 13_000 }), { timeout: 30_000, interval: 250 });
    const message = bundle("a")?.message ?? "";
    expect(message).toMatch(/^refused: x+ \(and 12999 more: 12000 KUBE_INVALID, 1000 KUBE_DENIED in all\)$/);
    expect(Buffer.byteLength(message)).toBeLessThan(16 * 1024);
    expect(reconciler.exceptions()).toHaveLength(13_000);
  }, 40_000);

  it("E117: of rights are tried again at least once a minute, however long they have lasted", async () => {
    const clock = new ManualClock();
    const { cluster, take, bundle } = startAgent({ clock });
    let allowed = false;
    deny(cluster, () => (allowed ? undefined : new CodedError("KUBE_FORBIDDEN", "cannot patch resource")));
    await take([{ name: "a", objects: [configMap("x")] }]);
    await vi.waitFor(() => expect(bundle("a")).toMatchObject({ state: "Failed", reason: "KUBE_FORBIDDEN" }));
    for (let minute = 0; minute < 120; minute += 1) {
      await clock.advance(60_000);
      await settle(cluster);
    }
    allowed = true;
    await clock.advance(60_000);
    await vi.waitFor(() => expect(bundle("a")).toMatchObject({ state: "Synced" }));
  });

  it("E279: are waited out by the monotonic clock: a jump of the wall clock neither hastens nor delays a retry", async () => {
    const manual = new ManualClock();
    let jumpMs = 0;
    const clock: Clock = {
      monotonicMs: manual.monotonicMs,
      wallMs: () => manual.wallMs() + jumpMs,
      sleep: (ms, signal) => manual.sleep(ms, signal),
    };
    const { cluster, take, bundle } = startAgent({ clock });
    let tries = 0;
    let denied = true;
    deny(cluster, () => {
      tries += 1;
      return denied ? new CodedError("KUBE_DENIED", "policy says no") : undefined;
    });
    await take([{ name: "a", objects: [configMap("x")] }]);
    await vi.waitFor(() => expect(bundle("a")).toMatchObject({ state: "Failed" }));
    await settle(cluster);
    const before = tries;
    for (const years of [1, -1, 50]) {
      jumpMs = years * 365 * 86_400_000;
      await manual.advance(1);
      await settle(cluster);
    }
    expect(tries).toBe(before);
    denied = false;
    await manual.advance(1_000);
    await vi.waitFor(() => expect(bundle("a")).toMatchObject({ state: "Synced" }));
  });

  it("E114: that come with Retry-After are tried again not before it, and not all at the same moment", async () => {
    const clock = new ManualClock();
    const { cluster, take, bundle } = startAgent({ clock });
    let throttled = true;
    let tries = 0;
    deny(cluster, () => {
      tries += 1;
      return throttled ? new CodedError("KUBE_THROTTLED", "slow down", { data: { status: 429, retryAfterMs: 30_000 } }) : undefined;
    });
    await take([{ name: "a", objects: [configMap("x")] }]);
    await vi.waitFor(() => expect(bundle("a")).toMatchObject({ reason: "KUBE_THROTTLED" }));
    await settle(cluster);
    throttled = false;
    for (let second = 0; second < 29; second += 1) await clock.advance(1_000);
    await settle(cluster);
    expect(tries).toBe(1);
    await clock.advance(1_100);
    await vi.waitFor(() => expect(bundle("a")).toMatchObject({ state: "Synced" }));
  });
});
