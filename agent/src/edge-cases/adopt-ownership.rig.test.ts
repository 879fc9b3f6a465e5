import { randomUUID } from "node:crypto";
import { type JsonObject, type Manifest, SyncState } from "@muster/shared/model";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../../../test/rig/eventually.ts";
import type { Cluster } from "../kube/cluster.ts";
import { createCluster } from "../kube/create-cluster.ts";
import { formatInventory, type InventoryEntry, parseInventory } from "../plan/inventory.ts";
import { createStateStore } from "../pull/state-store.ts";
import type { ComposedAgent } from "../reconcile/testing/compose-agent.ts";
import { type EdgeCluster, startEdgeCluster, synced, type Tenant } from "./testing/edge-cluster.ts";

/** Whose an object is: which bundle's, another tool's, or nobody's; and how the agent knows when its memory is gone. */

let edge: EdgeCluster;
const opened: Cluster[] = [];
beforeAll(async () => {
  edge = await startEdgeCluster("adopt");
});
afterEach(async () => {
  await edge.endTest();
  await Promise.all(opened.splice(0).map((cluster) => cluster.close()));
});
afterAll(() => edge?.stop());

const within = { timeoutMs: 20_000 };
const admin = () => edge.api.admin;
const patch = (path: string, change: object) => admin().request("PATCH", path, change, "application/merge-patch+json");
const live = (path: string) => admin().request<Manifest>("GET", path);
const uidOf = async (path: string) => (await live(path)).metadata["uid"];
const owned = async (agent: ComposedAgent) => [...(await agent.inventory()).entries.keys()].map((ref) => ref.split("_")[1]).sort();
const annotated = (manifest: Manifest, annotations: JsonObject): Manifest => ({
  ...manifest,
  metadata: { ...manifest.metadata, annotations },
});

/** Somebody else's ConfigMap. */
const theirs = (tenant: Tenant, name: string, metadata: JsonObject = {}) =>
  admin().request<Manifest>("POST", `/api/v1/namespaces/${tenant.namespace}/configmaps?fieldManager=them`, {
    ...tenant.map(name, "theirs"),
    metadata: { name, ...metadata },
  });

async function newAgent() {
  const tenant = await edge.newTenant();
  return { tenant, agent: tenant.start(), map: tenant.map };
}

/** Of another kind than the others, in a namespace that does not exist yet: with it no apply is full. */
const secretElsewhere = (tenant: Tenant): Manifest => ({
  apiVersion: "v1",
  kind: "Secret",
  metadata: { name: "w", namespace: `${tenant.namespace}-not-yet` },
});

/** The API server with the rights of a tenant's agent. */
function edgeCluster(tenant: Tenant): Cluster {
  const cluster = createCluster({ kubeconfig: edge.api.writeKubeconfig("store", tenant.token), userAgent: "muster-agent/test" });
  opened.push(cluster);
  return cluster;
}

/** Everything of the slice has been applied and recorded. */
const recorded = (agent: ComposedAgent, names: readonly string[]) =>
  eventually(async () => {
    const entries = [...(await agent.inventory()).entries.values()];
    expect(
      entries
        .filter(({ uid }) => uid !== undefined)
        .map(({ ref }) => ref.split("_")[1])
        .sort(),
    ).toEqual([...names].sort());
  }, within);

describe("an object and the bundles of its cluster, on a real API server", () => {
  it("E078, E079: moved to another bundle, and with a bundle that is renamed, it stays the same object; nothing is deleted", async () => {
    const { tenant, agent, map } = await newAgent();
    await agent.take([
      { name: "a", objects: [map("x"), map("y")] },
      { name: "b", objects: [map("z")] },
    ]);
    await recorded(agent, ["x", "y", "z"]);
    const before = await Promise.all(["x", "y", "z"].map((name) => uidOf(tenant.path(name))));
    const labels = async () =>
      Promise.all(
        ["x", "y", "z"].map(async (name) => ((await live(tenant.path(name))).metadata["labels"] as JsonObject)["muster.dev/bundle"]),
      );
    await agent.take([
      { name: "a", objects: [map("y")] },
      { name: "b", objects: [map("x"), map("z")] },
    ]);
    await eventually(async () => expect(await labels()).toEqual(["b", "a", "b"]), within);
    await agent.take([{ name: "renamed", objects: [map("x"), map("y"), map("z", "2")] }]);
    await eventually(async () => expect(await labels()).toEqual(["renamed", "renamed", "renamed"]), within);
    await synced(agent, "renamed");
    expect(await Promise.all(["x", "y", "z"].map((name) => uidOf(tenant.path(name))))).toEqual(before);
    expect(tenant.deleted()).toEqual([]);
    // It is the new bundle's in every way: it leaves with it.
    await agent.take([{ name: "renamed", objects: [map("x")] }]);
    await eventually(async () => expect(await owned(agent)).toEqual(["x"]), within);
  });

  it("E091: in two bundles at once it is the first one's and never goes back and forth; the second says so and has all the rest", async () => {
    const { tenant, agent, map } = await newAgent();
    const both = (value: string) => [
      { name: "a", objects: [map("x", "of a"), map("y", value)] },
      { name: "b", objects: [map("x", "of b"), map("z", value)] },
    ];
    await agent.take(both("1"));
    await synced(agent, "a");
    await eventually(() => expect(agent.bundle("b")).toMatchObject({ state: SyncState.Failed, reason: "OBJECT_DUPLICATE" }));
    expect(agent.bundle("b")?.message).toContain(`ConfigMap ${tenant.namespace}/x`);
    await eventually(async () => expect(await tenant.live()).toEqual({ x: "of a", y: "1", z: "1" }), within);
    await recorded(agent, ["x", "y", "z"]);
    const version = (await live(tenant.path("x"))).metadata["resourceVersion"];
    const mark = edge.api.auditMark();
    await agent.take(both("2"));
    await eventually(async () => expect(await tenant.live()).toEqual({ x: "of a", y: "2", z: "2" }), within);
    const until = performance.now() + 2_000;
    await eventually(() => expect(performance.now()).toBeGreaterThan(until));
    expect(tenant.writes(mark)).toEqual(["patch configmaps y", "patch configmaps z"]);
    expect((await live(tenant.path("x"))).metadata["resourceVersion"]).toBe(version);
    await agent.take([
      { name: "b", objects: [map("x", "of b"), map("z")] },
      { name: "c", objects: [map("y")] },
    ]);
    await synced(agent, "b");
    await synced(agent, "c");
    expect(await tenant.live()).toEqual({ x: "of b", y: "1", z: "1" });
    expect(tenant.deleted()).toEqual([]);
  });
});

describe("an object that is there already, on a real API server", () => {
  it("E092, E094: of nobody, it is adopted where it stands, and what was changed of it is told, without values", async () => {
    const { tenant, agent, map } = await newAgent();
    const { metadata } = await theirs(tenant, "x");
    await agent.take([{ name: "a", objects: [map("x", "ours")] }]);
    await synced(agent, "a");
    await recorded(agent, ["x"]);
    expect(await uidOf(tenant.path("x"))).toBe(metadata["uid"]);
    expect(await tenant.live()).toEqual({ x: "ours" });
    const told = agent.told.filter((event) => event.type === "Adopted");
    expect(told).toMatchObject([{ bundle: "a", object: { name: "x" }, message: expect.stringContaining(".data.value") }]);
    expect(told[0]?.message).not.toContain("theirs");
    expect(tenant.deleted()).toEqual([]);
  });

  it("E092: refused by its bundle, it says what an adoption would change, also what kubectl had set and Git has not; the object's word wins", async () => {
    const { tenant, agent, map } = await newAgent();
    const applied = { ...map("x", "theirs"), data: { value: "theirs", old: "1" } };
    const annotations = { "kubectl.kubernetes.io/last-applied-configuration": JSON.stringify(applied) };
    const path = `/api/v1/namespaces/${tenant.namespace}/configmaps?fieldManager=kubectl-client-side-apply`;
    const before = await admin().request<Manifest>("POST", path, { ...applied, metadata: { name: "x", annotations } });
    await theirs(tenant, "z");
    const never = { adoption: "never" as const };
    const z = annotated(map("z", "ours"), { "muster.dev/adopt": "ifUnowned" });
    await agent.take([{ name: "a", objects: [map("x", "ours"), map("y"), z], options: never }]);
    await eventually(
      () => expect(agent.bundle("a")).toMatchObject({ state: SyncState.Failed, reason: "ADOPT_REFUSED", failed: 1 }),
      within,
    );
    const told = agent.reconciler.exceptions().find(({ ref }) => ref.name === "x")?.message;
    expect(told).toMatch(/its bundle says adoption: never; adopted, it would change at \.data\.value, .*\.data\.old$/);
    expect(told).not.toContain("theirs");
    expect((await live(tenant.path("x"))).metadata["resourceVersion"]).toBe(before.metadata["resourceVersion"]);
    expect((await live(tenant.path("z")))["data"]).toEqual({ value: "ours" });
    await agent.take([{ name: "a", objects: [map("x", "ours"), map("y"), z], options: { adoption: "ifUnowned" } }]);
    await synced(agent, "a");
    expect((await live(tenant.path("x")))["data"]).toEqual({ value: "ours" });
  });

  const HELM = { annotations: { "meta.helm.sh/release-name": "web" } };
  it.each<[string, JsonObject, string, string | undefined]>([
    ["nobody", {}, "never", "says never"],
    ["nobody", {}, "ifUnowned", undefined],
    ["nobody", {}, "allways", "says allways"],
    ["Helm", HELM, "never", "Helm release web"],
    ["Helm", HELM, "ifUnowned", "Helm release web"],
    ["Helm", HELM, "always", undefined],
  ])("E092: of %s (%j), with muster.dev/adopt: %s", async (_, metadata, policy, refusal) => {
    const { tenant, agent, map } = await newAgent();
    await theirs(tenant, "x", metadata);
    await agent.take([{ name: "a", objects: [annotated(map("x", "ours"), { "muster.dev/adopt": policy }), map("y")] }]);
    await eventually(() => expect(agent.bundle("a")?.state).toBe(refusal ? SyncState.Failed : SyncState.Synced), within);
    expect((await live(tenant.path("x")))["data"]).toEqual({ value: refusal ? "theirs" : "ours" });
    if (refusal) expect(agent.bundle("a")).toMatchObject({ reason: "ADOPT_REFUSED", message: expect.stringContaining(refusal) });
    await eventually(async () => expect((await live(tenant.path("y")))["data"]).toEqual({ value: "1" }));
  });

  it.each<[string, JsonObject]>([
    ["Helm release web", { annotations: { "meta.helm.sh/release-name": "web" } }],
    ["Argo CD application web", { annotations: { "argocd.argoproj.io/tracking-id": "web" } }],
    ["Argo CD application web", { labels: { "argocd.argoproj.io/instance": "web" } }],
    ["Flux Kustomization web", { labels: { "kustomize.toolkit.fluxcd.io/name": "web" } }],
    ["Flux HelmRelease web", { labels: { "helm.toolkit.fluxcd.io/name": "web" } }],
    ["Fleet bundle web", { annotations: { "objectset.rio.cattle.io/id": "web" } }],
    ["Config Sync web", { annotations: { "configsync.gke.io/resource-id": "web" } }],
  ])("E093: of the %s (%j) is neither changed nor, when it leaves Git, deleted", async (owner, metadata) => {
    const { tenant, agent, map } = await newAgent();
    const before = await theirs(tenant, "x", metadata);
    await agent.take([{ name: "a", objects: [map("x"), map("y")] }]);
    await eventually(
      () => expect(agent.bundle("a")).toMatchObject({ reason: "ADOPT_REFUSED", message: expect.stringContaining(owner) }),
      within,
    );
    await agent.take([{ name: "a", objects: [map("y", "2")] }]);
    await eventually(async () => expect(await owned(agent)).toEqual(["y"]), within);
    await synced(agent, "a");
    expect((await live(tenant.path("x"))).metadata["resourceVersion"]).toBe(before.metadata["resourceVersion"]);
    expect(tenant.deleted()).toEqual([]);
  });

  it("E090: a child to which an operator has copied our label is neither adopted nor pruned, nor is what a controller has taken", async () => {
    const { tenant, agent, map } = await newAgent();
    const label = { "muster.dev/bundle": "a" };
    await agent.take([{ name: "a", objects: [map("parent"), map("taken")] }]);
    await recorded(agent, ["parent", "taken"]);
    const owner = {
      apiVersion: "v1",
      kind: "ConfigMap",
      name: "parent",
      uid: String(await uidOf(tenant.path("parent"))),
      controller: true,
    };
    await theirs(tenant, "copy", { labels: label });
    await theirs(tenant, "child", { labels: label, ownerReferences: [owner] });
    await patch(tenant.path("taken"), { metadata: { ownerReferences: [owner] } });
    await agent.take([{ name: "a", objects: [annotated(map("child", "ours"), { "muster.dev/adopt": "always" }), map("parent", "2")] }]);
    await eventually(() =>
      expect(agent.bundle("a")).toMatchObject({ reason: "ADOPT_REFUSED", message: expect.stringContaining("controller") }),
    );
    await agent.take([{ name: "a", objects: [map("parent", "3")] }]);
    await synced(agent, "a");
    await eventually(async () => expect(await owned(agent)).toEqual(["parent"]), within);
    expect(await tenant.live()).toEqual({ parent: "3", copy: "theirs", child: "theirs", taken: "1" });
    expect(tenant.deleted()).toEqual([]);
  });
});

describe("the memory of what is ours, on a real API server", () => {
  const inventoryOf = (tenant: Tenant) => `/api/v1/namespaces/${tenant.state}/secrets/muster-state-inventory`;

  it.each(["deleted", "damaged"])(
    "E096: %s in mid-run, it is made anew from what is there; nothing is pruned before a full apply, then with an approval only",
    async (how) => {
      const { tenant, agent, map } = await newAgent();
      // The other tests have objects of bundles of other names in this cluster, as another fleet might.
      const bundle = tenant.namespace;
      await agent.take([{ name: bundle, objects: [map("x"), map("y"), map("z")] }]);
      await recorded(agent, ["x", "y", "z"]);
      // A copy of our label alone makes nothing ours.
      await theirs(tenant, "copy", { labels: { "muster.dev/bundle": bundle } });
      const uids = await Promise.all(["x", "y"].map((name) => uidOf(tenant.path(name))));
      if (how === "deleted") await admin().request("DELETE", inventoryOf(tenant));
      else await patch(inventoryOf(tenant), { data: { value: "AAAA", root: "AAAA" } });
      agent.stop();
      const second = tenant.start();
      second.reconciler.resume(agent.reconciler.desired!);
      const elsewhere = secretElsewhere(tenant);
      const mark = edge.api.auditMark();
      // Something of the slice cannot be applied yet: the apply is not full.
      await second.take([{ name: bundle, objects: [map("x"), map("y", "2"), elsewhere] }]);
      await eventually(async () => expect(await tenant.live()).toMatchObject({ x: "1", y: "2", z: "1" }), within);
      await eventually(() => expect(second.bundle(bundle)).toMatchObject({ reason: "NAMESPACE_MISSING" }), within);
      expect(second.told).toContainEqual(
        expect.objectContaining({ type: "InventoryLost", message: expect.stringContaining(how === "deleted" ? "missing" : "damaged") }),
      );
      expect(second.reconciler.report(undefined).heldDeletion).toBeUndefined();
      await admin().request("POST", "/api/v1/namespaces", { metadata: { name: `${tenant.namespace}-not-yet` } });
      second.reconciler.trigger();
      const held = await eventually(() => {
        const found = second.reconciler.report(undefined).heldDeletion;
        expect(found).toMatchObject({ objects: 1, sample: [{ name: "z" }], message: expect.stringContaining("known by their label only") });
        return found!;
      }, within);
      await synced(second, bundle);
      expect(tenant.deleted(mark)).toEqual([]);
      expect(await Promise.all(["x", "y"].map((name) => uidOf(tenant.path(name))))).toEqual(uids);
      await second.take([{ name: bundle, objects: [map("x"), map("y", "2"), elsewhere] }], { approvedDeletions: [held.id] });
      await eventually(async () => expect(await tenant.live()).toEqual({ x: "1", y: "2", copy: "theirs" }), within);
      expect(tenant.deleted(mark)).toEqual([`${tenant.namespace}/configmaps/z`]);
      // What was claimed again is as before: it goes without asking.
      await second.take([{ name: bundle, objects: [map("y", "2"), elsewhere] }]);
      await eventually(async () => expect(await owned(second)).toEqual(["w", "y"]), within);
    },
  );

  it("E097: 50,000 objects are kept in several Secrets, and a write that ends half way leaves the inventory as it was", async () => {
    const tenant = await edge.newTenant();
    const cluster = edgeCluster(tenant);
    const large = (count: number) => {
      const entries = Array.from(
        { length: count },
        (_, index): InventoryEntry => ({ ref: `web_object-${index}__ConfigMap`, bundle: "a", uid: randomUUID() }),
      );
      return { entries: new Map(entries.map((entry) => [entry.ref, entry])), applied: new Map(), bundles: new Map(), rebuilt: false };
    };
    const inventory = large(50_000);
    const open = (of = cluster) => createStateStore({ cluster: of, namespace: tenant.state });
    const first = open();
    await first.write("inventory", Buffer.from(formatInventory(inventory)));
    const secrets = () =>
      admin().request<{ items: Manifest[] }>("GET", `/api/v1/namespaces/${tenant.state}/secrets?labelSelector=muster.dev/state`);
    expect((await secrets()).items.length).toBeGreaterThan(2);
    // Everything is written but the root, as by a process that is killed then.
    const killed = open({
      ...cluster,
      replace: (type, manifest) =>
        manifest.metadata.name === "muster-state-inventory" ? Promise.reject(new Error("killed")) : cluster.replace(type, manifest),
    });
    await killed.read("inventory");
    await expect(killed.write("inventory", Buffer.from(formatInventory(large(49_000))))).rejects.toThrow();
    const read = parseInventory(String(await open().read("inventory")));
    expect(read.entries.size).toBe(50_000);
    expect(read.entries.get("web_object-7__ConfigMap")).toEqual(inventory.entries.get("web_object-7__ConfigMap"));
    // The next process removes what was left behind.
    const sweeping = open();
    await sweeping.read("inventory");
    const before = (await secrets()).items.length;
    await sweeping.names();
    expect((await secrets()).items.length).toBeLessThan(before);
    expect(parseInventory(String(await open().read("inventory"))).entries.size).toBe(50_000);
  });

  it("E099: with etcd restored from a snapshot, that is noticed and told; nothing is pruned before a full apply, then also what came back", async () => {
    const { tenant, agent, map } = await newAgent();
    await agent.take([{ name: "a", objects: [map("x"), map("gone"), map("y")] }]);
    await recorded(agent, ["x", "gone", "y"]);
    const kept = createStateStore({ cluster: edgeCluster(tenant), namespace: tenant.state });
    const snapshot = new Map<string, Buffer>();
    for (const name of ["slice", "high-water", "inventory"]) snapshot.set(name, (await kept.read(name))!);
    const elsewhere = secretElsewhere(tenant);
    await agent.take([{ name: "a", objects: [map("x"), map("y"), map("later"), elsewhere] }]);
    await eventually(async () => expect(await owned(agent)).toEqual(["later", "w", "x", "y"]), within);
    // As the restore leaves it: what was deleted since is back (here with another UID, which the inventory of then must have), what was
    // made since is not, and the state is of then.
    await theirs(tenant, "gone", { labels: { "muster.dev/bundle": "a" } });
    const then = parseInventory(String(snapshot.get("inventory")));
    const entry = then.entries.get(tenant.ref("gone"))!;
    const entries = new Map(then.entries).set(entry.ref, { ...entry, uid: String(await uidOf(tenant.path("gone"))) });
    snapshot.set("inventory", Buffer.from(formatInventory({ ...then, entries })));
    for (const name of snapshot.keys()) await kept.read(name);
    for (const [name, value] of snapshot) await kept.write(name, value);
    const mark = edge.api.auditMark();
    await admin().request("DELETE", tenant.path("later"));
    await eventually(async () => expect(await tenant.live()).toMatchObject({ later: "1" }), within);
    await agent.take([{ name: "a", objects: [map("x", "2"), map("later"), elsewhere] }]);
    await eventually(async () => expect(await tenant.live()).toMatchObject({ x: "2", y: "1", gone: "theirs" }), within);
    await eventually(() => expect(agent.bundle("a")).toMatchObject({ reason: "NAMESPACE_MISSING" }), within);
    expect(agent.told.filter((event) => event.type === "StateRewound")).toHaveLength(1);
    expect(await owned(agent)).toEqual(["gone", "later", "w", "x", "y"]);
    expect(tenant.deleted(mark)).toEqual([]);
    await admin().request("POST", "/api/v1/namespaces", { metadata: { name: elsewhere.metadata["namespace"] } });
    agent.reconciler.trigger();
    await eventually(async () => expect(await owned(agent)).toEqual(["later", "w", "x"]), within);
    expect(tenant.deleted(mark).sort()).toEqual(["gone", "y"].map((name) => `${tenant.namespace}/configmaps/${name}`));
    expect(agent.told.filter((event) => event.type === "StateRewound")).toHaveLength(1);
  });
});
