import { type BundleOptions, isJsonObject, type JsonObject, type Manifest, SyncState } from "@muster/shared/model";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../../../test/rig/eventually.ts";
import type { ComposedAgent } from "../reconcile/testing/compose-agent.ts";
import { DEFINITIONS, definition, type EdgeCluster, startEdgeCluster, synced, type Tenant } from "./testing/edge-cluster.ts";

/** Bundles that are paused, and bundles that leave the cluster as a whole. */

let edge: EdgeCluster;
beforeAll(async () => {
  edge = await startEdgeCluster("leaving");
});
afterEach(() => edge.endTest());
afterAll(() => edge?.stop());

const within = { timeoutMs: 30_000 };
const admin = () => edge.api.admin;
const patch = (path: string, change: object) => admin().request("PATCH", path, change, "application/merge-patch+json");
const bundle = (name: string, objects: readonly Manifest[], options: Partial<BundleOptions> = {}) => ({ name, objects, options });
const owned = async (agent: ComposedAgent) => [...(await agent.inventory()).entries.keys()].map((ref) => ref.split("_")[1]).sort();
const exceptionOf = (agent: ComposedAgent, name: string) => agent.reconciler.exceptions().find((one) => one.ref.name === name);
const namespace = (name: string): Manifest => ({ apiVersion: "v1", kind: "Namespace", metadata: { name } });
const inNamespace = (manifest: Manifest, name: string): Manifest => ({ ...manifest, metadata: { ...manifest.metadata, namespace: name } });
const ORPHAN = { onRemoval: "orphan" as const };
const PAUSED = { paused: true as const };

async function applied(tenant: Tenant, ...bundles: ReturnType<typeof bundle>[]): Promise<ComposedAgent> {
  const agent = tenant.start();
  await agent.take(bundles);
  for (const { name } of bundles) await synced(agent, name);
  return agent;
}

/** Approves in Git what is held. */
async function approve(agent: ComposedAgent, bundles: ReturnType<typeof bundle>[]): Promise<void> {
  const held = await eventually(() => {
    const found = agent.reconciler.report(undefined).heldDeletion;
    expect(found).toBeDefined();
    return found!;
  });
  await agent.take(bundles, { approvedDeletions: [held.id] });
}

describe("a paused bundle, on a real API server", () => {
  it("E100: is not written to, in this process and in the next; its drift is told; after the pause all that waited is done", async () => {
    const tenant = await edge.newTenant();
    const { map } = tenant;
    let agent = await applied(tenant, bundle("a", [map("x"), map("y"), map("gone")]), bundle("b", [map("z")]));
    await agent.take([bundle("a", [map("x"), map("y", "2")], PAUSED), bundle("b", [map("z")])]);
    await eventually(async () => expect((await agent.inventory()).entries.get(tenant.ref("x"))?.applied).toBeDefined());
    const mark = edge.api.auditMark();
    await patch(tenant.path("x"), { data: { value: "by hand" } });
    const waiting = () =>
      eventually(
        () =>
          expect(agent.bundle("a")).toMatchObject({
            state: SyncState.Paused,
            drifted: 1,
            message: "paused in Git; 1 of 2 objects are not applied, 1 has drifted, 1 left Git",
          }),
        within,
      );
    await waiting();
    const { desired } = agent.reconciler;
    agent.stop();
    agent = tenant.start();
    agent.reconciler.resume(desired!);
    await waiting();
    expect(agent.reconciler.exceptions()).toMatchObject([{ ref: { name: "x" }, drift: { paths: [".data.value"] } }]);
    agent.reconciler.trigger("a");
    await synced(agent, "b");
    // A new process applies anew what it finds; of the other bundle only.
    expect(tenant.writes(mark)).toEqual(["patch configmaps z"]);
    await agent.take([bundle("a", [map("x"), map("y", "2")]), bundle("b", [map("z")])]);
    await eventually(async () => expect(await tenant.live()).toEqual({ x: "1", y: "2", z: "1" }), within);
    await synced(agent, "a");
  });

  it("E100: that leaves Git while it is paused is deleted only when a person approves it", async () => {
    const tenant = await edge.newTenant();
    const { map } = tenant;
    const rest = bundle("b", [map("z")]);
    const agent = await applied(tenant, bundle("a", [map("x")]), rest);
    await agent.take([bundle("a", [map("x")], PAUSED), rest]);
    await eventually(() => expect(agent.bundle("a")?.state).toBe(SyncState.Paused));
    await eventually(async () => expect((await agent.inventory()).bundles.get("a")).toEqual(PAUSED));
    await agent.take([rest]);
    await eventually(() => expect(agent.reconciler.report(undefined).heldDeletion?.message).toContain("a bundle that was paused"));
    expect(tenant.deleted()).toEqual([]);
    await approve(agent, [rest]);
    await eventually(async () => expect(await tenant.live()).toEqual({ z: "1" }), within);
  });
});

describe("a bundle that leaves as a whole, on a real API server", () => {
  it("E101: with onRemoval: orphan leaves its objects, without our label and our fields; nothing is deleted, and nothing held", async () => {
    const tenant = await edge.newTenant();
    const { map } = tenant;
    const many = Array.from({ length: 20 }, (_, index) => map(`m${index}`));
    const agent = await applied(tenant, bundle("a", many, ORPHAN), bundle("b", [map("z")]));
    const mark = edge.api.auditMark();
    await agent.take([bundle("b", [map("z")])]);
    await eventually(async () => expect(await owned(agent)).toEqual(["z"]), within);
    for (const name of ["m0", "m19"]) {
      const live = await admin().request<Manifest>("GET", tenant.path(name));
      expect([live["data"], live.metadata["labels"]]).toEqual([{ value: "1" }, undefined]);
      expect(JSON.stringify(live.metadata["managedFields"] ?? [])).not.toContain('"muster"');
    }
    expect(tenant.deleted(mark)).toEqual([]);
    expect(agent.reconciler.report(undefined).heldDeletion).toBeUndefined();
    // It comes back, and its objects are its own again.
    await agent.take([bundle("a", [map("m0", "2")]), bundle("b", [map("z")])]);
    await synced(agent, "a");
    await agent.take([bundle("b", [map("z")])]);
    await eventually(async () => expect(await admin().get(tenant.path("m0"))).toBeUndefined(), within);
  });

  it("E101: of several levels leaves what others' deletions would take along: a namespace with orphans in it stays, and a CRD", async () => {
    const tenant = await edge.newTenant();
    const home = `${tenant.namespace}-home`;
    const group = `${tenant.namespace}.example.com`;
    const custom: Manifest = {
      apiVersion: `${group}/v1`,
      kind: "Widget",
      metadata: { name: "w", namespace: tenant.namespace },
      spec: {},
    };
    const rest = bundle("rest", [tenant.map("z")]);
    const agent = await applied(
      tenant,
      bundle("base", [namespace(home), definition(group, "widgets")]),
      bundle("app", [inNamespace(tenant.map("x"), home), custom], { ...ORPHAN, dependsOn: ["base"] }),
      rest,
    );
    await agent.take([rest]);
    await approve(agent, [rest]);
    await eventually(
      () => expect(exceptionOf(agent, home)).toMatchObject({ code: "PRUNE_BLOCKED", message: expect.stringContaining("/x") }),
      within,
    );
    await eventually(() => expect(exceptionOf(agent, `widgets.${group}`)).toMatchObject({ code: "PRUNE_BLOCKED" }), within);
    expect(tenant.deleted()).toEqual([]);
    const live = await admin().request<Manifest>("GET", `/api/v1/namespaces/${home}/configmaps/x`);
    expect(live.metadata["labels"]).toBeUndefined();
    // Once the orphans are gone, the rest follows.
    await admin().request("DELETE", `/api/v1/namespaces/${home}/configmaps/x`);
    await admin().request("DELETE", `/apis/${group}/v1/namespaces/${tenant.namespace}/widgets/w`);
    agent.reconciler.trigger();
    await eventually(async () => expect(await admin().get(`${DEFINITIONS}/widgets.${group}`)).toBeUndefined(), within);
    await eventually(
      async () => expect((await admin().get<Manifest>(`/api/v1/namespaces/${home}`))?.metadata["deletionTimestamp"]).toBeDefined(),
      within,
    );
  });

  it("E012: what an operator has to clean up is gone before the operator is deleted, and its CRD after both", async () => {
    const tenant = await edge.newTenant();
    const group = `${tenant.namespace}.example.com`;
    const path = `/apis/${group}/v1/namespaces/${tenant.namespace}/widgets/w`;
    const custom: Manifest = {
      apiVersion: `${group}/v1`,
      kind: "Widget",
      metadata: { name: "w", namespace: tenant.namespace, finalizers: ["example.com/operator"] },
      spec: {},
    };
    const rest = bundle("rest", [tenant.map("z")]);
    const agent = await applied(
      tenant,
      bundle("operator", [definition(group, "widgets"), tenant.map("a-operator")]),
      bundle("app", [custom], { dependsOn: ["operator"] }),
      rest,
    );
    await agent.take([rest]);
    await approve(agent, [rest]);
    await eventually(
      () =>
        expect(exceptionOf(agent, "a-operator")).toMatchObject({
          code: "PRUNE_WAITING",
          message: expect.stringContaining(`to be gone: Widget.${group} ${tenant.namespace}/w of the bundle app`),
        }),
      within,
    );
    expect(tenant.deleted().filter((text) => text.includes("a-operator"))).toEqual([]);
    // The operator does its work.
    const live = await admin().request<Manifest>("GET", path);
    expect(isJsonObject(live.metadata as JsonObject) && live.metadata["deletionTimestamp"]).toBeTruthy();
    await patch(path, { metadata: { finalizers: [] } });
    await eventually(async () => expect(await owned(agent)).toEqual(["z"]), within);
    expect(tenant.deleted().map((text) => text.split("/").slice(1).join("/"))).toEqual([
      "widgets/w",
      "configmaps/a-operator",
      `customresourcedefinitions/widgets.${group}`,
    ]);
  });
});
