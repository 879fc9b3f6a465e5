import { type Manifest, type Slice, SyncState } from "@muster/shared/model";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../../../test/rig/eventually.ts";
import type { AuditMark } from "../../../test/rig/kube-apiserver.ts";
import { createCluster } from "../kube/create-cluster.ts";
import type { ComposedAgent } from "../reconcile/testing/compose-agent.ts";
import { type EdgeCluster, startEdgeCluster, synced, type Tenant } from "./testing/edge-cluster.ts";

/** What came of the deletion of one object, and what the agent makes of it: the audit log says what it really did. */

let edge: EdgeCluster;
beforeAll(async () => {
  edge = await startEdgeCluster("outcomes");
});
afterEach(() => edge.endTest());
afterAll(() => edge?.stop());

const POLICIES = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies";

/** Denies deletions of ConfigMaps whose name has this beginning; gives what lifts it. Resolves when the API server goes by it. */
async function denyDeletion(tenant: Tenant, prefix: string): Promise<() => Promise<void>> {
  const { admin } = edge.api;
  const name = tenant.namespace;
  await admin.request("POST", POLICIES, {
    metadata: { name },
    spec: {
      matchConstraints: { resourceRules: [{ apiGroups: [""], apiVersions: ["v1"], operations: ["DELETE"], resources: ["configmaps"] }] },
      validations: [{ expression: `!oldObject.metadata.name.startsWith('${prefix}')`, message: "the policy says no" }],
    },
  });
  await admin.request("POST", `${POLICIES.replace("policies", "policybindings")}`, {
    metadata: { name },
    spec: {
      policyName: name,
      validationActions: ["Deny"],
      matchResources: { namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": name } } },
    },
  });
  const probe = `${prefix}-probe`;
  await admin.request("POST", `/api/v1/namespaces/${name}/configmaps`, { metadata: { name: probe } });
  const tryIt = () => admin.request("DELETE", `${tenant.path(probe)}?dryRun=All`);
  await eventually(() => expect(tryIt()).rejects.toMatchObject({ status: 422 }), { timeoutMs: 20_000, intervalMs: 100 });
  return async () => {
    await admin.request("DELETE", `${POLICIES.replace("policies", "policybindings")}/${name}`);
    await eventually(tryIt, { timeoutMs: 20_000, intervalMs: 100 });
  };
}

/** Deletions that the agent tried, with the API server's answer. */
const attempts = (tenant: Tenant, mark?: AuditMark) =>
  edge.api
    .audit(mark)
    .filter((entry) => entry.user === tenant.user && entry.verb === "delete" && entry.resource === "configmaps")
    .map((entry) => `${entry.name} ${entry.code}`);
const reads = (tenant: Tenant, name: string, mark?: AuditMark) =>
  edge.api.audit(mark).filter((entry) => entry.user === tenant.user && entry.verb === "get" && entry.name === name).length;
const owned = async (agent: ComposedAgent) => [...(await agent.inventory()).entries.keys()].map((ref) => ref.split("_")[1]).sort();
const eventsOf = (agent: ComposedAgent, name: string) =>
  agent.told.filter((event) => event.object?.name === name && event.type !== "DriftDetected").map((event) => event.type);
const patch = (path: string, change: object) => edge.api.admin.request("PATCH", path, change, "application/merge-patch+json");
const within = { timeoutMs: 20_000 };

/** An agent that has applied a bundle `a` of these ConfigMaps. */
async function applied(names: readonly string[], options: Parameters<Tenant["start"]>[0] = {}) {
  const tenant = await edge.newTenant();
  const agent = tenant.start(options);
  await agent.take([{ name: "a", objects: names.map((name) => tenant.map(name)) }]);
  await synced(agent, "a");
  await eventually(async () => expect(await owned(agent)).toEqual([...names].sort()));
  const to = (next: readonly Manifest[], more?: Partial<Slice>) => agent.take([{ name: "a", objects: next }], more);
  return { tenant, agent, to, map: tenant.map };
}

describe("an object that left Git, on a real API server", () => {
  it("E073: stays in the inventory while a policy denies its deletion, through later revisions and a restart, and goes when it may", async () => {
    const { tenant, agent, to, map } = await applied(["x", "y", "z"]);
    const lift = await denyDeletion(tenant, "x");
    await to([map("y")]);
    await eventually(() => expect(agent.bundle("a")).toMatchObject({ state: SyncState.Failed, reason: "PRUNE_BLOCKED" }));
    expect(agent.reconciler.exceptions()).toMatchObject([
      { ref: { name: "x" }, code: "PRUNE_BLOCKED", message: expect.stringContaining("the policy says no") },
    ]);
    await eventually(async () => expect(await owned(agent)).toEqual(["x", "y"]));
    for (const value of ["2", "3"]) {
      await to([map("y", value)]);
      await eventually(async () => expect(await tenant.live()).toEqual({ x: "1", y: value }));
    }
    expect(await owned(agent)).toEqual(["x", "y"]);
    agent.stop();
    const second = tenant.start();
    second.reconciler.resume(agent.reconciler.desired!);
    await eventually(() => expect(second.bundle("a")).toMatchObject({ reason: "PRUNE_BLOCKED" }));
    await lift();
    await eventually(async () => expect(await tenant.live()).toEqual({ y: "3" }), within);
    await eventually(async () => expect(await owned(second)).toEqual(["y"]));
    await synced(second, "a");
    expect(tenant.deleted().sort()).toEqual([`${tenant.namespace}/configmaps/x`, `${tenant.namespace}/configmaps/z`]);
  });

  it("E103: costs a few attempts, ever further apart, and one event when it is blocked and one when it is gone", async () => {
    const { tenant, agent, to, map } = await applied(["stuck1", "stuck2", "y"]);
    const lift = await denyDeletion(tenant, "stuck");
    const mark = edge.api.auditMark();
    await to([map("y")]);
    const until = performance.now() + 7_000;
    await eventually(() => expect(performance.now()).toBeGreaterThan(until), { timeoutMs: 9_000 });
    for (const name of ["stuck1", "stuck2"]) {
      const tried = attempts(tenant, mark).filter((text) => text.startsWith(name));
      expect(tried.length).toBeGreaterThan(1);
      expect(tried.length).toBeLessThanOrEqual(6);
      expect(eventsOf(agent, name)).toEqual(["PruneBlocked"]);
    }
    await lift();
    agent.reconciler.trigger();
    await eventually(async () => expect(await tenant.live()).toEqual({ y: "1" }), within);
    await eventually(() => expect(eventsOf(agent, "stuck1")).toEqual(["PruneBlocked", "Pruned"]));
  });

  it.each([
    ["500", { status: 500, body: '{"kind":"Status","message":"etcd is tired","code":500}' }],
    ["404 that is not of the API server", { status: 404, body: "404 page not found" }],
    ["no answer", { cut: true as const }],
  ])("E074: is not taken for gone, nor deleted, while it cannot be read: %s", async (_, fault) => {
    const { tenant, agent, to, map } = await applied(["x", "y"], { throughProxy: true });
    const mark = edge.api.auditMark();
    edge.proxy.setFaults(({ method, path }) => (method === "GET" && path === tenant.path("x") ? fault : undefined));
    const before = edge.proxy.faults;
    await to([map("y", "2")]);
    await eventually(() => expect(edge.proxy.faults).toBeGreaterThan(before + 1), within);
    expect(await owned(agent)).toEqual(["x", "y"]);
    expect(tenant.deleted(mark)).toEqual([]);
    expect(await tenant.live()).toEqual({ x: "1", y: "2" });
    edge.proxy.setFaults(undefined);
    await eventually(async () => expect(await owned(agent)).toEqual(["y"]), within);
    expect(tenant.deleted(mark)).toEqual([`${tenant.namespace}/configmaps/x`]);
  });

  it("E075: is deleted once while its finalizers are outstanding, is shown as Terminating, and nothing waits for it", async () => {
    const { tenant, agent, to, map } = await applied(["x", "y", "z"]);
    await patch(tenant.path("x"), { metadata: { finalizers: ["example.com/hold"] } });
    const mark = edge.api.auditMark();
    await to([map("y", "2"), map("new")]);
    await eventually(() => expect(agent.reconciler.exceptions()).toMatchObject([{ ref: { name: "x" }, health: "Terminating" }]));
    expect(agent.reconciler.exceptions()[0]?.message).toContain("example.com/hold");
    await eventually(async () => expect(await tenant.live()).toEqual({ x: "1", y: "2", new: "1" }));
    await eventually(async () => expect(await owned(agent)).toEqual(["new", "x", "y"]));
    const asked = edge.api.auditMark();
    const until = performance.now() + 7_000;
    await eventually(() => expect(performance.now()).toBeGreaterThan(until), { timeoutMs: 9_000 });
    // Looked at ever more rarely: a finalizer that nobody works on must cost next to nothing (E103).
    expect(reads(tenant, "x", asked)).toBeLessThanOrEqual(4);
    expect(attempts(tenant, mark).filter((text) => text.startsWith("x"))).toEqual(["x 200"]);
    await patch(tenant.path("x"), { metadata: { finalizers: null } });
    await eventually(async () => expect(await owned(agent)).toEqual(["new", "y"]), within);
    expect(agent.reconciler.exceptions()).toEqual([]);
  });

  it("E076: that somebody makes anew between our look and our deletion is left alone, though it has our label", async () => {
    const tenant = await edge.newTenant();
    const { admin } = edge.api;
    const cluster = createCluster({ kubeconfig: edge.api.writeKubeconfig("racing", tenant.token), userAgent: "muster-agent/test" });
    let raced = false;
    const agent = tenant.start({
      cluster: {
        ...cluster,
        async delete(type, namespace, name, options) {
          if (name === "x" && !raced) {
            raced = true;
            await admin.request("DELETE", tenant.path("x"));
            const metadata = { name: "x", labels: { "muster.dev/bundle": "a" } };
            await admin.request("POST", `/api/v1/namespaces/${namespace}/configmaps`, { metadata, data: { value: "theirs" } });
          }
          return cluster.delete(type, namespace, name, options);
        },
      },
    });
    await agent.take([{ name: "a", objects: [tenant.map("x"), tenant.map("y")] }]);
    await synced(agent, "a");
    await agent.take([{ name: "a", objects: [tenant.map("y")] }]);
    await eventually(async () => expect(await owned(agent)).toEqual(["y"]), within);
    expect(await tenant.live()).toEqual({ x: "theirs", y: "1" });
    expect(attempts(tenant)).toEqual(["x 409"]);
    expect(eventsOf(agent, "x").at(-1)).toBe("Released");
    await synced(agent, "a");
    await cluster.close();
  });

  it("E077: whose label was taken off, or names a bundle that is not ours, is given up and told, not deleted", async () => {
    const { tenant, agent, map } = await applied(["bare", "other", "ours", "y"]);
    agent.stop();
    await patch(tenant.path("bare"), { metadata: { labels: { "muster.dev/bundle": null } } });
    await patch(tenant.path("other"), { metadata: { labels: { "muster.dev/bundle": "of-another-fleet" } } });
    const second = tenant.start();
    await second.take([{ name: "a", objects: [map("y")] }]);
    await eventually(async () => expect(await owned(second)).toEqual(["y"]), within);
    expect(tenant.deleted()).toEqual([`${tenant.namespace}/configmaps/ours`]);
    for (const name of ["bare", "other"]) {
      expect(await edge.api.admin.get(tenant.path(name))).toBeDefined();
      expect(eventsOf(second, name)).toEqual(["Released"]);
    }
  });

  it("E080: that was renamed goes only after the object of the new name is there", async () => {
    const { tenant, agent, to, map } = await applied(["old", "y"]);
    const elsewhere: Manifest = { ...map("old"), metadata: { name: "old", namespace: `${tenant.namespace}-new` } };
    const mark = edge.api.auditMark();
    // Moved into a namespace that does not exist yet: the new object cannot be made, and until then the old one is all there is.
    await to([elsewhere, map("y", "2")]);
    await eventually(() => expect(agent.bundle("a")).toMatchObject({ state: SyncState.Pending, reason: "NAMESPACE_MISSING" }));
    await eventually(async () => expect(await tenant.live()).toEqual({ old: "1", y: "2" }));
    expect(tenant.deleted(mark)).toEqual([]);
    await edge.api.admin.request("POST", "/api/v1/namespaces", { metadata: { name: `${tenant.namespace}-new` } });
    agent.reconciler.trigger();
    await eventually(async () => expect(await tenant.live()).toEqual({ y: "2" }), within);
    const order = edge.api
      .audit(mark)
      .filter((entry) => entry.user === tenant.user && entry.name === "old" && entry.code < 300 && ["patch", "delete"].includes(entry.verb))
      .map((entry) => `${entry.verb} ${entry.namespace}`);
    expect(order).toEqual([`patch ${tenant.namespace}-new`, `delete ${tenant.namespace}`]);
    await to([{ ...elsewhere, metadata: { ...elsewhere.metadata, name: "renamed" } }, map("y", "2")]);
    await eventually(async () => expect(await owned(agent)).toEqual(["renamed", "y"]), within);
  });

  it("E098: keeps its entry when the answer to its deletion is lost, and loses it once the deletion is confirmed", async () => {
    const { tenant, agent, to, map } = await applied(["x", "y"], { throughProxy: true });
    let cut = 0;
    let hidden = true;
    edge.proxy.setFaults(({ method, path }) => {
      if (path !== tenant.path("x")) return undefined;
      if (method === "DELETE") {
        cut += 1;
        return { cut: true, forwarded: true };
      }
      return cut > 0 && hidden ? { status: 500, body: "{}" } : undefined;
    });
    await to([map("y")]);
    await eventually(async () => expect(await edge.api.admin.get(tenant.path("x"))).toBeUndefined());
    await eventually(() => expect(agent.bundle("a")).toMatchObject({ state: SyncState.Failed }));
    expect(await owned(agent)).toEqual(["x", "y"]);
    hidden = false;
    await eventually(async () => expect(await owned(agent)).toEqual(["y"]), within);
    await synced(agent, "a");
    expect(tenant.deleted()).toEqual([`${tenant.namespace}/configmaps/x`]);
  });

  it("E070: stays, with all others, when the slice has become empty, until that is approved in Git", async () => {
    const { tenant, agent } = await applied(["x", "y"]);
    for (const empty of [[], [{ name: "a", objects: [] }]]) {
      await agent.take(empty);
      await eventually(() => expect(agent.reconciler.report(undefined).heldDeletion).toMatchObject({ objects: 2 }));
    }
    expect(tenant.deleted()).toEqual([]);
    const id = agent.reconciler.report(undefined).heldDeletion!.id;
    await agent.take([], { approvedDeletions: [id] });
    await eventually(async () => expect(await tenant.live()).toEqual({}), within);
  });

  it("E102: is held with all others when they are too many, while everything else goes on, also in a new process", async () => {
    const names = Array.from({ length: 30 }, (_, index) => `m${index}`);
    const { tenant, agent, to, map } = await applied(names);
    const mark = edge.api.auditMark();
    // A share of 12 of 30 is too much, though 12 are less than the budget's 50.
    const next = [...names.slice(1, 18).map((name) => map(name)), map("m0", "2"), map("new")];
    await to(next);
    await eventually(async () => expect(await tenant.live()).toMatchObject({ m0: "2", new: "1" }));
    const held = await eventually(() => {
      const found = agent.reconciler.report(undefined).heldDeletion;
      expect(found).toMatchObject({ objects: 12 });
      return found!;
    });
    await synced(agent, "a");
    agent.stop();
    const second = tenant.start();
    second.reconciler.resume(agent.reconciler.desired!);
    await eventually(() => expect(second.reconciler.report(undefined).heldDeletion?.id).toBe(held.id));
    await second.take([{ name: "a", objects: next }], { approvedDeletions: ["del-of-other-objects"] });
    await synced(second, "a");
    expect(tenant.deleted(mark)).toEqual([]);
    await second.take([{ name: "a", objects: next }], { approvedDeletions: [held.id] });
    await eventually(async () => expect(Object.keys(await tenant.live())).toHaveLength(19), within);
    expect(tenant.deleted(mark)).toHaveLength(12);
    expect(second.reconciler.report(undefined).heldDeletion).toBeUndefined();
  });

  it("E100: stays while the cluster is paused, as drift does, and goes when it is not any more", async () => {
    const { tenant, agent, to, map } = await applied(["x", "y"]);
    const mark = edge.api.auditMark();
    await to([map("y", "2"), map("new")], { paused: true });
    await eventually(() => expect(agent.bundle("a")).toMatchObject({ state: SyncState.Paused }));
    await edge.api.admin.request("DELETE", tenant.path("y"));
    const until = performance.now() + 1_500;
    await eventually(() => expect(performance.now()).toBeGreaterThan(until));
    expect(tenant.writes(mark)).toEqual([]);
    await to([map("y", "2"), map("new")]);
    await eventually(async () => expect(await tenant.live()).toEqual({ y: "2", new: "1" }), within);
    expect(tenant.deleted(mark)).toEqual([`${tenant.namespace}/configmaps/x`]);
  });
});
