import type { JsonObject, Manifest } from "@muster/shared/model";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../../../test/rig/eventually.ts";
import type { ComposedAgent } from "../reconcile/testing/compose-agent.ts";
import { DEFINITIONS, definition, type EdgeCluster, kindOf, startEdgeCluster, synced } from "./testing/edge-cluster.ts";

/** What the API server serves is not known, not known yet, or not to be had: section 1 of the edge cases. */

const API_SERVICES = "/apis/apiregistration.k8s.io/v1/apiservices";

let edge: EdgeCluster;
beforeAll(async () => {
  edge = await startEdgeCluster("discovery");
});
afterEach(() => edge.endTest());
afterAll(() => edge?.stop());

const custom = (group: string, plural: string, name: string, namespace: string, spec: JsonObject = { size: 1 }): Manifest => ({
  apiVersion: `${group}/v1`,
  kind: kindOf(plural),
  metadata: { name, namespace },
  spec,
});

/** Milliseconds until definitions that are made at once are served, without any agent. */
async function timeDefinitions(group: string, plurals: readonly string[]): Promise<number> {
  const { admin } = edge.api;
  const began = performance.now();
  await Promise.all(plurals.map((plural) => admin.request("POST", DEFINITIONS, definition(group, plural))));
  await eventually(() => Promise.all(plurals.map((plural) => admin.request("GET", `/apis/${group}/v1/${plural}`))));
  return performance.now() - began;
}

/** Every state and reason that a bundle is ever reported with. */
function statesOf(agent: ComposedAgent, bundle: string): Set<string> {
  const states = new Set<string>();
  agent.reconciler.onChange(() => {
    const report = agent.bundle(bundle);
    if (report) states.add(report.state === "Failed" ? `Failed ${report.reason}: ${report.message}` : report.state);
  });
  return states;
}

/** An API whose server is not there: a Service that nobody has made. */
const deadApiService = (group: string): Manifest => ({
  apiVersion: "apiregistration.k8s.io/v1",
  kind: "APIService",
  metadata: { name: `v1.${group}` },
  spec: {
    group,
    version: "v1",
    groupPriorityMinimum: 1_000,
    versionPriority: 10,
    insecureSkipTLSVerify: true,
    service: { namespace: "default", name: "nowhere" },
  },
});

describe("kinds that come with the slice", () => {
  it("E001: 20 definitions and objects of them, shuffled in one bundle, are in sync in seconds and never said to have failed", async () => {
    const { start, namespace } = await edge.newTenant();
    const agent = start();
    const plurals = Array.from({ length: 20 }, (_, index) => `parts${String.fromCharCode(97 + index)}s`);
    const objects = plurals.flatMap((plural) => [
      custom("e001.example.com", plural, "x", namespace),
      definition("e001.example.com", plural),
    ]);
    // Every other one backwards: neither all definitions first nor last.
    const shuffled = objects.map((_, index) => objects[(index * 17) % objects.length] as Manifest);
    const states = statesOf(agent, "a");
    const bareMs = await timeDefinitions("bare.example.com", plurals);
    const began = performance.now();
    await agent.take([{ name: "a", objects: shuffled }]);
    await synced(agent, "a");
    // Where other tests take the processors, what the API server itself needs for definitions says what seconds are.
    expect(performance.now() - began).toBeLessThan(Math.max(5_000, 4 * bareMs));
    expect([...states].filter((state) => state.startsWith("Failed"))).toEqual([]);
    for (const plural of plurals)
      expect(await edge.api.admin.get(`/apis/e001.example.com/v1/namespaces/${namespace}/${plural}/x`)).toBeDefined();
  });

  it("E007: an object whose kind another controller makes later waits for it, without ever having failed", async () => {
    const { start, namespace, map, live } = await edge.newTenant();
    const agent = start();
    const states = statesOf(agent, "a");
    await agent.take([{ name: "a", objects: [custom("e007.example.com", "constraints", "x", namespace), map("m")] }]);
    await eventually(() => expect(agent.bundle("a")).toMatchObject({ state: "Pending", reason: "KIND_UNKNOWN" }));
    expect(await live()).toEqual({ m: "1" });
    await edge.api.admin.request("POST", DEFINITIONS, definition("e007.example.com", "constraints"));
    await synced(agent, "a");
    expect([...states].filter((state) => state.startsWith("Failed"))).toEqual([]);
  });

  it("E002: a kind that appears, is served in another version, and vanishes is followed without a restart", async () => {
    const { start, namespace } = await edge.newTenant();
    const group = "e002.example.com";
    const path = (version: string) => `/apis/${group}/${version}/namespaces/${namespace}/gears/x`;
    const gear = (version: string) => ({ ...custom(group, "gears", "x", namespace), apiVersion: `${group}/${version}` });
    const agent = start({ relistIntervalMs: 5_000 });
    await agent.take([{ name: "a", objects: [gear("v1")] }]);
    await eventually(() => expect(agent.bundle("a")).toMatchObject({ state: "Pending", reason: "KIND_UNKNOWN" }));
    await edge.api.admin.request("POST", DEFINITIONS, definition(group, "gears"));
    await synced(agent, "a");
    const schema = { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } };
    const versions = [
      { name: "v1", served: true, storage: true, schema },
      { name: "v2", served: true, storage: false, schema },
    ];
    await edge.api.admin.request("PATCH", `${DEFINITIONS}/gears.${group}`, { spec: { versions } }, "application/merge-patch+json");
    await agent.take([{ name: "a", objects: [gear("v2")] }]);
    await synced(agent, "a");
    expect(await edge.api.admin.get(path("v2"))).toBeDefined();
    await edge.api.admin.request("DELETE", `${DEFINITIONS}/gears.${group}`);
    await eventually(async () => expect(await edge.api.admin.get(`${DEFINITIONS}/gears.${group}`)).toBeUndefined(), { timeoutMs: 30_000 });
    await eventually(() => expect(agent.bundle("a")).not.toMatchObject({ state: "Synced", health: "Current" }), { timeoutMs: 20_000 });
    await edge.api.admin.request("POST", DEFINITIONS, definition(group, "gears", { versions }));
    await eventually(async () => expect(await edge.api.admin.get(path("v2"))).toBeDefined(), { timeoutMs: 40_000 });
    await eventually(() => expect(agent.bundle("a")).toMatchObject({ state: "Synced", health: "Current" }));
  });
});

describe("an API whose server is not there", () => {
  it("E005: holds back the objects of its group only, in the commit that brings it", async () => {
    const { start, namespace, map, live } = await edge.newTenant();
    const group = "e005.example.com";
    const agent = start();
    const states = statesOf(agent, "a");
    await agent.take([
      { name: "a", objects: [custom(group, "wheels", "x", namespace), deadApiService(group), map("m")] },
      { name: "b", objects: [map("n")] },
    ]);
    await synced(agent, "b");
    await eventually(async () => expect(await live()).toEqual({ m: "1", n: "1" }));
    await eventually(() => expect(agent.bundle("a")).toMatchObject({ state: "Pending", health: "Unknown" }));
    await eventually(() =>
      expect(agent.reconciler.exceptions()).toContainEqual(
        expect.objectContaining({ ref: expect.objectContaining({ kind: "Wheel" }), code: expect.stringMatching(/^KIND_/) }),
      ),
    );
    expect([...states].filter((state) => state.startsWith("Failed"))).toEqual([]);
    // Somebody mends it: the group is served after all.
    await agent.take([{ name: "a", objects: [custom(group, "wheels", "x", namespace), definition(group, "wheels"), map("m")] }]);
    await synced(agent, "a", 30_000);
  });

  it("E006: makes its own kinds unknown and deletes nothing of them, while others are changed and pruned", async () => {
    const { start, namespace, map, live, deleted } = await edge.newTenant();
    const group = "e006.example.com";
    const agent = start({ relistIntervalMs: 2_000 });
    const [lamp, other] = [custom(group, "lamps", "x", namespace), custom(group, "lamps", "y", namespace)];
    await edge.api.admin.request("POST", DEFINITIONS, definition(group, "lamps"));
    await agent.take([
      { name: "lit", objects: [lamp, other] },
      { name: "a", objects: [map("keep"), map("remove")] },
    ]);
    await synced(agent, "lit");
    await synced(agent, "a");
    // Without this label the API server does not put it right again: another server, which is not there, has the group now.
    await edge.api.admin.request(
      "PATCH",
      `${API_SERVICES}/v1.${group}`,
      {
        metadata: { labels: { "kube-aggregator.kubernetes.io/automanaged": null } },
        spec: { service: { namespace: "default", name: "nowhere" }, insecureSkipTLSVerify: true },
      },
      "application/merge-patch+json",
    );
    await eventually(() => expect(agent.bundle("lit")).toMatchObject({ health: "Unknown" }), { timeoutMs: 30_000 });
    await agent.take([
      { name: "lit", objects: [custom(group, "lamps", "x", namespace, { size: 2 })] },
      { name: "a", objects: [map("keep", "2"), map("add")] },
    ]);
    await synced(agent, "a");
    await eventually(async () => expect(await live()).toEqual({ keep: "2", add: "1" }));
    await eventually(() => expect(agent.bundle("a")).toMatchObject({ state: "Synced", health: "Current" }));
    await eventually(() => expect(agent.bundle("lit")).toMatchObject({ state: "Pending", reason: "KIND_UNAVAILABLE", health: "Unknown" }));
    expect((await agent.inventory()).entries.has(`${namespace}_y_${group}_Lamp`)).toBe(true);
    // Also for an agent that starts now, and has never heard of the kind.
    agent.stop();
    const second = start({ relistIntervalMs: 2_000 });
    second.reconciler.resume(agent.reconciler.desired!);
    await synced(second, "a");
    await eventually(() => expect(second.bundle("lit")).toMatchObject({ state: "Pending", health: "Unknown" }));
    expect(deleted()).toEqual([`${namespace}/configmaps/remove`]);

    await edge.api.admin.request("DELETE", `${API_SERVICES}/v1.${group}`);
    await synced(second, "lit", 60_000);
    expect(await edge.api.admin.get(`/apis/${group}/v1/namespaces/${namespace}/lamps/x`)).toMatchObject({ spec: { size: 2 } });
    await eventually(() => expect(deleted()).toEqual([`${namespace}/configmaps/remove`, `${namespace}/lamps/y`]), { timeoutMs: 60_000 });
  });
});
