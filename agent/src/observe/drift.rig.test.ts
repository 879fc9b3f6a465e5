import { type DriftMode, type JsonObject, type Manifest, type ObjectRefText, parseObjectRef } from "@muster/shared/model";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { isMutating } from "../../../test/rig/audit-log.ts";
import { type Clusters, startClusters } from "../../../test/rig/clusters.ts";
import { eventually } from "../../../test/rig/eventually.ts";
import type { KubeApiserver } from "../../../test/rig/kube-apiserver.ts";
import type { Cluster } from "../kube/cluster.ts";
import { createCluster } from "../kube/create-cluster.ts";
import { createSliceMaker } from "../pull/testing/slice-maker.ts";
import { type ComposedAgent, composeAgent } from "../reconcile/testing/compose-agent.ts";

const CANARY = "canary-4711";
const USER = "system:serviceaccount:default:agent";

let clusters: Clusters;
let api: KubeApiserver;
let cluster: Cluster;
let count = 0;
const running: ComposedAgent[] = [];

beforeAll(async () => {
  clusters = await startClusters(["drift"]);
  api = clusters.get("drift");
  const token = await api.serviceAccountToken("default", "agent");
  await api.admin.request("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", {
    metadata: { name: "agent" },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "cluster-admin" },
    subjects: [{ kind: "ServiceAccount", namespace: "default", name: "agent" }],
  });
  cluster = createCluster({ kubeconfig: api.writeKubeconfig("agent", token), userAgent: "muster-agent/test" });
});
afterEach(() => {
  for (const agent of running.splice(0)) agent.stop();
});
afterAll(async () => {
  await cluster?.close();
  await clusters?.stop();
});

/** A namespace with a bundle in it, which an agent has applied and now watches. */
async function setUp(mode: DriftMode, spec: JsonObject = {}, podSpec: JsonObject = {}) {
  const namespace = `drift-${++count}`;
  const state = `${namespace}-muster`;
  for (const name of [namespace, state]) await api.admin.request("POST", "/api/v1/namespaces", { metadata: { name } });
  const maker = createSliceMaker();
  const start = () => {
    const agent = composeAgent(cluster, { maker, namespace: state });
    running.push(agent);
    return agent;
  };
  const objects: Manifest[] = [
    {
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: { name: "web", namespace, annotations: { "example.com/team": `${CANARY}-a` } },
      spec: {
        ...spec,
        selector: { matchLabels: { app: "web" } },
        template: { metadata: { labels: { app: "web" } }, spec: { ...podSpec, containers: [{ name: "web", image: `${CANARY}:1` }] } },
      },
    },
    { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "site", namespace }, data: { value: CANARY } },
  ];
  const bundles = (of: DriftMode) => [{ name: "a", objects, options: { drift: { mode: of, ignore: [] } } }];
  const agent = start();
  await agent.take(bundles(mode));
  await eventually(async () => expect((await agent.inventory()).applied.has("a")).toBe(true));
  const mark = api.auditMark();
  const web = { ref: `${namespace}_web_apps_Deployment` as ObjectRefText, path: `/apis/apps/v1/namespaces/${namespace}/deployments/web` };
  const site = { ref: `${namespace}_site__ConfigMap` as ObjectRefText, path: `/api/v1/namespaces/${namespace}/configmaps/site` };
  const live = (path: string) => api.admin.request<Manifest>("GET", path);
  return {
    agent,
    start,
    web,
    site,
    live,
    to: (of: DriftMode) => agent.take(bundles(of)),
    edit: (path: string, manager: string, change: JsonObject) =>
      api.admin.request("PATCH", `${path}?fieldManager=${manager}`, change, "application/merge-patch+json"),
    /** The agent has heard of the object's latest state. */
    seen: async ({ ref, path }: typeof web) => {
      const version = (await live(path)).metadata["resourceVersion"];
      await eventually(() => expect(agent.observer.get(ref)?.resourceVersion).toBe(version));
    },
    /** What the agent has written since it had applied the bundle, by the audit log. */
    writes: () =>
      api
        .audit(mark)
        .filter((entry) => entry.user === USER && entry.namespace.startsWith(namespace) && isMutating(entry))
        .map((entry) => `${entry.verb} ${entry.resource} ${entry.name}`),
  };
}
const drift = (agent: ComposedAgent, ref: ObjectRefText) => agent.observer.get(ref)?.drift;
const image = (value: string): JsonObject => ({ spec: { template: { spec: { containers: [{ name: "web", image: value }] } } } });

describe("drift, on a real API server, in mode report", () => {
  it("S1: an edit is told with who, when and which fields, what they are and were to be, and is written over by nobody", async () => {
    const { agent, web, edit, seen, writes } = await setUp("report");
    const began = Date.now();
    await edit(web.path, "kubectl-edit", { ...image(`${CANARY}:2`), metadata: { annotations: { "example.com/team": `${CANARY}-b` } } });
    await eventually(() =>
      expect(drift(agent, web.ref)).toEqual({
        kind: "modified",
        manager: "kubectl-edit",
        at: expect.any(String),
        paths: [".metadata.annotations[example.com/team]", ".spec.template.spec.containers[name=web].image"],
        fields: [
          { path: ".metadata.annotations[example.com/team]", wanted: `"${CANARY}-a"`, got: `"${CANARY}-b"` },
          { path: ".spec.template.spec.containers[name=web].image", wanted: `"${CANARY}:1"`, got: `"${CANARY}:2"` },
        ],
      }),
    );
    expect(Math.abs(Date.parse(drift(agent, web.ref)?.at ?? "") - began)).toBeLessThan(10_000);
    expect(agent.bundle("a")).toMatchObject({ state: "OutOfSync", drifted: 1 });
    expect(agent.told.filter((event) => event.type === "DriftDetected")).toMatchObject([
      { bundle: "a", object: { kind: "Deployment", name: "web" }, message: expect.stringContaining("modified by kubectl-edit") },
    ]);
    // Events and messages go further than the drift of one object: into logs and histories.
    const said = JSON.stringify([agent.told, agent.reconciler.exceptions().map((one) => one.message), agent.bundle("a")]);
    expect(said).not.toContain(CANARY);

    await edit(web.path, "kubectl-edit", { ...image(`${CANARY}:1`), metadata: { annotations: { "example.com/team": `${CANARY}-a` } } });
    await seen(web);
    expect(drift(agent, web.ref)).toBeUndefined();
    expect(agent.bundle("a")).toMatchObject({ state: "Synced", drifted: 0 });
    expect(writes()).toEqual([]);
  });

  it("what was removed is told, whole where nothing of it is left, also the label that the watch goes by", async () => {
    const { agent, site, edit, writes } = await setUp("report");
    await edit(site.path, "kubectl-label", { metadata: { labels: { "muster.dev/bundle": null } }, data: { value: null } });
    await eventually(() =>
      expect(drift(agent, site.ref)).toMatchObject({
        kind: "modified",
        paths: [".data", ".metadata.labels"],
      }),
    );
    expect(writes()).toEqual([]);
  });

  it("a deletion is told as missing, and what somebody makes anew under the name as unexpected", async () => {
    const { agent, site, live, writes } = await setUp("report");
    const before = await live(site.path);
    await api.admin.request("DELETE", site.path);
    await eventually(() => expect(agent.observer.get(site.ref)).toMatchObject({ health: "NotFound", drift: { kind: "missing" } }));
    const { uid: _, resourceVersion: __, managedFields: ___, ...metadata } = before.metadata as JsonObject;
    await api.admin.request("POST", `${site.path.slice(0, -"/site".length)}?fieldManager=somebody`, { ...before, metadata });
    await eventually(() => expect(drift(agent, site.ref)).toMatchObject({ kind: "unexpected", manager: "somebody" }));
    expect(agent.bundle("a")).toMatchObject({ state: "OutOfSync", drifted: 1 });
    expect(agent.told.map((event) => event.message).filter((message) => message.includes("ConfigMap"))).toEqual([
      expect.stringContaining("is missing"),
    ]);
    expect(writes()).toEqual([]);
  });

  it("an autoscaler may set what the slice does not", async () => {
    const { agent, web, edit, seen, live, writes } = await setUp("report");
    await edit(`${web.path}/scale`, "kube-controller-manager", { spec: { replicas: 7 } });
    await edit(`${web.path}/status`, "kube-controller-manager", { status: { replicas: 7, observedGeneration: 2 } });
    await edit(web.path, "somebody", { metadata: { labels: { added: "1" } }, spec: { minReadySeconds: 5 } });
    await seen(web);
    expect((await live(web.path))["spec"]).toMatchObject({ replicas: 7, minReadySeconds: 5 });
    expect(drift(agent, web.ref)).toBeUndefined();
    expect(agent.told.map((event) => event.type)).not.toContain("DriftDetected");
    expect(writes()).toEqual([]);
  });

  it("what others put where the slice has an empty map is theirs, unless the map is owned as a whole", async () => {
    const { agent, web, edit, seen, live, writes } = await setUp("report", { strategy: {} }, { nodeSelector: {}, securityContext: {} });
    await edit(web.path, "somebody", {
      spec: { strategy: { rollingUpdate: { maxSurge: 3 } }, template: { spec: { securityContext: { runAsUser: 5 } } } },
    });
    await seen(web);
    expect((await live(web.path))["spec"]).toMatchObject({ template: { spec: { securityContext: { runAsUser: 5 } } } });
    expect(drift(agent, web.ref)).toBeUndefined();
    await edit(web.path, "scheduler", { spec: { template: { spec: { nodeSelector: { disk: "ssd" } } } } });
    await eventually(() =>
      expect(drift(agent, web.ref)).toMatchObject({ manager: "scheduler", paths: [".spec.template.spec.nodeSelector"] }),
    );
    expect(writes()).toEqual([]);
  });

  it("an autoscaler that sets what the slice sets is named", async () => {
    const { agent, web, edit, writes } = await setUp("report", { replicas: 2 });
    await edit(`${web.path}/scale`, "kube-controller-manager", { spec: { replicas: 7 } });
    await eventually(() =>
      expect(drift(agent, web.ref)).toMatchObject({ kind: "modified", manager: "kube-controller-manager", paths: [".spec.replicas"] }),
    );
    expect(writes()).toEqual([]);
  });

  it("who owns a field is nobody's drift while its value is ours", async () => {
    const { agent, site, edit, seen, live, writes } = await setUp("report");
    await api.admin.request(
      "PATCH",
      `${site.path}?fieldManager=other&force=true`,
      { apiVersion: "v1", kind: "ConfigMap", data: { value: CANARY } },
      "application/apply-patch+yaml",
    );
    await seen(site);
    expect(drift(agent, site.ref)).toBeUndefined();
    await edit(site.path, "somebody", { metadata: { managedFields: [{}] } });
    await seen(site);
    expect(JSON.stringify((await live(site.path)).metadata["managedFields"] ?? [])).not.toContain("muster");
    expect(drift(agent, site.ref)).toBeUndefined();
    expect(writes()).toEqual([]);
  });

  it("P3: an agent that starts anew tells of the same drift, and asks the API server without writing", async () => {
    const { agent, start, web, site, edit, writes } = await setUp("report");
    await edit(web.path, "kubectl-edit", image(`${CANARY}:2`));
    await api.admin.request("DELETE", site.path);
    await eventually(() => expect(agent.bundle("a")).toMatchObject({ drifted: 2 }));
    const { desired } = agent.reconciler;
    agent.stop();
    const second = start();
    if (desired) second.reconciler.resume(desired);
    await eventually(() => {
      expect(drift(second, web.ref)).toMatchObject({ kind: "modified", manager: "kubectl-edit" });
      expect(second.observer.get(site.ref)).toMatchObject({ health: "NotFound", drift: { kind: "missing" } });
    });
    expect(second.bundle("a")).toMatchObject({ state: "OutOfSync", drifted: 2 });
    expect(second.reconciler.inspect({}).map((object) => object.lastAction)).toEqual(["skipped", "skipped"]);
    expect(writes()).toEqual([]);
  });

  it("an operator's “reconcile” asks again, and hides no drift", async () => {
    const { agent, web, site, edit, writes } = await setUp("report");
    await edit(web.path, "kubectl-edit", image(`${CANARY}:2`));
    await api.admin.request("DELETE", site.path);
    await eventually(() => expect(agent.bundle("a")).toMatchObject({ drifted: 2 }));
    const seen: (string | undefined)[] = [];
    agent.observer.onChange((observation) => seen.push(observation.drift?.kind));
    agent.reconciler.trigger("a");
    await eventually(() => expect(agent.reconciler.inspect({}).map((object) => object.lastAction)).toEqual(["skipped", "skipped"]));
    expect(seen.sort()).toEqual(["missing", "modified"]);
    expect(agent.bundle("a")).toMatchObject({ state: "OutOfSync", drifted: 2 });
    expect(agent.told.filter((event) => event.type === "DriftDetected")).toHaveLength(2);
    expect(writes()).toEqual([]);
  });

  it("E076: an agent that starts anew knows that an object is not the one that it had made", async () => {
    const { agent, start, site, live, writes } = await setUp("report");
    const { desired } = agent.reconciler;
    const { uid } = (await live(site.path)).metadata;
    agent.stop();
    await api.admin.request("DELETE", site.path);
    const name = parseObjectRef(site.ref).name;
    await api.admin.request("POST", `${site.path.slice(0, -"/site".length)}?fieldManager=somebody`, {
      metadata: { name, labels: { "muster.dev/bundle": "a" } },
      data: { value: CANARY },
    });
    expect((await live(site.path)).metadata["uid"]).not.toBe(uid);
    const second = start();
    if (desired) second.reconciler.resume(desired);
    await eventually(() => expect(drift(second, site.ref)).toMatchObject({ kind: "unexpected", manager: "somebody" }));
    expect(writes()).toEqual([]);
  });
});

describe("drift, on a real API server, when the mode becomes correct", () => {
  it("all of it is put back, each with one write, and what the slice does not set stays", async () => {
    const { agent, web, site, edit, live, to, writes } = await setUp("report");
    await edit(web.path, "kubectl-edit", image(`${CANARY}:2`));
    await edit(`${web.path}/scale`, "kube-controller-manager", { spec: { replicas: 7 } });
    await api.admin.request("DELETE", site.path);
    await eventually(() => expect(agent.bundle("a")).toMatchObject({ drifted: 2 }));
    await to("correct");
    await eventually(async () => {
      expect(agent.bundle("a")).toMatchObject({ state: "Synced", health: "InProgress", drifted: 0 });
      expect((await live(site.path))["data"]).toEqual({ value: CANARY });
    });
    expect((await live(web.path))["spec"]).toMatchObject({
      replicas: 7,
      template: { spec: { containers: [{ image: `${CANARY}:1` }] } },
    });
    // It is told once it is recorded, which is a moment later.
    await eventually(() => expect(agent.told.filter((event) => event.type === "DriftCorrected")).toHaveLength(2));
    const patches = writes().filter((write) => !write.includes("secrets"));
    expect(patches.sort()).toEqual(["patch configmaps site", "patch deployments web"]);
  });
});
