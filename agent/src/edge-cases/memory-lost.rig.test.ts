import type { JsonObject, Manifest } from "@muster/shared/model";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../../../test/rig/eventually.ts";
import type { AuditMark } from "../../../test/rig/kube-apiserver.ts";
import type { Cluster } from "../kube/cluster.ts";
import { createCluster } from "../kube/create-cluster.ts";
import { loadKeptState } from "../pull/desired-state.ts";
import { createStateStore } from "../pull/state-store.ts";
import type { ComposedAgent, ComposeOptions } from "../reconcile/testing/compose-agent.ts";
import { type EdgeCluster, startEdgeCluster, synced, type Tenant } from "./testing/edge-cluster.ts";

/** An agent whose memory somebody has deleted or put back to what it was. Section 3 of the edge cases. */

let edge: EdgeCluster;
const opened: Cluster[] = [];
beforeAll(async () => {
  edge = await startEdgeCluster("memory");
});
afterEach(async () => {
  await edge.endTest();
  await Promise.all(opened.splice(0).map((cluster) => cluster.close()));
});
afterAll(() => edge?.stop());

const within = { timeoutMs: 20_000 };
const admin = () => edge.api.admin;
const secretsOf = ({ state }: Tenant) => `/api/v1/namespaces/${state}/secrets`;
const owned = async (agent: ComposedAgent) => [...(await agent.inventory()).entries.keys()].map((ref) => ref.split("_")[1]).sort();
const stateOf = async (tenant: Tenant) => {
  const { items } = await admin().request<{ items: Manifest[] }>("GET", `${secretsOf(tenant)}?labelSelector=muster.dev/state`);
  return Object.fromEntries(items.map(({ metadata, data }) => [metadata.name, data]));
};
/** Somebody tidies up. */
async function deleteState(tenant: Tenant, what: (name: string) => boolean = () => true): Promise<string[]> {
  const gone = Object.keys(await stateOf(tenant)).filter(what);
  for (const name of gone) {
    // The agent itself may still be dropping what it does not need.
    await admin()
      .request("DELETE", `${secretsOf(tenant)}/${name}`)
      .catch((error: { status?: number }) => expect(error.status).toBe(404));
  }
  return gone;
}
const recorded = (agent: ComposedAgent, names: readonly string[]) =>
  eventually(async () => {
    const { entries } = await agent.inventory();
    expect([...entries.values()].filter(({ uid }) => uid).map(({ ref }) => ref.split("_")[1])).toEqual([...names].sort());
  }, within);

/** A process that starts as the agent's does: with what is kept in the cluster, whatever that is. */
async function startAnew(tenant: Tenant, options: Partial<ComposeOptions> = {}): Promise<ComposedAgent> {
  const cluster = createCluster({ kubeconfig: edge.api.writeKubeconfig(tenant.state, tenant.token), userAgent: "muster-agent/test" });
  opened.push(cluster);
  const kept = await loadKeptState(createStateStore({ cluster, namespace: tenant.state }), [tenant.maker.publicKey]);
  const agent = tenant.start({ cluster, ...options });
  if (kept.desired) agent.reconciler.resume(kept.desired);
  return agent;
}

describe("the agent's state in its namespace", () => {
  it("E096: deleted while the agent runs, it is there again as it was; the next process misses nothing and writes nothing", async () => {
    const tenant = await edge.newTenant();
    const agent = tenant.start();
    await agent.take([{ name: "a", objects: [tenant.map("x"), tenant.map("gone")] }]);
    await agent.take([{ name: "a" }, { name: "b", objects: [tenant.map("y")] }]);
    await recorded(agent, ["gone", "x", "y"]);
    const were = await stateOf(tenant);
    expect((await deleteState(tenant)).length).toBeGreaterThan(4);
    agent.reconciler.checkState();
    await eventually(async () => expect(await stateOf(tenant)).toEqual(were), within);
    expect(agent.told.filter(({ type }) => type === "StateMended")).toHaveLength(1);
    agent.stop();
    const mark = edge.api.auditMark();
    const next = await startAnew(tenant);
    await synced(next, "b");
    expect(next.told.map(({ type }) => type)).not.toContain("InventoryLost");
    expect(tenant.writes(mark).filter((write) => !write.startsWith("patch"))).toEqual([]);
    await next.take([
      { name: "a", objects: [tenant.map("x")] },
      { name: "b", objects: [tenant.map("y")] },
    ]);
    await eventually(async () => expect(await tenant.live()).toEqual({ x: "1", y: "1" }), within);
    expect(tenant.deleted(mark)).toEqual([`${tenant.namespace}/configmaps/gone`]);
  });

  /** An agent has run and stopped, and somebody has deleted some of what it kept; the next one takes a slice that wants `left` no more. */
  async function afterDeletion(what: RegExp) {
    const tenant = await edge.newTenant();
    // Other tests, as other fleets, have bundles in this cluster too.
    const bundle = tenant.namespace;
    const first = tenant.start();
    await first.take([{ name: bundle, objects: [tenant.map("x"), tenant.map("y"), tenant.map("left")] }]);
    await recorded(first, ["left", "x", "y"]);
    first.stop();
    expect((await deleteState(tenant, (name) => what.test(name))).length).toBeGreaterThan(0);
    const mark = edge.api.auditMark();
    const second = await startAnew(tenant);
    const wanted = [{ name: bundle, objects: [tenant.map("x"), tenant.map("y", "2")] }];
    await second.take(wanted);
    await synced(second, bundle);
    return { tenant, second, wanted, deleted: () => tenant.deleted(mark), left: [`${tenant.namespace}/configmaps/left`] };
  }

  it.each([
    ["the inventory", /inventory/],
    ["all of it", /./],
  ])(
    "E096: deleted while no agent runs (%s), nothing is deleted for it; what left Git meanwhile waits for an approval",
    async (_, what) => {
      const { tenant, second, wanted, deleted, left } = await afterDeletion(what);
      const held = await eventually(() => {
        const found = second.reconciler.report(undefined).heldDeletion;
        expect(found).toMatchObject({ objects: 1, sample: [{ name: "left" }] });
        return found!;
      }, within);
      expect(await tenant.live()).toEqual({ x: "1", y: "2", left: "1" });
      expect(second.told.filter(({ type }) => type === "InventoryLost")).toHaveLength(1);
      expect(deleted()).toEqual([]);
      await second.take(wanted, { approvedDeletions: [held.id] });
      await eventually(async () => expect(await tenant.live()).toEqual({ x: "1", y: "2" }), within);
      expect(deleted()).toEqual(left);
    },
  );

  it("E096: deleted while no agent runs (the slice and its manifest sets), only what left Git is deleted, without an approval", async () => {
    const { tenant, second, deleted, left } = await afterDeletion(/slice|high-water|blob/);
    // The inventory still says what is ours, and a verified slice that it is not wanted: no more is needed, and nothing else may go.
    await eventually(async () => expect(await tenant.live()).toEqual({ x: "1", y: "2" }), within);
    expect(deleted()).toEqual(left);
    expect(second.told.map(({ type }) => type)).not.toContain("InventoryLost");
    expect(second.reconciler.report(undefined)).not.toHaveProperty("heldDeletion");
  });

  it("E096: lost by an agent that is bound to namespaces, what is left is found in these and nowhere else", async () => {
    const tenant = await edge.newTenant("all");
    const other = `${tenant.namespace}-other`;
    await admin().request("POST", "/api/v1/namespaces", { metadata: { name: other } });
    const bundle = tenant.namespace;
    const elsewhere: Manifest = { ...tenant.map("elsewhere"), metadata: { name: "elsewhere", namespace: other } };
    const first = tenant.start();
    await first.take([{ name: bundle, objects: [tenant.map("x"), tenant.map("left"), elsewhere] }]);
    await recorded(first, ["elsewhere", "left", "x"]);
    first.stop();
    // It may look at its own namespace only: all lists of the cluster are refused.
    await tenant.setRights([]);
    const rights: JsonObject[] = [{ apiGroups: ["*"], resources: ["*"], verbs: ["*"] }];
    await admin().request("POST", `/apis/rbac.authorization.k8s.io/v1/namespaces/${tenant.namespace}/roles`, {
      metadata: { name: "agent" },
      rules: rights,
    });
    await admin().request("POST", `/apis/rbac.authorization.k8s.io/v1/namespaces/${tenant.namespace}/rolebindings`, {
      metadata: { name: "agent" },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: "agent" },
      subjects: [{ kind: "ServiceAccount", namespace: tenant.state, name: "agent" }],
    });
    for (const lost of [/inventory/, /./]) {
      await deleteState(tenant, (name) => lost.test(name));
      const agent = await startAnew(tenant, { watchNamespaces: [tenant.namespace] });
      await agent.take([{ name: bundle, objects: [tenant.map("x")] }]);
      await synced(agent, bundle);
      await eventually(() => expect(agent.reconciler.report(undefined).heldDeletion).toMatchObject({ sample: [{ name: "left" }] }), within);
      expect(await owned(agent)).toEqual(["left", "x"]);
      agent.stop();
    }
    expect(tenant.deleted()).toEqual([]);
  });

  it("E096: lost while a kind cannot be listed, that kind holds up nothing, and is named", async () => {
    const tenant = await edge.newTenant();
    const bundle = tenant.namespace;
    const group = "dead.example.com";
    const definition: Manifest = {
      apiVersion: "apiextensions.k8s.io/v1",
      kind: "CustomResourceDefinition",
      metadata: { name: `oddities.${group}` },
      spec: {
        group,
        scope: "Namespaced",
        names: { plural: "oddities", kind: "Oddity" },
        versions: ["v1", "v2"].map((name) => ({
          name,
          served: true,
          storage: name === "v1",
          schema: { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } },
        })),
      },
    };
    const definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    await admin().request("POST", definitions, definition);
    const oddity = { apiVersion: `${group}/v1`, kind: "Oddity", metadata: { name: "one", labels: { "muster.dev/bundle": bundle } } };
    await eventually(() => admin().request("POST", `/apis/${group}/v1/namespaces/${tenant.namespace}/oddities`, oddity), within);
    const conversion = {
      strategy: "Webhook",
      webhook: { conversionReviewVersions: ["v1"], clientConfig: { url: "https://127.0.0.1:1/convert" } },
    };
    await admin().request("PATCH", `${definitions}/oddities.${group}`, { spec: { conversion } }, "application/merge-patch+json");
    await eventually(async () => {
      const listed = admin().request("GET", `/apis/${group}/v2/namespaces/${tenant.namespace}/oddities`);
      await expect(listed).rejects.toMatchObject({ status: expect.toSatisfy((status) => status === 429 || status === 500) });
    }, within);
    const first = tenant.start();
    await first.take([{ name: bundle, objects: [tenant.map("x"), tenant.map("left")] }]);
    await recorded(first, ["left", "x"]);
    first.stop();
    await deleteState(tenant);
    const second = await startAnew(tenant);
    await second.take([{ name: bundle, objects: [tenant.map("x")] }]);
    await synced(second, bundle);
    await eventually(() => expect(second.reconciler.report(undefined).heldDeletion).toMatchObject({ sample: [{ name: "left" }] }), within);
    expect(second.told).toContainEqual(
      expect.objectContaining({ type: "InventoryLost", message: expect.stringContaining("of Oddity nothing could be found") }),
    );
    await admin().request("DELETE", `${definitions}/oddities.${group}`);
  });
});

describe("etcd restored from a snapshot", () => {
  /** Since the snapshot one object has left Git, one has come, and one has changed. */
  const then = ({ map }: Tenant) => [{ name: "a", objects: [map("x"), map("y"), map("leaves")] }];
  const newest = ({ map }: Tenant) => [{ name: "a", objects: [map("x", "2"), map("y"), map("comes")] }];
  const newestIsLive = (tenant: Tenant) =>
    eventually(async () => expect(await tenant.live()).toEqual({ x: "2", y: "1", comes: "1" }), within);
  let lives: { readonly tenant: Tenant; readonly agent: ComposedAgent };
  let stopped: typeof lives;
  let mark: AuditMark;
  beforeAll(async () => {
    const begin = async () => {
      const tenant = await edge.newTenant();
      return { tenant, agent: tenant.start() };
    };
    [lives, stopped] = [await begin(), await begin()];
    for (const { tenant, agent } of [lives, stopped]) {
      await agent.take(then(tenant));
      await recorded(agent, ["leaves", "x", "y"]);
    }
    const restore = await edge.clusters.etcd.snapshot();
    for (const { tenant, agent } of [lives, stopped]) {
      await eventually(() => agent.take(newest(tenant)), within);
      await newestIsLive(tenant);
      await recorded(agent, ["comes", "x", "y"]);
    }
    stopped.agent.stop();
    mark = edge.api.auditMark();
    await edge.api.kill();
    await restore();
    await edge.api.restart();
  });

  it("E099: under a running agent, that is noticed at rest; the newest slice is applied in full, and only what it does not want is deleted", async () => {
    const { tenant, agent } = lives;
    agent.reconciler.checkState();
    await newestIsLive(tenant);
    await recorded(agent, ["comes", "x", "y"]);
    expect(agent.told.filter(({ type }) => type === "StateRewound")).toHaveLength(1);
    expect(tenant.deleted(mark)).toEqual([`${tenant.namespace}/configmaps/leaves`]);
    // The next process does not go back to the slice of then.
    agent.stop();
    const next = await startAnew(tenant);
    expect(next.reconciler.desired?.digest).toBe(agent.reconciler.desired?.digest);
    await synced(next, "a");
    await newestIsLive(tenant);
  });

  it("E099: while no agent runs, inventory and objects are of one time: the slice of then is in force until the newest is taken, as after any pause", async () => {
    const { tenant } = stopped;
    expect(await tenant.live()).toEqual({ x: "1", y: "1", leaves: "1" });
    const next = await startAnew(tenant);
    await synced(next, "a");
    // Nothing tells it that there was more, and nothing needs to: what it remembers is what there is.
    expect(tenant.writes(mark).filter((write) => !write.startsWith("patch"))).toEqual([]);
    expect(await tenant.live()).toEqual({ x: "1", y: "1", leaves: "1" });
    await next.take(newest(tenant));
    await newestIsLive(tenant);
    await recorded(next, ["comes", "x", "y"]);
    expect(tenant.deleted(mark)).toEqual([`${tenant.namespace}/configmaps/leaves`]);
  });
});
