import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { JsonObject, Manifest } from "@muster/shared/model";
import { systemClock } from "@muster/shared/runtime";
import { silentLogger } from "@muster/shared/telemetry";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../../../test/rig/eventually.ts";
import { createTempFolder } from "../../../test/rig/temp-folder.ts";
import type { Cluster } from "../kube/cluster.ts";
import { createCrashNotes } from "../observe/crash-notes.ts";
import { DEFINITIONS, definition, type EdgeCluster, startEdgeCluster, synced } from "./testing/edge-cluster.ts";

/** What refuses, fails or is not to be had for some objects stops no others: section 4 of the edge cases. */

const ADMISSION = "/apis/admissionregistration.k8s.io/v1";
const ALL_VERBS = ["get", "list", "watch", "create", "patch", "update", "delete"];

let edge: EdgeCluster;
beforeAll(async () => {
  edge = await startEdgeCluster("isolation");
});
afterEach(() => edge.endTest());
afterAll(() => edge?.stop());

const merge = (path: string, change: unknown) => edge.api.admin.request("PATCH", path, change, "application/merge-patch+json");

describe("a bundle that could not be rendered", () => {
  it("E110: stays as it last was, drift put back and nothing deleted, while the others of its cluster advance", async () => {
    const { start, map, live, deleted, path } = await edge.newTenant();
    const agent = start();
    await agent.take([
      { name: "broken", objects: [map("kept"), map("too")] },
      { name: "good", objects: [map("x")] },
    ]);
    await synced(agent, "broken");
    await synced(agent, "good");
    await agent.take([{ name: "broken" }, { name: "good", objects: [map("x", "2"), map("y")] }]);
    await synced(agent, "good");
    await edge.api.admin.request("DELETE", path("kept"));
    await eventually(async () => expect(await live()).toEqual({ kept: "1", too: "1", x: "2", y: "1" }));
    // Also by an agent that starts now, with only the slice that it had kept.
    agent.stop();
    const second = start();
    second.reconciler.resume(agent.reconciler.desired!);
    await merge(path("too"), { data: { value: "edited" } });
    await eventually(async () => expect(await live()).toEqual({ kept: "1", too: "1", x: "2", y: "1" }));
    expect(deleted()).toEqual([]);
  });
});

describe("an object that is refused", () => {
  it("E111: as invalid by the API server stops no other of its bundle, and all refusals are told together", async () => {
    const { start, map, live } = await edge.newTenant();
    const agent = start();
    const bad = (name: string): Manifest => ({ ...map(name), dta: { value: "1" } });
    const badName: Manifest = { ...map("x"), metadata: { ...map("x").metadata, name: "Not A Name" } };
    await agent.take([
      { name: "a", objects: [bad("one"), map("good"), bad("two"), badName] },
      { name: "b", objects: [map("other")] },
    ]);
    await synced(agent, "b");
    await eventually(async () => expect(await live()).toEqual({ good: "1", other: "1" }));
    await eventually(() =>
      expect(agent.bundle("a")).toMatchObject({
        state: "Failed",
        reason: "KUBE_INVALID",
        failed: 3,
        message: expect.stringContaining("and 2 more"),
      }),
    );
    expect(
      agent.reconciler.inspect({ bundle: "a" }).map((object) => `${object.ref.name} ${object.lastAction} ${object.code ?? ""}`),
    ).toEqual(
      expect.arrayContaining(["good created ", "one failed KUBE_INVALID", "two failed KUBE_INVALID", "Not A Name failed KUBE_INVALID"]),
    );
  });

  it("E112, E119: by a policy is tried again, others are applied, and nothing of the refusal is left when it is over", async () => {
    const { start, map, live, namespace, path } = await edge.newTenant();
    const agent = start();
    const rules = [{ apiGroups: [""], apiVersions: ["v1"], operations: ["CREATE"], resources: ["configmaps"] }];
    await edge.api.admin.request("POST", `${ADMISSION}/validatingadmissionpolicies`, {
      metadata: { name: namespace },
      spec: {
        matchConstraints: { resourceRules: rules },
        validations: [{ expression: "object.metadata.name != 'blue'", message: "no blue" }],
      },
    });
    await edge.api.admin.request("POST", `${ADMISSION}/validatingadmissionpolicybindings`, {
      metadata: { name: namespace },
      spec: { policyName: namespace, validationActions: ["Deny"] },
    });
    await eventually(async () => {
      const probe = { metadata: { name: "blue" } };
      await expect(edge.api.admin.request("POST", `/api/v1/namespaces/${namespace}/configmaps?dryRun=All`, probe)).rejects.toThrow(
        "no blue",
      );
    });
    await agent.take([{ name: "a", objects: [map("blue"), map("red")] }]);
    await eventually(() =>
      expect(agent.bundle("a")).toMatchObject({ state: "Failed", reason: "KUBE_DENIED", message: expect.stringContaining("no blue") }),
    );
    expect(await live()).toEqual({ red: "1" });
    await edge.api.admin.request("DELETE", `${ADMISSION}/validatingadmissionpolicybindings/${namespace}`);
    await synced(agent, "a", 40_000);
    expect(await edge.api.admin.get(path("blue"))).toBeDefined();
    expect(agent.reconciler.exceptions()).toEqual([]);
    expect(agent.bundle("a")?.message).toBeUndefined();
    await edge.api.admin.request("DELETE", `${ADMISSION}/validatingadmissionpolicies/${namespace}`);
  });

  it("E113: by a quota waits, with a longer pause each time, and goes when there is room", async () => {
    const { start, map, live, namespace, user } = await edge.newTenant();
    const agent = start();
    const quotas = `/api/v1/namespaces/${namespace}/resourcequotas`;
    const hard = async (count: string) => {
      await merge(`${quotas}/q`, { spec: { hard: { "count/configmaps": count } } });
      await merge(`${quotas}/q/status`, { status: { hard: { "count/configmaps": count }, used: { "count/configmaps": "0" } } });
    };
    await edge.api.admin.request("POST", quotas, { metadata: { name: "q" }, spec: { hard: { "count/configmaps": "0" } } });
    await hard("0");
    const role = (name: string): Manifest => ({ apiVersion: "v1", kind: "ServiceAccount", metadata: { name, namespace } });
    const mark = edge.api.auditMark();
    await agent.take([{ name: "a", objects: [map("x"), role("not-counted")] }]);
    await eventually(() =>
      expect(agent.bundle("a")).toMatchObject({
        state: "Pending",
        reason: "KUBE_QUOTA",
        failed: 0,
        message: expect.stringContaining("quota"),
      }),
    );
    expect(await edge.api.admin.get(`/api/v1/namespaces/${namespace}/serviceaccounts/not-counted`)).toBeDefined();
    const refusals = () =>
      edge.api.audit(mark).filter((entry) => entry.user === user && entry.namespace === namespace && entry.code === 403);
    await eventually(() => expect(refusals().length).toBeGreaterThanOrEqual(3));
    const gaps = refusals()
      .map((entry, index, all) => Date.parse(entry.at) - Date.parse(all[index - 1]?.at ?? entry.at))
      .slice(1);
    expect(gaps[1]).toBeGreaterThan((gaps[0] ?? 0) * 1.5);
    await hard("5");
    await synced(agent, "a", 40_000);
    expect(await live()).toEqual({ x: "1" });
  });
});

describe("rights", () => {
  const rule = (resources: string[], verbs = ALL_VERBS): JsonObject => ({ apiGroups: [""], resources, verbs });

  it("E116: to list one kind that are missing make the health of that kind unknown, and of no other", async () => {
    const withoutLists = ["get", "create", "patch", "update", "delete"];
    const { start, map, namespace, live } = await edge.newTenant([rule(["configmaps"]), rule(["services"], withoutLists)]);
    const agent = start();
    const service: Manifest = { apiVersion: "v1", kind: "Service", metadata: { name: "s", namespace }, spec: { ports: [{ port: 80 }] } };
    await agent.take([
      { name: "a", objects: [map("x")] },
      { name: "s", objects: [service] },
    ]);
    await synced(agent, "a");
    await eventually(() => expect(agent.bundle("s")).toMatchObject({ state: "Synced", health: "Unknown" }));
    await eventually(() => expect(agent.bundle("a")).toMatchObject({ state: "Synced", health: "Current" }));
    expect(agent.reconciler.exceptions()).toMatchObject([{ ref: { kind: "Service" }, message: expect.stringContaining("cannot list") }]);
    await agent.take([
      { name: "a", objects: [map("x", "2")] },
      { name: "s", objects: [service] },
    ]);
    await eventually(async () => expect(await live()).toEqual({ x: "2" }));
  });

  it("E117: that are given at runtime are used without a restart, and what was taken away is said to be forbidden", async () => {
    const { start, map, live, namespace, setRights } = await edge.newTenant([rule(["configmaps"])]);
    const agent = start();
    const account: Manifest = { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "s", namespace } };
    await agent.take([{ name: "a", objects: [map("x"), account] }]);
    await eventually(() => expect(agent.bundle("a")).toMatchObject({ state: "Failed", reason: "KUBE_FORBIDDEN", failed: 1 }));
    // The two are applied at the same time, and the refusal may be there first.
    await eventually(async () => expect(await live()).toEqual({ x: "1" }));
    await setRights([rule(["configmaps", "serviceaccounts"])]);
    await synced(agent, "a", 60_000);
    await eventually(() => expect(agent.bundle("a")).toMatchObject({ health: "Current" }), { timeoutMs: 60_000 });
    await setRights([rule(["serviceaccounts"])]);
    await agent.take([{ name: "a", objects: [map("x", "2"), account] }]);
    await eventually(() => expect(agent.bundle("a")).toMatchObject({ state: "Failed", reason: "KUBE_FORBIDDEN", failed: 1 }));
    await eventually(() => expect(agent.reconciler.exceptions()).toMatchObject([{ ref: { kind: "ConfigMap" }, code: "KUBE_FORBIDDEN" }]));
    await setRights("all");
    await synced(agent, "a", 60_000);
    expect(await live()).toEqual({ x: "2" });
  });
});

describe("one kind", () => {
  it("E115: whose conversion webhook is down is unknown and loses nothing, while all others are changed and pruned", async () => {
    const { start, map, live, namespace, deleted } = await edge.newTenant();
    const group = "e115.example.com";
    const schema = { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } };
    const widget = (name: string, size: number): Manifest => ({
      apiVersion: `${group}/v2`,
      kind: "Widget",
      metadata: { name, namespace },
      spec: { size },
    });
    const versions = ["v1", "v2"].map((name) => ({ name, served: true, storage: name === "v1", schema }));
    await edge.api.admin.request("POST", DEFINITIONS, definition(group, "widgets", { versions }));
    const agent = start({ relistIntervalMs: 2_000 });
    await agent.take([
      { name: "w", objects: [widget("x", 1), widget("y", 1)] },
      { name: "a", objects: [map("keep"), map("remove")] },
    ]);
    await synced(agent, "w");
    await synced(agent, "a");
    const conversion = (strategy: JsonObject) => merge(`${DEFINITIONS}/widgets.${group}`, { spec: { conversion: strategy } });
    await conversion({
      strategy: "Webhook",
      webhook: { conversionReviewVersions: ["v1"], clientConfig: { service: { namespace, name: "nowhere", port: 443 } } },
    });
    await eventually(() => expect(agent.bundle("w")).toMatchObject({ health: "Unknown" }), { timeoutMs: 30_000 });
    await agent.take([
      { name: "w", objects: [widget("x", 2)] },
      { name: "a", objects: [map("keep", "2"), map("add")] },
    ]);
    await eventually(async () => expect(await live()).toEqual({ keep: "2", add: "1" }));
    await eventually(() => expect(agent.bundle("a")).toMatchObject({ state: "Synced", health: "Current" }));
    await eventually(() =>
      expect(agent.bundle("w")).toMatchObject({
        state: "Pending",
        reason: "KIND_UNAVAILABLE",
        health: "Unknown",
        message: expect.stringContaining("conversion webhook"),
      }),
    );
    expect(deleted()).toEqual([`${namespace}/configmaps/remove`]);
    expect((await agent.inventory()).entries.has(`${namespace}_y_${group}_Widget`)).toBe(true);
    await conversion({ strategy: "None", webhook: null });
    await synced(agent, "w", 60_000);
    await eventually(() => expect(deleted()).toEqual([`${namespace}/configmaps/remove`, `${namespace}/widgets/y`]), { timeoutMs: 60_000 });
    await eventually(() => expect(agent.bundle("w")).toMatchObject({ health: "Current" }), { timeoutMs: 30_000 });
  });

  it("E120: whose version is not served any more is told with what is, stays in the inventory, and goes through that", async () => {
    const { start, namespace, deleted, map } = await edge.newTenant();
    const group = "e120.example.com";
    const schema = { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } };
    const versions = (served: boolean) => [
      { name: "v1", served, storage: false, schema },
      { name: "v2", served: true, storage: true, schema },
    ];
    await edge.api.admin.request("POST", DEFINITIONS, definition(group, "gauges", { versions: versions(true) }));
    const gauge = (size: number): Manifest => ({
      apiVersion: `${group}/v1`,
      kind: "Gauge",
      metadata: { name: "x", namespace },
      spec: { size },
    });
    const agent = start();
    await agent.take([
      { name: "a", objects: [gauge(1)] },
      { name: "b", objects: [map("keep")] },
    ]);
    await synced(agent, "a");
    await merge(`${DEFINITIONS}/gauges.${group}`, { spec: { versions: versions(false) } });
    await eventually(() => expect(agent.bundle("a")).toMatchObject({ health: "Unknown" }), { timeoutMs: 30_000 });
    await agent.take([
      { name: "a", objects: [gauge(2)] },
      { name: "b", objects: [map("keep")] },
    ]);
    await eventually(() =>
      expect(agent.bundle("a")).toMatchObject({
        state: "Pending",
        reason: "KIND_UNKNOWN",
        message: expect.stringMatching(new RegExp(`Gauge of ${group}/v1; it serves it as ${group}/v2`)),
      }),
    );
    const ref = `${namespace}_x_${group}_Gauge` as const;
    expect((await agent.inventory()).entries.has(ref)).toBe(true);
    expect(deleted()).toEqual([]);
    await agent.take([{ name: "b", objects: [map("keep")] }]);
    await eventually(() => expect(deleted()).toEqual([`${namespace}/gauges/x`]));
    await eventually(async () => expect((await agent.inventory()).entries.has(ref)).toBe(false));
  });

  it("E121: has an object that the agent's own code fails on: it is set aside with a code, others are applied, corrected and pruned", async () => {
    const { start, namespace, map, live, path, deleted } = await edge.newTenant();
    /** What no code of ours is prepared for: reading its status throws. */
    const spoil = (manifest: Manifest): Manifest => {
      const status = { enumerable: true, get: () => Reflect.get(null as unknown as object, "boom") };
      return manifest.metadata.name === "poison" ? Object.defineProperty({ ...manifest }, "status", status) : manifest;
    };
    const spoiled = (inner: Cluster): Cluster => ({
      ...inner,
      apply: async (...args) => spoil(await inner.apply(...args)),
      async list(...args) {
        const { items, resourceVersion } = await inner.list(...args);
        return { items: items.map(spoil), resourceVersion };
      },
      async *watch(...args) {
        for await (const event of inner.watch(...args)) yield event.type === "bookmark" ? event : { ...event, object: spoil(event.object) };
      },
    });
    const agent = start({ wrap: spoiled });
    await agent.take([
      { name: "a", objects: [map("poison"), map("x")] },
      { name: "b", objects: [map("y"), map("gone")] },
    ]);
    await synced(agent, "b");
    await eventually(() => expect(agent.bundle("a")).toMatchObject({ state: "Failed", reason: "OBJECT_QUARANTINED", failed: 1 }));
    expect(await live()).toEqual({ poison: "1", x: "1", y: "1", gone: "1" });
    await agent.take([
      { name: "a", objects: [map("poison"), map("x", "2")] },
      { name: "b", objects: [map("y")] },
    ]);
    await eventually(async () => expect(await live()).toEqual({ poison: "1", x: "2", y: "1" }));
    await merge(`${path("x")}?fieldManager=somebody`, { data: { value: "edited" } });
    await eventually(async () => expect(await live()).toMatchObject({ x: "2" }));
    expect(deleted()).toEqual([`${namespace}/configmaps/gone`]);
  });

  it("E121: has an object that the agent dies of, again and again: after three deaths it is set aside, all others are applied, and a mended one is", async () => {
    const { start, map, live, path, namespace } = await edge.newTenant();
    const folder = createTempFolder("deaths");
    const startPod = (options: Parameters<typeof start>[0] = {}) =>
      start({
        ...options,
        crashNotes: createCrashNotes({ folder: folder.path, cluster: namespace, clock: systemClock, logger: silentLogger() }),
      });
    const underWay = () => JSON.parse(readFileSync(join(folder.path, `muster-agent-${namespace}.json`), "utf8")).underWay as unknown;
    /** A process dies in the middle of an apply; here it is stopped there, once all that it does at the same time is done. */
    let dying = 0;
    const deadly = (inner: Cluster): Cluster => ({
      ...inner,
      async apply(...args) {
        if (args[1].metadata.name !== "poison") return inner.apply(...args);
        dying += 1;
        return new Promise(() => {});
      },
    });
    const bundles = [
      { name: "a", objects: [map("poison"), map("x")] },
      { name: "b", objects: [map("y")] },
    ];
    for (let death = 1; death <= 3; death += 1) {
      const doomed = startPod({ wrap: deadly });
      void doomed.take(bundles).catch(() => {});
      await eventually(() => expect(dying).toBe(death));
      await eventually(() => expect(underWay()).toEqual([expect.stringContaining("poison")]));
      doomed.stop();
    }
    const agent = startPod({ wrap: deadly });
    await agent.take(bundles);
    await synced(agent, "b");
    await eventually(() => expect(agent.bundle("a")).toMatchObject({ state: "Failed", reason: "OBJECT_QUARANTINED", failed: 1 }));
    expect(dying).toBe(3);
    expect(await live()).toEqual({ x: "1", y: "1" });
    await merge(`${path("x")}?fieldManager=somebody`, { data: { value: "edited" } });
    await eventually(async () => expect(await live()).toEqual({ x: "1", y: "1" }));
    agent.stop();
    const mended = startPod();
    await mended.take([{ name: "a", objects: [map("poison", "2"), map("x")] }, bundles[1]!]);
    await synced(mended, "a");
    expect(await live()).toEqual({ poison: "2", x: "1", y: "1" });
    folder.remove();
  });

  it("E122: of object has keys that JavaScript has a meaning for: they are data, and their drift is seen", async () => {
    const { start, map, path } = await edge.newTenant();
    const agent = start();
    const data = JSON.parse('{"__proto__":"a","constructor":"b","toString":"c","value":"1"}') as JsonObject;
    await agent.take([{ name: "a", objects: [{ ...map("x"), data }] }]);
    await synced(agent, "a");
    const values = async () => JSON.stringify((await edge.api.admin.get<{ data: JsonObject }>(path("x")))?.data);
    expect(await values()).toBe(JSON.stringify(data));
    for (const key of ["__proto__", "constructor"]) {
      const change = JSON.parse(`{"data":{"${key}":"edited"}}`) as JsonObject;
      await merge(`${path("x")}?fieldManager=somebody`, change);
      await eventually(async () => expect(await values()).toBe(JSON.stringify(data)));
    }
    const paths = agent.told.filter((event) => event.type === "DriftDetected").map((event) => event.message);
    expect(paths).toEqual([expect.stringContaining(".data.__proto__"), expect.stringContaining(".data.constructor")]);
  });
});
