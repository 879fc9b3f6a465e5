import type { JsonObject, Manifest } from "@muster/shared/model";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../../../test/rig/eventually.ts";
import { DEFAULT_MINOR, KUBERNETES, OLDER_MINOR } from "../../../test/rig/kubernetes.ts";
import type { ComposedAgent } from "../reconcile/testing/compose-agent.ts";
import { definition, type EdgeCluster, startEdgeCluster, synced } from "./testing/edge-cluster.ts";

/** A cluster that moves on under its agent. Section 10 of the edge cases. */

let edge: EdgeCluster;
beforeAll(async () => {
  edge = await startEdgeCluster("upgrade", { minor: OLDER_MINOR });
});
afterEach(() => edge.endTest());
afterAll(() => edge?.stop());

/** Which objects there are, in which state. */
const identities = ({ observer }: ComposedAgent) =>
  [...observer.all()]
    .map(({ ref, uid, resourceVersion, drift }) => ({ ref, uid, resourceVersion, drift }))
    .sort((a, b) => (a.ref < b.ref ? -1 : 1));
const version = async () => (await edge.api.admin.get<{ gitVersion: string }>("/version"))?.gitVersion;

/** One object of every kind whose defaults tend to change, each with as little as it needs. */
function workloads(namespace: string): Manifest[] {
  const metadata = (name: string) => ({ name, namespace });
  const selector = { matchLabels: { app: "web" } };
  const pod: JsonObject = {
    metadata: { labels: { app: "web" } },
    spec: {
      containers: [{ name: "web", image: "web:1", ports: [{ containerPort: 80 }], readinessProbe: { httpGet: { port: 80 } } }],
      volumes: [{ name: "all", projected: { sources: [{ configMap: { name: "site" } }] } }],
    },
  };
  const once: JsonObject = { spec: { restartPolicy: "Never", containers: [{ name: "run", image: "run:1" }] } };
  const claim: JsonObject = { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } };
  const scaled: JsonObject = { apiVersion: "apps/v1", kind: "Deployment", name: "web" };
  return [
    { apiVersion: "v1", kind: "ConfigMap", metadata: metadata("site"), data: { a: "1" } },
    { apiVersion: "v1", kind: "Secret", metadata: metadata("site"), data: { a: "MQ==" } },
    { apiVersion: "v1", kind: "Service", metadata: metadata("web"), spec: { selector: { app: "web" }, ports: [{ port: 80 }] } },
    { apiVersion: "v1", kind: "PersistentVolumeClaim", metadata: metadata("data"), spec: claim },
    { apiVersion: "apps/v1", kind: "Deployment", metadata: metadata("web"), spec: { selector, template: pod } },
    {
      apiVersion: "apps/v1",
      kind: "StatefulSet",
      metadata: metadata("db"),
      spec: { selector, template: pod, serviceName: "web", volumeClaimTemplates: [{ metadata: { name: "all" }, spec: claim }] },
    },
    { apiVersion: "apps/v1", kind: "DaemonSet", metadata: metadata("node"), spec: { selector, template: pod } },
    { apiVersion: "batch/v1", kind: "Job", metadata: metadata("once"), spec: { template: once } },
    {
      apiVersion: "batch/v1",
      kind: "CronJob",
      metadata: metadata("nightly"),
      spec: { schedule: "0 3 * * *", jobTemplate: { spec: { template: once } } },
    },
    {
      apiVersion: "autoscaling/v2",
      kind: "HorizontalPodAutoscaler",
      metadata: metadata("web"),
      spec: { maxReplicas: 3, scaleTargetRef: scaled, behavior: { scaleDown: { stabilizationWindowSeconds: 60 } } },
    },
    { apiVersion: "policy/v1", kind: "PodDisruptionBudget", metadata: metadata("web"), spec: { minAvailable: 1, selector } },
    {
      apiVersion: "networking.k8s.io/v1",
      kind: "Ingress",
      metadata: metadata("web"),
      spec: { defaultBackend: { service: { name: "web", port: { number: 80 } } } },
    },
    { apiVersion: "networking.k8s.io/v1", kind: "NetworkPolicy", metadata: metadata("web"), spec: { podSelector: {}, ingress: [{}] } },
    {
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "Role",
      metadata: metadata("web"),
      rules: [{ apiGroups: [""], resources: ["pods"], verbs: ["get"] }],
    },
    definition("upgrade.example.com", "widgets"),
    { apiVersion: "upgrade.example.com/v1", kind: "Widget", metadata: metadata("one"), spec: { size: 1 } },
    {
      apiVersion: "admissionregistration.k8s.io/v1",
      kind: "ValidatingWebhookConfiguration",
      metadata: { name: namespace },
      webhooks: [
        {
          name: "check.upgrade.example.com",
          sideEffects: "None",
          admissionReviewVersions: ["v1"],
          clientConfig: { service: { namespace, name: "web" } },
          rules: [{ apiGroups: ["nowhere.example.com"], apiVersions: ["v1"], operations: ["CREATE"], resources: ["nothings"] }],
        },
      ],
    },
  ];
}

describe("an API server that is upgraded by two minor versions", () => {
  it("E277: under a running agent changes and makes anew nothing, and shows no drift; edits and new slices work on", async () => {
    const { start, namespace, map, live, path, writes } = await edge.newTenant();
    const objects = workloads(namespace);
    const agent = start({ relistIntervalMs: 1_000 });
    await agent.take([{ name: "a", objects }]);
    await synced(agent, "a");
    await eventually(async () => {
      for (const { uid } of (await agent.inventory()).entries.values()) expect(uid).toBeDefined();
    });
    const were = identities(agent);
    expect(were).toHaveLength(objects.length);
    expect(await version()).toBe(`v${KUBERNETES[OLDER_MINOR].version}`);

    const mark = edge.api.auditMark();
    await edge.api.changeMinor(DEFAULT_MINOR);
    expect(await version()).toBe(`v${KUBERNETES[DEFAULT_MINOR].version}`);
    const listed = () =>
      edge.api
        .audit(mark)
        .flatMap(({ user, verb, code, resource }) => (user.includes(namespace) && verb === "list" && code === 200 ? resource : []));
    // Every kind is looked at again, as the newer version serves it.
    await eventually(() => expect(new Set(listed()).size).toBe(new Set(objects.map(({ kind }) => kind)).size), { timeoutMs: 60_000 });
    // A process that starts now applies all of it once.
    agent.stop();
    const next = start();
    next.reconciler.resume(agent.reconciler.desired!);
    await synced(next, "a");
    for (const one of [agent, next]) expect(one.told.filter(({ type }) => type.startsWith("Drift"))).toEqual([]);
    expect(identities(next)).toEqual(were);

    await edge.api.admin.request("PATCH", `${path("site")}?fieldManager=somebody`, { data: { a: "2" } }, "application/merge-patch+json");
    await eventually(() => expect(next.told.map(({ type }) => type)).toContain("DriftCorrected"));
    await next.take([{ name: "a", objects: [...objects, map("new")] }]);
    await synced(next, "a");
    expect(await live()).toMatchObject({ new: "1" });
    expect(writes(mark).filter((write) => !write.startsWith("patch"))).toEqual([]);
  });
});
