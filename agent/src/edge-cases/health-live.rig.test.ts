import { Health, type JsonObject, type Manifest } from "@muster/shared/model";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../../../test/rig/eventually.ts";
import type { ComposedAgent } from "../reconcile/testing/compose-agent.ts";
import { DEFINITIONS, definition, type EdgeCluster, startEdgeCluster, synced } from "./testing/edge-cluster.ts";

/** Health as the agent sees it on an API server whose controllers are this test: section 5 of the edge cases. */

let edge: EdgeCluster;
beforeAll(async () => {
  edge = await startEdgeCluster("health");
});
afterEach(() => edge.endTest());
afterAll(() => edge?.stop());

const merge = (path: string, change: unknown) => edge.api.admin.request("PATCH", path, change, "application/merge-patch+json");
const healthIs = (agent: ComposedAgent, bundle: string, health: Health, message?: string) =>
  eventually(() => {
    expect(agent.bundle(bundle)).toMatchObject({ state: "Synced", health });
    if (message !== undefined)
      expect(agent.reconciler.inspect({ bundle }).map((object) => object.message ?? "")).toContainEqual(expect.stringContaining(message));
  });
const POD: JsonObject = {
  metadata: { labels: { app: "x" } },
  spec: { containers: [{ name: "c", image: "c:1" }], restartPolicy: "Always" },
};
const ONCE: JsonObject = { spec: { containers: [{ name: "c", image: "c:1" }], restartPolicy: "Never" } };
const workload = (kind: string, namespace: string, spec: JsonObject): Manifest => ({
  apiVersion: "apps/v1",
  kind,
  metadata: { name: "x", namespace },
  spec: { replicas: 2, selector: { matchLabels: { app: "x" } }, template: POD, ...spec },
});

describe("the health of live objects", () => {
  it("E130: is InProgress until the controller has seen the generation that was applied, and again after each change", async () => {
    const { start, namespace } = await edge.newTenant();
    const agent = start();
    const path = `/apis/apps/v1/namespaces/${namespace}/deployments/x/status`;
    const done = { replicas: 2, updatedReplicas: 2, readyReplicas: 2, availableReplicas: 2 };
    await agent.take([{ name: "a", objects: [workload("Deployment", namespace, {})] }]);
    await healthIs(agent, "a", Health.InProgress);
    await merge(path, { status: { ...done, observedGeneration: 1 } });
    await healthIs(agent, "a", Health.Current);
    await agent.take([{ name: "a", objects: [workload("Deployment", namespace, { minReadySeconds: 5 })] }]);
    await healthIs(agent, "a", Health.InProgress, "generation 1 of 2");
    await merge(path, { status: { ...done, observedGeneration: 2 } });
    await healthIs(agent, "a", Health.Current);
  });

  it("E131: of a StatefulSet waits for the new revision, unless its pods are replaced by hand", async () => {
    const { start, namespace } = await edge.newTenant();
    const agent = start();
    const path = `/apis/apps/v1/namespaces/${namespace}/statefulsets/x/status`;
    const status = (more: JsonObject) => ({
      status: { observedGeneration: 1, replicas: 2, readyReplicas: 2, availableReplicas: 2, currentRevision: "one", ...more },
    });
    await agent.take([{ name: "a", objects: [workload("StatefulSet", namespace, { serviceName: "x" })] }]);
    await healthIs(agent, "a", Health.InProgress);
    await merge(path, status({ updateRevision: "two", updatedReplicas: 1 }));
    await healthIs(agent, "a", Health.InProgress, "revision");
    await merge(path, status({ currentRevision: "two", updateRevision: "two", updatedReplicas: 2 }));
    await healthIs(agent, "a", Health.Current);
    const onDelete = workload("StatefulSet", namespace, { serviceName: "x", updateStrategy: { type: "OnDelete" } });
    await agent.take([{ name: "a", objects: [{ ...onDelete, metadata: { name: "y", namespace } }] }]);
    await synced(agent, "a");
    await merge(path.replace("/x/", "/y/"), status({ updateRevision: "three", updatedReplicas: 0 }));
    await healthIs(agent, "a", Health.Current, "OnDelete");
  });

  it("E133: of what is suspended or scaled to nothing is Current", async () => {
    const { start, namespace } = await edge.newTenant();
    const agent = start();
    const metadata = { name: "x", namespace };
    const job = { suspend: true, template: ONCE };
    await agent.take([
      { name: "job", objects: [{ apiVersion: "batch/v1", kind: "Job", metadata, spec: job }] },
      {
        name: "cron",
        objects: [
          { apiVersion: "batch/v1", kind: "CronJob", metadata, spec: { suspend: true, schedule: "* * * * *", jobTemplate: { spec: job } } },
        ],
      },
      { name: "zero", objects: [workload("Deployment", namespace, { replicas: 0 })] },
    ]);
    await healthIs(agent, "job", Health.Current, "Suspended");
    await healthIs(agent, "cron", Health.Current);
    await healthIs(agent, "zero", Health.InProgress);
    await merge(`/apis/apps/v1/namespaces/${namespace}/deployments/x/status`, { status: { observedGeneration: 1 } });
    await healthIs(agent, "zero", Health.Current);
  });

  it("E134: of a custom object without a status is Current, and with Ready Unknown or False InProgress", async () => {
    const { start, namespace } = await edge.newTenant();
    const agent = start();
    const group = "e134.example.com";
    await edge.api.admin.request("POST", DEFINITIONS, definition(group, "pumps"));
    await agent.take([{ name: "a", objects: [{ apiVersion: `${group}/v1`, kind: "Pump", metadata: { name: "x", namespace }, spec: {} }] }]);
    await healthIs(agent, "a", Health.Current);
    const path = `/apis/${group}/v1/namespaces/${namespace}/pumps/x/status`;
    for (const [status, health] of [
      ["Unknown", Health.InProgress],
      ["True", Health.Current],
      ["False", Health.InProgress],
    ] as const) {
      await merge(path, { status: { conditions: [{ type: "Ready", status, message: `it is ${status}` }] } });
      await healthIs(agent, "a", health, health === Health.InProgress ? `it is ${status}` : undefined);
    }
  });

  it("E139: of an object whose deletion was asked for is Terminating, however well it looks", async () => {
    const { start, map, path } = await edge.newTenant();
    const agent = start();
    const held = map("x");
    await agent.take([{ name: "a", objects: [{ ...held, metadata: { ...held.metadata, finalizers: ["example.com/hold"] } }] }]);
    await healthIs(agent, "a", Health.Current);
    await edge.api.admin.request("DELETE", path("x"));
    await eventually(() => expect(agent.bundle("a")).toMatchObject({ health: Health.Terminating }));
    await merge(path("x"), { metadata: { finalizers: null } });
    await eventually(async () => {
      const live = await edge.api.admin.get<Manifest>(path("x"));
      expect(live?.metadata["deletionTimestamp"]).toBeUndefined();
      expect(live).toBeDefined();
    });
    await healthIs(agent, "a", Health.Current);
  });

  it("E132: of a Job that has completed and was removed after its time to live is Current: it is no drift, and not run again", async () => {
    const { start, namespace, writes } = await edge.newTenant();
    const agent = start();
    const job: Manifest = {
      apiVersion: "batch/v1",
      kind: "Job",
      metadata: { name: "x", namespace },
      spec: { ttlSecondsAfterFinished: 1, template: ONCE },
    };
    const path = `/apis/batch/v1/namespaces/${namespace}/jobs/x`;
    await agent.take([{ name: "a", objects: [job] }]);
    await healthIs(agent, "a", Health.InProgress);
    const at = new Date().toISOString();
    const conditions = ["SuccessCriteriaMet", "Complete"].map((type) => ({ type, status: "True", lastTransitionTime: at }));
    await merge(`${path}/status`, { status: { startTime: at, completionTime: at, succeeded: 1, conditions } });
    await healthIs(agent, "a", Health.Current, "Completed");
    await eventually(async () => expect([...(await agent.inventory()).entries.values()]).toMatchObject([{ finished: expect.any(String) }]));
    // What the TTL controller does.
    await edge.api.admin.request("DELETE", `${path}?propagationPolicy=Background`);
    await eventually(async () => expect(await edge.api.admin.get(path)).toBeUndefined());
    const mark = edge.api.auditMark();
    await eventually(() => expect(agent.reconciler.inspect({ bundle: "a" })[0]?.message).toContain("time to live"));
    await healthIs(agent, "a", Health.Current);
    agent.reconciler.trigger("a");
    agent.stop();
    // Nor by an agent that starts anew.
    const second = start();
    second.reconciler.resume(agent.reconciler.desired!);
    await healthIs(second, "a", Health.Current);
    expect(writes(mark)).toEqual([]);
    expect(await edge.api.admin.get(path)).toBeUndefined();
    // Another Job of that name in Git is another Job.
    await second.take([{ name: "a", objects: [{ ...job, spec: { ttlSecondsAfterFinished: 1, backoffLimit: 1, template: ONCE } }] }]);
    await eventually(async () => expect(await edge.api.admin.get(path)).toBeDefined());
  });
});
