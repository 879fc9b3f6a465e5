import { Agent, request } from "undici";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { FleetView, TargetView } from "../../hub/src/status/views.ts";
import type { Part } from "../rig/child-process-part.ts";
import { eventually } from "../rig/eventually.ts";
import { startKubeControllerManager } from "../rig/kube-controller-manager.ts";
import { type Muster, startMuster } from "../rig/muster.ts";

/** Deleting with real controllers at work: namespaces that empty themselves, Deployments that own what they made. */

const bundle = (name: string) =>
  `apiVersion: muster.dev/v1alpha1\nkind: Bundle\nmetadata: { name: ${name} }\nspec:\n  targets: [{ all: true }]\n  namespace: ${name}\n  createNamespace: ifAbsent\n`;
const configMap = (name: string, value: string) =>
  `apiVersion: v1\nkind: ConfigMap\nmetadata: { name: ${name} }\ndata: { value: "${value}" }\n`;
const DEPLOYMENT = `apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  replicas: 1
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec: { containers: [{ name: web, image: web.example/web:1 }] }
`;

let muster: Muster;
let controllers: Part;

const target = async (name: string) => (await muster.api<TargetView>(`/targets/${name}/one`)).body;
const admin = () => muster.clusters.get("one").admin;

beforeAll(async () => {
  muster = await startMuster({
    clusters: ["one"],
    files: {
      "clusters/one.yaml": "apiVersion: muster.dev/v1alpha1\nkind: Cluster\nmetadata: { name: one, labels: { env: prod } }\n",
      "steady/bundle.yaml": bundle("steady"),
      "steady/map.yaml": configMap("steady", "0"),
    },
    agent: { MUSTER_POLL_INTERVAL_MS: "2000" },
  });
  controllers = await startKubeControllerManager(muster.clusters.get("one"), [
    "namespace-controller",
    "deployment-controller",
    "replicaset-controller",
    "garbage-collector-controller",
    "serviceaccount-controller",
  ]);
  await eventually(async () => expect((await muster.api<FleetView>("/fleet")).body).toMatchObject({ healthy: true }), {
    timeoutMs: 30_000,
  });
});
afterAll(async () => {
  await controllers?.stop();
  await muster?.stop();
});

describe("a bundle with a Deployment under real controllers", () => {
  it("is synced at once, but healthy only when its pods are", async () => {
    await muster.push("Add the web", {
      "web/bundle.yaml": bundle("web"),
      "web/deployment.yaml": DEPLOYMENT,
      "web/map.yaml": configMap("web", "x"),
    });
    await eventually(async () => expect(await target("web")).toMatchObject({ sync: "Synced", health: "InProgress" }), {
      timeoutMs: 20_000,
    });
    // There is no kubelet: the test says that the pod runs, as a node would.
    await eventually(async () => {
      const pods = await admin().request<{ items: { metadata: { name: string } }[] }>("GET", "/api/v1/namespaces/web/pods");
      expect(pods.items).toHaveLength(1);
      const conditions = ["Ready", "ContainersReady", "PodScheduled", "Initialized"].map((type) => ({ type, status: "True" }));
      const body = { status: { phase: "Running", conditions } };
      await admin().request(
        "PATCH",
        `/api/v1/namespaces/web/pods/${pods.items[0]?.metadata.name}/status`,
        body,
        "application/merge-patch+json",
      );
    });
    await eventually(async () => expect(await target("web")).toMatchObject({ sync: "Synced", health: "Current" }), { timeoutMs: 20_000 });
  });

  it("I2: that leaves Git leaves the cluster with all that it owned, and nothing else does", async () => {
    await muster.push("Remove the web", { "web/bundle.yaml": null, "web/deployment.yaml": null, "web/map.yaml": null });
    await eventually(async () => expect(await admin().get("/apis/apps/v1/namespaces/web/deployments/web")).toBeUndefined(), {
      timeoutMs: 30_000,
    });
    await eventually(async () => expect(await admin().get("/api/v1/namespaces/web/configmaps/web")).toBeUndefined(), { timeoutMs: 30_000 });
    await eventually(
      async () => {
        const left = await admin().get<{ items: unknown[] }>("/api/v1/namespaces/web/pods");
        expect(left?.items ?? []).toEqual([]);
      },
      { timeoutMs: 30_000 },
    );
    expect(await admin().get("/api/v1/namespaces/steady/configmaps/steady")).toBeDefined();
    await eventually(async () => {
      const { body } = await muster.api<{ items: TargetView[] }>("/targets");
      expect(body.items.map((item) => `${item.bundle} ${item.sync} ${item.health}`)).toEqual(["steady Synced Current"]);
    });
    const { total, unexplained } = await muster.deletions();
    expect(unexplained).toEqual([]);
    expect(total).toBeGreaterThanOrEqual(2);
  });
});

describe("the oracle of deletions", () => {
  it("finds a deletion that no slice explains, so that its silence means something", async () => {
    const apiserver = muster.clusters.get("one");
    const token = await apiserver.serviceAccountToken("muster-system", "muster-agent");
    const dispatcher = new Agent({ connect: { ca: apiserver.caPem } });
    const headers = { authorization: `Bearer ${token}` };
    const url = `${apiserver.url}/api/v1/namespaces/steady/configmaps/steady`;
    const { statusCode, body } = await request(url, { method: "DELETE", headers, dispatcher });
    await body.dump();
    await dispatcher.close();
    expect(statusCode).toBe(200);
    expect((await muster.deletions()).unexplained).toEqual([expect.stringMatching(/^one: configmaps steady\/steady \(delete at /)]);
  });
});
