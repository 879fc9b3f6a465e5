import { CodedError } from "@muster/shared/errors";
import { afterEach, describe, expect, it, vi } from "vitest";
import { ManualClock } from "../../../test/rig/manual-clock.ts";
import { configMap, type MadeBundle } from "../pull/testing/slice-maker.ts";
import { settle, startAgent, stopAgents } from "./testing/fake-agent.ts";

afterEach(stopAgents);

type Agent = ReturnType<typeof startAgent>;

/** How often the reconciler does its round in a minute in which nothing happens, long after what was due is due. */
async function passesInAMinute({ reconciler, cluster }: Agent, clock: ManualClock): Promise<number> {
  await settle(cluster);
  await clock.advance(600_000);
  await settle(cluster);
  let passes = 0;
  // Told at the end of every pass.
  reconciler.onChange(() => {
    passes += 1;
  });
  for (let tick = 0; tick < 600; tick += 1) await clock.advance(100);
  return passes;
}

/** One bundle of which an object cannot be applied. */
async function failing(agent: Agent): Promise<MadeBundle[]> {
  const bundles = [{ name: "a", objects: [configMap("bad"), configMap("x")] }];
  agent.cluster.onCall = ({ verb, ref }) => {
    if (verb === "apply" && ref.includes("_bad_")) throw new CodedError("KUBE_DENIED", "policy says no");
  };
  await agent.take(bundles);
  await vi.waitFor(() => expect(agent.bundle("a")).toMatchObject({ state: "Failed", failed: 1 }));
  return bundles;
}

/** One bundle with an object that left Git and cannot be deleted. */
async function pruning(agent: Agent): Promise<MadeBundle[]> {
  const bundles = [{ name: "a", objects: [configMap("x")] }];
  await agent.take([{ name: "a", objects: [configMap("x"), configMap("left")] }]);
  await agent.synced("a");
  agent.cluster.onCall = ({ verb }) => {
    if (verb === "delete") throw new CodedError("KUBE_DENIED", "policy says no");
  };
  await agent.take(bundles);
  await vi.waitFor(() => expect(agent.bundle("a")).toMatchObject({ failed: 1 }));
  return bundles;
}

/** A bundle that waits for an object of another, which cannot be read. */
async function waiting(agent: Agent): Promise<MadeBundle[]> {
  const ready = [{ bundle: "db", group: "", kind: "ConfigMap", expression: "object.data.value == '1'" }];
  const bundles = [
    { name: "db", objects: [configMap("db")] },
    { name: "a", objects: [configMap("x")], options: { dependsOn: ["db"], ready } },
  ];
  const { cluster } = agent;
  cluster.onCall = ({ verb, ref }) => {
    if (verb === "get" && ref.includes("_db_") && cluster.objects.has(ref)) throw new CodedError("KUBE_UNREACHABLE", "no answer");
  };
  await agent.take(bundles);
  await vi.waitFor(() => expect(agent.bundle("a")).toMatchObject({ message: expect.stringContaining("[KUBE_UNREACHABLE]") }));
  return bundles;
}

describe("a pause that comes while something is due", () => {
  it.each([
    ["of the cluster, an object that could not be applied", failing, true],
    ["of the cluster, a deletion that was refused", pruning, true],
    ["of the cluster, an object that could not be read", waiting, true],
    ["of the bundle, an object that could not be applied", failing, false],
    ["of the bundle, a deletion that was refused", pruning, false],
    ["of the bundle, an object that could not be read", waiting, false],
  ])("%s: is no reason to wake up until the pause is over", async (_, arrange, isOfCluster) => {
    const clock = new ManualClock();
    const agent = startAgent({ clock });
    const bundles = await arrange(agent);
    const paused = bundles.map((one) => ({ ...one, options: { ...one.options, paused: true as const } }));
    if (isOfCluster) await agent.take(bundles, { paused: true });
    else await agent.take(paused);
    expect(await passesInAMinute(agent, clock)).toBe(0);
    agent.cluster.onCall = undefined;
    await agent.take(bundles);
    await agent.synced("a");
  });
});
