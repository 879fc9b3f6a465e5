import type { Manifest } from "@muster/shared/model";
import { afterEach, describe, expect, it, vi } from "vitest";
import { ManualClock } from "../../../test/rig/manual-clock.ts";
import { createFakeCluster } from "../apply/testing/fake-cluster.ts";
import { configMap } from "../pull/testing/slice-maker.ts";
import { startAgent, stopAgents, values } from "./testing/fake-agent.ts";

afterEach(stopAgents);

/** So many that one list is cheaper than a look at each. */
const MANY = 8;
const named = (bundle: string) => Array.from({ length: MANY }, (_, index) => configMap(`${bundle}${index}`));
const bundles = [
  { name: "a", objects: named("a") },
  { name: "b", objects: named("b"), options: { adoption: "never" as const } },
];

/** An agent that takes two bundles; after the first, time passes, and somebody makes an object that the second is to have. */
async function somebodyWrites(afterMs: number) {
  const clock = new ManualClock();
  const cluster = createFakeCluster();
  const agent = startAgent({ cluster, clock });
  let isDone = false;
  cluster.onCall = async ({ verb, ref }) => {
    if (verb !== "apply" || !ref.includes(`_a${MANY - 1}_`) || isDone) return;
    isDone = true;
    cluster.put(configMap("b0", "theirs"));
    await clock.advance(afterMs);
  };
  await agent.take(bundles);
  await agent.synced("a");
  return { agent, cluster };
}

describe("what a list has shown where objects of a later bundle are to be", () => {
  it("E092: counts for five seconds: what somebody has made in its place later is seen, and not taken over", async () => {
    const { agent, cluster } = await somebodyWrites(5_000);
    await vi.waitFor(() => expect(agent.bundle("b")).toMatchObject({ state: "Failed", reason: "ADOPT_REFUSED", failed: 1 }));
    expect(values(cluster)).toMatchObject({ b0: "theirs", b1: "1" });
  });

  it("counts until then: a namespace that many bundles share is listed once", async () => {
    const agent = startAgent();
    const { cluster } = agent;
    let lists = 0;
    // The observer's own list is of what has our label, in all namespaces.
    const { list } = cluster;
    cluster.list = (type, options, signal) => {
      if (type.kind === "ConfigMap" && options.namespace === "web" && !options.labelSelector) lists += 1;
      return list(type, options, signal);
    };
    await agent.take(bundles);
    await agent.synced("b");
    expect(lists).toBe(1);
  });

  it("E266: is forgotten when that list has to begin anew: what was deleted meanwhile is not taken for somebody's", async () => {
    const cluster = createFakeCluster();
    const theirs = cluster.put(configMap("b0", "theirs"));
    const { list } = cluster;
    let restarts = 0;
    cluster.list = async (type, options, signal) => {
      if (type.kind === "ConfigMap" && !options.labelSelector && restarts === 0) {
        restarts += 1;
        options.onPage?.([theirs as Manifest]);
        cluster.take("web_b0__ConfigMap");
        options.onRestart?.();
      }
      return list(type, options, signal);
    };
    const { take, synced } = startAgent({ cluster });
    await take(bundles);
    await synced("b");
    expect(restarts).toBe(1);
    expect(values(cluster)["b0"]).toBe("1");
  });
});
