import type { JsonObject, Manifest, Slice } from "@muster/shared/model";
import { SyncState } from "@muster/shared/model";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../../../test/rig/eventually.ts";
import type { MadeBundle } from "../pull/testing/slice-maker.ts";
import type { ComposedAgent } from "../reconcile/testing/compose-agent.ts";
import { DEFINITIONS, definition, type EdgeCluster, kindOf, startEdgeCluster, synced, type Tenant } from "./testing/edge-cluster.ts";

/** What may not be deleted although it left Git, or not like that, and what a deletion may take along. */

let edge: EdgeCluster;
beforeAll(async () => {
  edge = await startEdgeCluster("guards");
});
afterEach(() => edge.endTest());
afterAll(() => edge?.stop());

const within = { timeoutMs: 30_000 };
const admin = () => edge.api.admin;
const patch = (path: string, change: object) => admin().request("PATCH", path, change, "application/merge-patch+json");
const namespaceManifest = (name: string, annotations: JsonObject = {}): Manifest => ({
  apiVersion: "v1",
  kind: "Namespace",
  metadata: { name, annotations },
});
const annotated = (manifest: Manifest, annotations: JsonObject): Manifest => ({
  ...manifest,
  metadata: { ...manifest.metadata, annotations },
});
const inNamespace = (manifest: Manifest, namespace: string): Manifest => ({ ...manifest, metadata: { ...manifest.metadata, namespace } });
const owned = async (agent: ComposedAgent) => [...(await agent.inventory()).entries.keys()].map((ref) => ref.split("_")[1]).sort();
const exceptionOf = (agent: ComposedAgent, name: string) =>
  agent.reconciler.exceptions().find((exception) => exception.ref.name === name && exception.ref.kind !== "ConfigMap");
const eventsOf = (agent: ComposedAgent, name: string) =>
  agent.told.filter((event) => event.object?.name === name && event.type !== "DriftDetected").map((event) => event.type);

/** Takes a slice, and approves in Git what it holds. */
async function takeApproved(agent: ComposedAgent, bundles: readonly MadeBundle[], more: Partial<Slice> = {}): Promise<void> {
  await agent.take(bundles, more);
  const held = await eventually(() => {
    const found = agent.reconciler.report(undefined).heldDeletion;
    expect(found).toBeDefined();
    return found!;
  });
  await agent.take(bundles, { ...more, approvedDeletions: [held.id] });
}

/** A tenant whose agent has applied one bundle. */
async function applied(objects: (tenant: Tenant) => readonly Manifest[]) {
  const tenant = await edge.newTenant();
  const agent = tenant.start();
  await agent.take([{ name: "a", objects: objects(tenant) }]);
  await synced(agent, "a");
  return { tenant, agent };
}

/** Ends a namespace as the namespace controller does, which no test cluster runs. */
async function finalizeNamespace(name: string, configMaps: readonly string[]): Promise<void> {
  for (const map of configMaps) await admin().request("DELETE", `/api/v1/namespaces/${name}/configmaps/${map}`);
  const live = await admin().request<JsonObject>("GET", `/api/v1/namespaces/${name}`);
  await admin().request("PUT", `/api/v1/namespaces/${name}/finalize`, { ...live, spec: { finalizers: [] } });
  await eventually(async () =>
    expect((await admin().get<Manifest>(`/api/v1/namespaces/${name}`))?.metadata["uid"]).not.toBe((live["metadata"] as JsonObject)["uid"]),
  );
}

describe("annotations on an object that leaves Git, on a real API server", () => {
  it("E081, E095: it is kept, loses our marks and leaves the inventory, told once; when it comes back to Git it is ours again", async () => {
    const names = ["disabled", "keep", "helm", "by-hand", "unpruned", "plain", "y"];
    const tenant = await edge.newTenant();
    const agent = tenant.start();
    const { map } = tenant;
    const objects = [
      annotated(map("disabled"), { "muster.dev/prune": "disabled" }),
      annotated(map("keep"), { "muster.dev/prune": "keep" }),
      annotated(map("helm"), { "helm.sh/resource-policy": "keep" }),
      map("by-hand"),
      map("plain"),
      map("y"),
    ];
    const unpruned = { name: "u", objects: [map("unpruned")], options: { prune: false } };
    await agent.take([{ name: "a", objects }, unpruned]);
    await synced(agent, "a");
    await synced(agent, "u");
    await patch(tenant.path("by-hand"), { metadata: { annotations: { "muster.dev/prune": "keep" } } });
    await agent.take([
      { name: "a", objects: [map("y")] },
      { ...unpruned, objects: [map("y2")] },
    ]);
    await eventually(async () => expect(await owned(agent)).toEqual(["y", "y2"]), within);
    expect(tenant.deleted()).toEqual([`${tenant.namespace}/configmaps/plain`]);
    for (const name of names.slice(0, 5)) {
      const live = await admin().request<Manifest>("GET", tenant.path(name));
      expect(live["data"]).toEqual({ value: "1" });
      expect(live.metadata["labels"]).toBeUndefined();
      expect(JSON.stringify(live.metadata["managedFields"] ?? [])).not.toContain('"muster"');
      expect(eventsOf(agent, name)).toEqual(["Released"]);
    }
    await agent.take([
      { name: "a", objects: [map("y"), map("keep", "2")] },
      { ...unpruned, objects: [map("y2")] },
    ]);
    await eventually(async () => expect(await tenant.live()).toEqual({ y: "1", y2: "1", keep: "2" }), within);
    // Without the annotation it is like any other again.
    await eventually(async () => expect((await agent.inventory()).entries.get(tenant.ref("keep"))?.uid).toBeDefined());
    await agent.take([
      { name: "a", objects: [map("y")] },
      { ...unpruned, objects: [map("y2")] },
    ]);
    await eventually(async () => expect(await admin().get(tenant.path("keep"))).toBeUndefined(), within);
  });

  it("E081: a misspelt word deletes nothing and says so; kept objects do not count for the deletion budget", async () => {
    const many = Array.from({ length: 20 }, (_, index) => `m${index}`);
    const { tenant, agent } = await applied(({ map }) => [
      annotated(map("typo"), { "muster.dev/prune": "disable" }),
      map("y"),
      ...many.map((name) => annotated(map(name), { "muster.dev/prune": "keep" })),
    ]);
    await agent.take([{ name: "a", objects: [tenant.map("y")] }]);
    await eventually(() => expect(agent.bundle("a")).toMatchObject({ state: SyncState.Failed, reason: "PRUNE_BLOCKED" }));
    await eventually(async () => expect(await owned(agent)).toEqual(["typo", "y"]), within);
    expect(agent.reconciler.report(undefined).heldDeletion).toBeUndefined();
    expect(tenant.deleted()).toEqual([]);
  });

  it("E081: a protected one stays, and stays ours, until a person takes the annotation off; then it goes", async () => {
    const { tenant, agent } = await applied(({ map }) => [annotated(map("x"), { "muster.dev/prune": "protect" }), map("y")]);
    await agent.take([{ name: "a", objects: [tenant.map("y")] }]);
    await eventually(() => expect(agent.bundle("a")).toMatchObject({ state: SyncState.Pending, reason: "PRUNE_PROTECTED" }), within);
    expect(agent.reconciler.exceptions()).toMatchObject([{ ref: { name: "x" }, code: "PRUNE_PROTECTED" }]);
    expect(await owned(agent)).toEqual(["x", "y"]);
    await patch(tenant.path("x"), { metadata: { annotations: { "muster.dev/prune": null } } });
    agent.reconciler.trigger();
    await eventually(async () => expect(await owned(agent)).toEqual(["y"]), within);
    expect(tenant.deleted()).toEqual([`${tenant.namespace}/configmaps/x`]);
  });

  it("E089: what it owns is deleted behind it, or before it, or is left, as the annotation says", async () => {
    const { tenant, agent } = await applied(({ map }) => [
      map("background"),
      annotated(map("foreground"), { "muster.dev/propagation": "foreground" }),
      annotated(map("orphan"), { "muster.dev/propagation": "orphan" }),
      map("y"),
    ]);
    await agent.take([{ name: "a", objects: [tenant.map("y")] }]);
    // The API server notes the policy as a finalizer; the garbage collector, which no test cluster runs, acts on it.
    const finalizers = async (name: string) => (await admin().get<Manifest>(tenant.path(name)))?.metadata["finalizers"];
    await eventually(async () => expect(await finalizers("foreground")).toEqual(["foregroundDeletion"]), within);
    await eventually(async () => expect(await finalizers("orphan")).toEqual(["orphan"]), within);
    await eventually(async () => expect(await admin().get(tenant.path("background"))).toBeUndefined(), within);
    await eventually(async () => expect(await owned(agent)).toEqual(["foreground", "orphan", "y"]), within);
  });
});

describe("what a deletion would take along, on a real API server", () => {
  it("E082: claims and what holds data by claims wait for an approval, while ordinary objects go", async () => {
    const claim = (namespace: string): Manifest => ({
      apiVersion: "v1",
      kind: "PersistentVolumeClaim",
      metadata: { name: "data", namespace },
      spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } },
    });
    const database = (namespace: string): Manifest => ({
      apiVersion: "apps/v1",
      kind: "StatefulSet",
      metadata: { name: "db", namespace },
      spec: {
        serviceName: "db",
        replicas: 0,
        selector: { matchLabels: { app: "db" } },
        template: { metadata: { labels: { app: "db" } }, spec: { containers: [{ name: "db", image: "db" }] } },
      },
    });
    const tenant = await edge.newTenant();
    const agent = tenant.start();
    const { map, namespace } = tenant;
    await agent.take([{ name: "a", objects: [claim(namespace), database(namespace), map("x"), map("y")] }]);
    await eventually(async () => expect((await agent.inventory()).applied.has("a")).toBe(true), within);
    await agent.take([{ name: "a", objects: [map("y")] }]);
    await eventually(() => expect(agent.reconciler.report(undefined).heldDeletion).toMatchObject({ objects: 2 }));
    await eventually(() => expect(tenant.deleted()).toEqual([`${namespace}/configmaps/x`]));
    const { id } = agent.reconciler.report(undefined).heldDeletion!;
    await agent.take([{ name: "a", objects: [map("y")] }], { approvedDeletions: [id] });
    await eventually(() => expect(tenant.deleted()).toHaveLength(3), within);
    expect(tenant.deleted().sort()).toEqual([
      `${namespace}/configmaps/x`,
      `${namespace}/persistentvolumeclaims/data`,
      `${namespace}/statefulsets/db`,
    ]);
  });

  it("E083: nothing in kube-system, no system namespace and not the agent's own is ever deleted; namespaces lose what Git had set", async () => {
    const { tenant, agent } = await applied((one) => [
      inNamespace(one.map("of-system"), "kube-system"),
      { ...namespaceManifest("kube-public"), metadata: { name: "kube-public", labels: { "from-git": "yes" } } },
      namespaceManifest("default"),
      namespaceManifest(one.state),
      one.map("y"),
    ]);
    await agent.take([{ name: "a", objects: [tenant.map("y")] }], { deletionBudget: { objects: 100, percent: 100 } });
    await eventually(() => {
      const told = agent.reconciler.exceptions().filter((exception) => exception.code === "PRUNE_PROTECTED");
      expect(told.map((exception) => exception.ref.name)).toEqual(["of-system"]);
    });
    await synced(agent, "a");
    await eventually(async () => expect(await owned(agent)).toEqual(["of-system", "y"]));
    expect(eventsOf(agent, "kube-public")).toEqual(["Adopted", "Released"]);
    const live = await admin().request<Manifest>("GET", "/api/v1/namespaces/kube-public");
    expect(live.metadata["labels"]).toEqual({ "kubernetes.io/metadata.name": "kube-public" });
    expect(JSON.stringify(live.metadata["managedFields"] ?? [])).not.toContain('"muster"');
    expect(agent.reconciler.report(undefined).heldDeletion).toBeUndefined();
    expect(tenant.deleted()).toEqual([]);
    await admin().request("DELETE", "/api/v1/namespaces/kube-system/configmaps/of-system");
    agent.reconciler.trigger();
    await eventually(async () => expect(await owned(agent)).toEqual(["y"]), within);
  });

  it("E084: a namespace with objects that do not leave with it is not deleted, though it was approved; they are named", async () => {
    const extra = (tenant: Tenant) => `${tenant.namespace}-extra`;
    const { tenant, agent } = await applied((one) => [
      namespaceManifest(extra(one)),
      inNamespace(one.map("ours"), extra(one)),
      annotated(inNamespace(one.map("kept"), extra(one)), { "muster.dev/prune": "keep" }),
      one.map("y"),
    ]);
    const inside = `/api/v1/namespaces/${extra(tenant)}`;
    for (const name of ["theirs", "kube-root-ca.crt"]) await admin().request("POST", `${inside}/configmaps`, { metadata: { name } });
    await admin().request("POST", `${inside}/serviceaccounts`, { metadata: { name: "default" } });
    const parent = await admin().request<Manifest>("POST", `/apis/apps/v1/namespaces/${extra(tenant)}/controllerrevisions`, {
      metadata: { name: "parent" },
      revision: 1,
      data: {},
    });
    const owner = { apiVersion: "apps/v1", kind: "ControllerRevision", name: "parent", uid: parent.metadata["uid"] };
    await admin().request("POST", `${inside}/secrets`, { metadata: { name: "child", ownerReferences: [owner] } });
    await takeApproved(agent, [{ name: "a", objects: [tenant.map("y")] }]);
    await eventually(() => expect(exceptionOf(agent, extra(tenant))).toMatchObject({ code: "PRUNE_BLOCKED" }), within);
    const { message } = exceptionOf(agent, extra(tenant))!;
    expect(message).toContain(`3 objects`);
    for (const named of ["theirs", "kept", "parent"]) expect(message).toContain(`${extra(tenant)}/${named}`);
    for (const named of ["kube-root-ca.crt", "default", "child", "ours"]) expect(message).not.toContain(`/${named}`);
    expect(eventsOf(agent, extra(tenant))).toEqual(["PruneBlocked"]);
    expect((await admin().request<Manifest>("GET", inside)).metadata["deletionTimestamp"]).toBeUndefined();
    expect(tenant.deleted()).toEqual([`${extra(tenant)}/configmaps/ours`]);
    for (const name of ["theirs", "kept"]) await admin().request("DELETE", `${inside}/configmaps/${name}`);
    await admin().request("DELETE", `/apis/apps/v1/namespaces/${extra(tenant)}/controllerrevisions/parent`);
    agent.reconciler.trigger();
    await eventually(
      async () => expect((await admin().request<Manifest>("GET", inside)).metadata["deletionTimestamp"]).toBeDefined(),
      within,
    );
    await finalizeNamespace(extra(tenant), []);
    await eventually(async () => expect(await owned(agent)).toEqual(["y"]), within);
  });

  it("E084: with the annotation cascade a namespace goes with all that is in it, and only after an approval", async () => {
    const extra = (tenant: Tenant) => `${tenant.namespace}-extra`;
    const { tenant, agent } = await applied((one) => [namespaceManifest(extra(one), { "muster.dev/prune": "cascade" }), one.map("y")]);
    const inside = `/api/v1/namespaces/${extra(tenant)}`;
    await admin().request("POST", `${inside}/configmaps`, { metadata: { name: "theirs" } });
    await agent.take([{ name: "a", objects: [tenant.map("y")] }]);
    await eventually(() => expect(agent.reconciler.report(undefined).heldDeletion).toMatchObject({ objects: 1 }));
    expect(tenant.deleted()).toEqual([]);
    await takeApproved(agent, [{ name: "a", objects: [tenant.map("y")] }]);
    await eventually(
      async () => expect((await admin().request<Manifest>("GET", inside)).metadata["deletionTimestamp"]).toBeDefined(),
      within,
    );
    expect(tenant.deleted()).toEqual([`${extra(tenant)}/namespaces/${extra(tenant)}`]);
  });

  it("E085: objects of a namespace that is being deleted wait with a reason, others go on, and all is made anew once it is gone", async () => {
    const tenant = await edge.newTenant();
    const agent = tenant.start();
    const extra = `${tenant.namespace}-extra`;
    const inExtra = (name: string) => inNamespace(tenant.map(name), extra);
    const bundles = (...more: Manifest[]) => [
      { name: "a", objects: [namespaceManifest(extra), inExtra("x"), ...more] },
      { name: "b", objects: [tenant.map("y"), ...more.map(() => tenant.map("z"))] },
    ];
    await agent.take(bundles());
    await synced(agent, "a");
    await synced(agent, "b");
    await admin().request("DELETE", `/api/v1/namespaces/${extra}`);
    await agent.take(bundles(inExtra("new")));
    await eventually(() => expect(agent.bundle("a")).toMatchObject({ state: SyncState.Pending, reason: "NAMESPACE_TERMINATING" }), within);
    await synced(agent, "b");
    expect(await tenant.live()).toEqual({ y: "1", z: "1" });
    await finalizeNamespace(extra, ["x"]);
    await synced(agent, "a");
    for (const name of ["x", "new"]) expect(await admin().get(`/api/v1/namespaces/${extra}/configmaps/${name}`)).toBeDefined();
    expect(tenant.deleted()).toEqual([]);
  });
});

describe("definitions of custom kinds that leave, on a real API server", () => {
  const group = "guards.example.com";
  const custom = (plural: string, name: string, namespace: string): Manifest => ({
    apiVersion: `${group}/v1`,
    kind: kindOf(plural),
    metadata: { name, namespace },
    spec: { size: 1 },
  });
  const at = (plural: string, namespace: string) => `/apis/${group}/v1/namespaces/${namespace}/${plural}`;
  const definitionAt = (plural: string) => `${DEFINITIONS}/${plural}.${group}`;

  it("E086: a definition is not deleted while there is an object of it anywhere, though it was approved; they are counted", async () => {
    const plural = "widgets";
    const { tenant, agent } = await applied((one) => [definition(group, plural), custom(plural, "declared", one.namespace), one.map("y")]);
    for (const name of ["one", "two"]) await admin().request("POST", at(plural, "default"), custom(plural, name, "default"));
    await takeApproved(agent, [{ name: "a", objects: [tenant.map("y")] }]);
    await eventually(() => expect(exceptionOf(agent, `${plural}.${group}`)).toMatchObject({ code: "PRUNE_BLOCKED" }), within);
    expect(exceptionOf(agent, `${plural}.${group}`)?.message).toContain("has 2 objects of its kind");
    expect(exceptionOf(agent, `${plural}.${group}`)?.message).toContain("default/one");
    expect(tenant.deleted()).toEqual([`${tenant.namespace}/${plural}/declared`]);
    for (const name of ["one", "two"]) await admin().request("DELETE", `${at(plural, "default")}/${name}`);
    agent.reconciler.trigger();
    await eventually(async () => expect(await admin().get(definitionAt(plural))).toBeUndefined(), within);
    await eventually(async () => expect(await owned(agent)).toEqual(["y"]), within);
  });

  it("E086, E088: with an object of ours that its finalizer holds, the definition waits and says for what; then both go", async () => {
    const plural = "gears";
    const { tenant, agent } = await applied((one) => [definition(group, plural), custom(plural, "held", one.namespace), one.map("y")]);
    const path = `${at(plural, tenant.namespace)}/held`;
    await patch(path, { metadata: { finalizers: ["example.com/hold"] } });
    await takeApproved(agent, [{ name: "a", objects: [tenant.map("y")] }]);
    await eventually(() => expect(agent.bundle("a")).toMatchObject({ state: SyncState.Pending, reason: "PRUNE_WAITING" }), within);
    expect(exceptionOf(agent, `${plural}.${group}`)?.message).toContain(`${tenant.namespace}/held`);
    expect(exceptionOf(agent, "held")).toMatchObject({ health: "Terminating" });
    expect((await admin().request<Manifest>("GET", definitionAt(plural))).metadata["deletionTimestamp"]).toBeUndefined();
    await patch(path, { metadata: { finalizers: null } });
    await eventually(async () => expect(await owned(agent)).toEqual(["y"]), within);
    expect(tenant.deleted()).toEqual([`${tenant.namespace}/${plural}/held`, `/customresourcedefinitions/${plural}.${group}`]);
  });

  it("E087: a definition that somebody deletes comes back, and its objects with it; the agent deletes nothing", async () => {
    const plural = "clocks";
    const { tenant, agent } = await applied((one) => [definition(group, plural), custom(plural, "c", one.namespace), one.map("y")]);
    const before = await admin().request<Manifest>("GET", definitionAt(plural));
    await admin().request("DELETE", definitionAt(plural));
    await eventually(async () => {
      expect((await admin().get<Manifest>(definitionAt(plural)))?.metadata["uid"]).not.toBe(before.metadata["uid"]);
      expect(await admin().get(`${at(plural, tenant.namespace)}/c`)).toMatchObject({ spec: { size: 1 } });
    }, within);
    await synced(agent, "a");
    await agent.take([{ name: "a", objects: [definition(group, plural), tenant.map("y")] }]);
    await eventually(async () => expect(await owned(agent)).toEqual([`${plural}.${group}`, "y"]), within);
    expect(tenant.deleted()).toEqual([`${tenant.namespace}/${plural}/c`]);
  });

  it("E088: a definition that hangs on the finalizer of its object is told, costs few writes, and comes back when it is gone", async () => {
    const plural = "pumps";
    const { tenant, agent } = await applied((one) => [definition(group, plural), custom(plural, "p", one.namespace), one.map("y")]);
    const path = `${at(plural, tenant.namespace)}/p`;
    await patch(path, { metadata: { finalizers: ["example.com/hold"] } });
    await admin().request("DELETE", definitionAt(plural));
    await eventually(() => expect(exceptionOf(agent, `${plural}.${group}`)).toMatchObject({ health: "Terminating" }), within);
    const mark = edge.api.auditMark();
    await agent.take([{ name: "a", objects: [definition(group, plural), custom(plural, "p", tenant.namespace), tenant.map("y", "2")] }]);
    await eventually(async () => expect(await tenant.live()).toEqual({ y: "2" }));
    const until = performance.now() + 5_000;
    await eventually(() => expect(performance.now()).toBeGreaterThan(until), { timeoutMs: 8_000 });
    expect(tenant.writes(mark).filter((write) => !write.endsWith(" y")).length).toBeLessThanOrEqual(10);
    await patch(path, { metadata: { finalizers: null } });
    await eventually(async () => expect((await admin().get<Manifest>(path))?.metadata["deletionTimestamp"]).toBeUndefined(), within);
    await eventually(async () => expect(await admin().get(path)).toMatchObject({ spec: { size: 1 } }), within);
    await synced(agent, "a", 30_000);
    expect(tenant.deleted()).toEqual([]);
  });
});
