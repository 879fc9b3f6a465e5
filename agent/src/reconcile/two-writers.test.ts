import { systemClock } from "@muster/shared/runtime";
import { afterEach, describe, expect, it } from "vitest";
import { eventually } from "../../../test/rig/eventually.ts";
import { createFakeCluster } from "../apply/testing/fake-cluster.ts";
import { loadKeptState } from "../pull/desired-state.ts";
import { createStateStore } from "../pull/state-store.ts";
import { configMap, createSliceMaker } from "../pull/testing/slice-maker.ts";
import { type ComposedAgent, composeAgent } from "./testing/compose-agent.ts";
import { settle } from "./testing/fake-agent.ts";

const running: ComposedAgent[] = [];
afterEach(() => {
  for (const agent of running.splice(0)) agent.stop();
});

const setUp = () => {
  const cluster = createFakeCluster();
  const maker = createSliceMaker();
  const start = () => {
    const agent = composeAgent(cluster, { maker, clock: systemClock });
    running.push(agent);
    return agent;
  };
  const maps = () => [...cluster.objects.values()].filter(({ kind }) => kind === "ConfigMap").map(({ metadata }) => metadata.name);
  /** What a new process would take for the newest. */
  const kept = async () => {
    const { desired, highWater } = await loadKeptState(createStateStore({ cluster, namespace: "muster-system" }), [maker.publicKey]);
    return desired ? desired.slice : highWater;
  };
  return { cluster, kept, start, maps };
};
const bundle = (...names: string[]) => [{ name: "a", objects: names.map((name) => configMap(name)) }];
const synced = (agent: ComposedAgent) => eventually(() => expect(agent.bundle("a")).toMatchObject({ state: "Synced" }));

describe("E186: two agents that both take themselves for the writer", () => {
  it("know all that either has made, so that what leaves Git is deleted whoever made it", async () => {
    const { start, maps } = setUp();
    const first = start();
    await first.take(bundle("x"));
    await synced(first);
    const second = start();
    second.reconciler.resume(first.reconciler.desired!);
    await synced(second);
    await second.take(bundle("x", "y"));
    await synced(second);
    second.stop();
    // The first has not heard of any of this.
    await first.take(bundle("x", "z"));
    await synced(first);
    await eventually(() => expect(maps().sort()).toEqual(["x", "z"]));
    await eventually(async () => expect([...(await first.inventory()).entries.keys()]).toHaveLength(2));
  });

  it("I2: never put an older slice in the place of a newer one", async () => {
    const { start } = setUp();
    const first = start();
    await first.take(bundle("x"), { generation: 1 });
    await synced(first);
    const second = start();
    second.reconciler.resume(first.reconciler.desired!);
    await second.take(bundle("x", "y"), { generation: 3 });
    await synced(second);
    await expect(first.take(bundle("x"), { generation: 2 })).rejects.toMatchObject({ code: "SLICE_STALE" });
    expect(first.reconciler.desired?.slice.generation).toBe(1);
    await first.take(bundle("x", "y", "z"), { generation: 4 });
    await synced(first);
  });

  it("I2, E099: after a restore of etcd write their slice again only where the other has not kept a newer one meanwhile", async () => {
    const { cluster, kept, start } = setUp();
    const first = start();
    await first.take(bundle("x"), { generation: 1 });
    await synced(first);
    await settle(cluster);
    const snapshot = [...cluster.objects].filter(([, { kind }]) => kind === "Secret");
    await first.take(bundle("x", "y"), { generation: 2 });
    await synced(first);
    await settle(cluster);
    for (const [ref] of [...cluster.objects]) if (ref.endsWith("_Secret")) cluster.objects.delete(ref);
    for (const [ref, secret] of snapshot) cluster.objects.set(ref, secret);
    const second = start();
    let isTaken = false;
    cluster.onCall = async ({ verb, ref }) => {
      // The first has seen the mark of then, and looks what else is there.
      if (verb !== "list" || ref !== "secrets" || isTaken) return;
      isTaken = true;
      await second.take(bundle("x", "y", "z"), { generation: 3 });
      // What it has kept is all that it leaves.
      second.stop();
    };
    first.reconciler.checkState();
    await eventually(() => expect(first.told.map(({ type }) => type)).toContain("StateRewound"));
    await settle(cluster);
    expect([isTaken, await kept()]).toMatchObject([true, { generation: 3 }]);
  });

  it("I2, E096: write again what somebody has deleted of the kept state only if theirs is the newest slice", async () => {
    const { cluster, kept, start } = setUp();
    const first = start();
    await first.take(bundle("x"), { generation: 1 });
    await synced(first);
    const second = start();
    second.reconciler.resume(first.reconciler.desired!);
    await second.take(bundle("x", "y"), { generation: 3 });
    await synced(second);
    await settle(cluster);
    cluster.take("muster-system_muster-state-slice__Secret");
    first.reconciler.checkState();
    await settle(cluster);
    expect(await kept()).toMatchObject({ generation: 3 });
    expect(first.told.map(({ type }) => type)).not.toContain("StateMended");
    // The one whose slice it is writes it again.
    second.reconciler.checkState();
    await eventually(() => expect(second.told.map(({ type }) => type)).toContain("StateMended"));
    await settle(cluster);
    expect(cluster.objects.has("muster-system_muster-state-slice__Secret")).toBe(true);
    expect(await kept()).toMatchObject({ generation: 3 });
  });
});
