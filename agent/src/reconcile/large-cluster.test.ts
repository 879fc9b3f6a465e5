import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { BUNDLE_LABEL, type Manifest } from "@muster/shared/model";
import type { HubMessage__Output } from "@muster/shared/rpc";
import { systemClock } from "@muster/shared/runtime";
import { silentLogger } from "@muster/shared/telemetry";
import { afterEach, describe, expect, it, vi } from "vitest";
import { createFakeCluster, type FakeCluster } from "../apply/testing/fake-cluster.ts";
import { configMap } from "../pull/testing/slice-maker.ts";
import { createReporter } from "../report/reporter.ts";
import type { ComposedAgent } from "./testing/compose-agent.ts";
import { startAgent, stopAgents } from "./testing/fake-agent.ts";

let over = new AbortController();
afterEach(() => {
  over.abort();
  over = new AbortController();
  stopAgents();
});

/** Bytes that are in use, after all garbage was collected. */
function bytesInUse(): number {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** What native code has freed is noticed a little later. */
const settledBelow = (bytes: number, before: number, count: number) =>
  vi.waitFor(() => expect((bytesInUse() - before) / count).toBeLessThan(bytes), { timeout: 10_000, interval: 200 });

/** Objects of 8 KiB, each with a text of its own, that is as long in memory as it looks. */
const large = (index: number) => configMap(`x${index}`, Buffer.alloc(8_192, `${index} `).toString());

const inBundles = (manifests: readonly Manifest[], size: number) =>
  Array.from({ length: Math.ceil(manifests.length / size) }, (_, at) => ({
    name: `b${at}`,
    objects: manifests.slice(at * size, (at + 1) * size),
  }));

/** Everything is applied, and seen to be. */
const allSynced = (agent: Pick<ComposedAgent, "reconciler">) =>
  vi.waitFor(
    () => {
      const { bundles } = agent.reconciler.report(undefined);
      expect(bundles.filter((bundle) => bundle.state !== "Synced")).toEqual([]);
    },
    { timeout: 60_000, interval: 100 },
  );

/** Applies under way at once, at most. */
function watchConcurrency(cluster: FakeCluster): () => number {
  let [running, most] = [0, 0];
  const { apply } = cluster;
  cluster.apply = async (...call) => {
    running += 1;
    most = Math.max(most, running);
    return apply(...call).finally(() => {
      running -= 1;
    });
  };
  return () => most;
}

describe("a cluster of many objects", { timeout: 120_000 }, () => {
  it("E271: costs the agent less than 2 KiB for each, however large they are: it holds neither what Git wants nor what there is", async () => {
    // The first run is for code that is compiled, and caches that are filled.
    for (const most of [Number.POSITIVE_INFINITY, 2_048]) {
      const [cluster, count, size] = [createFakeCluster(), 1_500, 500];
      const configMaps = cluster.types.find((type) => type.kind === "ConfigMap");
      if (!configMaps) throw new Error("no ConfigMaps");
      // They are there already, as after a restart, so that only what the agent keeps is new.
      for (const [at, manifest] of Array.from({ length: count }, (_, index) => large(index)).entries()) {
        const labels = { [BUNDLE_LABEL]: `b${Math.floor(at / size)}` };
        await cluster.apply(configMaps, { ...manifest, metadata: { ...manifest.metadata, labels } }, { force: true });
      }
      cluster.calls.splice(0);
      const agent = startAgent({ cluster });
      const before = bytesInUse();
      await agent.take(
        inBundles(
          Array.from({ length: count }, (_, index) => large(index)),
          size,
        ),
      );
      await allSynced(agent);
      expect(cluster.calls.splice(0).filter((call) => call.verb === "apply")).toHaveLength(count);
      await settledBelow(most, before, count);
      expect(agent.reconciler.report(undefined).bundles).toHaveLength(count / size);
      stopAgents();
    }
  });

  it("E271: is looked at in a few lists, however many bundles share a namespace, and again in none when nothing has changed", async () => {
    const cluster = createFakeCluster();
    const agent = startAgent({ cluster });
    const manifests = Array.from({ length: 600 }, (_, index) => configMap(`x${index}`));
    await agent.take(inBundles(manifests, 20));
    await allSynced(agent);
    const lists = () => cluster.calls.splice(0).filter((call) => call.verb === "list" && call.ref === "configmaps").length;
    // Without an inventory, what is ours is looked for; the first of the 30 bundles looks ahead for all; and what is watched is listed once.
    expect(lists()).toBe(3);
    await agent.take(inBundles(manifests, 20));
    await allSynced(agent);
    expect(cluster.calls.filter((call) => call.verb === "apply" || call.verb === "list")).toEqual([]);
  });

  it("E278: of which 10,000 are edited at once gets each back with one apply, and the hub hears of it in a few messages", async () => {
    const cluster = createFakeCluster();
    const most = watchConcurrency(cluster);
    const agent = startAgent({ cluster });
    let sent = 0;
    const told = new Set<string>();
    /** As the hub knows it: what was told and not taken back. */
    const wrong = new Set<string>();
    let hear: (message: HubMessage__Output) => void = () => {};
    const reporter = createReporter({
      open: async () => ({
        write: ({ status }) => {
          sent += 1;
          for (const { ref } of status?.exceptions ?? []) for (const known of [told, wrong]) known.add(String(ref?.name));
          for (const { name } of status?.cleared ?? []) wrong.delete(String(name));
          return true;
        },
        onMessage: (listener) => {
          hear = listener;
          setTimeout(() => hear({ welcome: { hubVersion: "1", heartbeatIntervalMs: 60_000 } }), 1);
        },
        onEnd: () => {},
        onDrain: () => {},
        close: () => {},
      }),
      source: {
        facts: () => ({ agentVersion: "1", kubernetesVersion: "1", apiVersions: [], clusterScopedKinds: [] }),
        highWater: () => undefined,
        cluster: () => agent.reconciler.report(undefined),
        exceptions: () => agent.reconciler.exceptions(),
      },
      commands: { reconcile: () => {}, sliceHint: () => {}, rotate: () => {}, inspect: () => [] },
      instance: "i",
      clock: systemClock,
      random: () => 0,
      logger: silentLogger(),
    });
    agent.reconciler.onChange(() => reporter.notify());
    agent.reconciler.onEvent((event) => reporter.event(event));
    agent.reconciler.onDrift((exception) => reporter.seen(exception));
    void reporter.run(over.signal);

    const count = 10_000;
    const names = Array.from({ length: count }, (_, index) => `x${index}`);
    await agent.take(
      inBundles(
        names.map((name) => configMap(name)),
        1_000,
      ),
    );
    await allSynced(agent);
    cluster.calls.splice(0);
    // As with a server: whoever waits for an answer lets others go on, the reporter too.
    cluster.onCall = () => new Promise((resolve) => setImmediate(resolve));
    sent = 0;
    const before = bytesInUse();
    for (const live of [...cluster.objects.values()]) if (live.kind === "ConfigMap") cluster.put({ ...live, data: { value: "edited" } });
    await vi.waitFor(() => expect(editedOf(cluster)).toBe(0), { timeout: 60_000, interval: 100 });
    await allSynced(agent);
    expect(cluster.calls.filter((call) => call.verb === "apply")).toHaveLength(count);
    expect(most()).toBeLessThanOrEqual(4);
    await vi.waitFor(() => expect(wrong.size).toBe(0), { timeout: 10_000 });
    // What was mended before its turn came is told by its number only.
    expect(told.size).toBeGreaterThan(count / 2);
    expect(sent).toBeLessThan(count / 100);
    agent.told.splice(0);
    cluster.calls.splice(0);
    await settledBelow(1_024, before, count);
  });
});

const editedOf = (cluster: FakeCluster) =>
  [...cluster.objects.values()].filter((live) => (live["data"] as { value?: string } | undefined)?.value === "edited").length;
