import { type Clock, systemClock } from "@muster/shared/runtime";
import { expect, vi } from "vitest";
import { createFakeCluster, type FakeCluster } from "../../apply/testing/fake-cluster.ts";
import { createSliceMaker } from "../../pull/testing/slice-maker.ts";
import { type ComposedAgent, composeAgent } from "./compose-agent.ts";

/** Signs the slices of all agents that {@link startAgent} starts. */
export const maker = createSliceMaker();

const running: ComposedAgent[] = [];

/** What an agent in the memory of a test is given. */
export interface FakeAgentOptions {
  /** Default: one of its own. */
  readonly cluster?: FakeCluster;
  readonly clock?: Clock;
  readonly relistIntervalMs?: number;
}

/** An agent over a cluster in memory; {@link stopAgents} ends it. */
export function startAgent({ cluster = createFakeCluster(), clock = systemClock, relistIntervalMs }: FakeAgentOptions = {}) {
  const agent = composeAgent(cluster, { maker, clock, ...(relistIntervalMs !== undefined && { relistIntervalMs }) });
  running.push(agent);
  const synced = (name: string) =>
    vi.waitFor(() => expect(agent.bundle(name)).toMatchObject({ state: "Synced" }), { timeout: 5_000, interval: 2 });
  const events = () => agent.told.map((event) => event.type);
  return { ...agent, cluster, synced, events };
}

/** Stops all agents of a test. */
export function stopAgents(): void {
  for (const agent of running.splice(0)) agent.stop();
}

/** What the ConfigMaps say. */
export const values = (cluster: FakeCluster) =>
  Object.fromEntries(
    [...cluster.objects.values()]
      .filter((live) => live.kind === "ConfigMap")
      .map((live) => [live.metadata.name, (live["data"] as { value: string }).value]),
  );

/** The writes since the last call of this. */
export const writes = (cluster: FakeCluster) =>
  cluster.calls
    .splice(0)
    .filter((call) => !["get", "list"].includes(call.verb))
    .map((call) => `${call.verb} ${call.ref.split("_")[1]}`);

/** Resolves when the agent has come to rest: everything here runs in this process, so 50 turns without a call mean that none will come. */
export async function settle(cluster: FakeCluster): Promise<void> {
  for (let [calls, turns] = [cluster.calls.length, 0]; turns < 50; turns += 1) {
    await new Promise(setImmediate);
    if (cluster.calls.length === calls) continue;
    calls = cluster.calls.length;
    turns = 0;
  }
}
