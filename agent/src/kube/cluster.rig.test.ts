import type { Manifest } from "@muster/shared/model";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Clusters, startClusters } from "../../../test/rig/clusters.ts";
import { eventually } from "../../../test/rig/eventually.ts";
import type { KubeApiserver } from "../../../test/rig/kube-apiserver.ts";
import { currentMinor, KUBERNETES } from "../../../test/rig/kubernetes.ts";
import type { Cluster, Discovery, ResourceType, WatchEvent } from "./cluster.ts";
import { createCluster } from "./create-cluster.ts";

let clusters: Clusters;
let apiserver: KubeApiserver;
let cluster: Cluster;
let discovery: Discovery;
const opened: Cluster[] = [];

const open = (kubeconfig: string): Cluster => {
  const one = createCluster({ kubeconfig, userAgent: "muster-agent/test" });
  opened.push(one);
  return one;
};
const type = (group: string, kind: string): ResourceType => {
  const found = discovery.find(group, kind);
  if (!found) throw new Error(`no ${kind}`);
  return found;
};
const configMap = (name: string, data: Record<string, string>, namespace = "default"): Manifest => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, namespace },
  data,
});

beforeAll(async () => {
  clusters = await startClusters(["kube"]);
  apiserver = clusters.get("kube");
  cluster = open(apiserver.kubeconfigPath);
  discovery = await cluster.discover();
});
afterAll(async () => {
  await Promise.all(opened.map((one) => one.close()));
  await clusters.stop();
});

describe("the Kubernetes client, on a real API server", () => {
  it("discovers kinds with their scope and preferred version", async () => {
    expect(await cluster.version()).toBe(`v${KUBERNETES[currentMinor()].version}`);
    expect(discovery.find("apps", "Deployment")).toMatchObject({ plural: "deployments", version: "v1", namespaced: true });
    expect(discovery.find("", "Namespace")).toMatchObject({ namespaced: false });
    expect(discovery.find("nowhere.example", "Thing")).toBeUndefined();
  });

  it("applies what the manifest says, to the last field, even where a generated model would drop it", async () => {
    const policy: Manifest = {
      apiVersion: "networking.k8s.io/v1",
      kind: "NetworkPolicy",
      metadata: { name: "only-web", namespace: "default" },
      spec: { podSelector: {}, ingress: [{ from: [{ namespaceSelector: { matchLabels: { a: "b" } } }] }] },
    };
    const live = await cluster.apply(type("networking.k8s.io", "NetworkPolicy"), policy, { force: true });
    expect(live["spec"]).toMatchObject({ ingress: [{ from: [{ namespaceSelector: { matchLabels: { a: "b" } } }] }] });
  });

  it("E041: an apply that changes nothing keeps the resource version", async () => {
    const first = await cluster.apply(type("", "ConfigMap"), configMap("same", { a: "1" }), { force: true });
    const second = await cluster.apply(type("", "ConfigMap"), configMap("same", { a: "1" }), { force: true });
    expect(second.metadata["resourceVersion"]).toBe(first.metadata["resourceVersion"]);
  });

  it("a dry run stores nothing", async () => {
    await cluster.apply(type("", "ConfigMap"), configMap("dry", { a: "1" }), { force: true, dryRun: true });
    expect(await cluster.get(type("", "ConfigMap"), "default", "dry")).toBeUndefined();
  });

  it("E076: a delete whose UID does not fit deletes nothing", async () => {
    const live = await cluster.apply(type("", "ConfigMap"), configMap("mine", { a: "1" }), { force: true });
    const target = type("", "ConfigMap");
    await expect(cluster.delete(target, "default", "mine", { uid: "another" })).rejects.toMatchObject({ code: "KUBE_CONFLICT" });
    expect(await cluster.get(target, "default", "mine")).toBeDefined();
    await cluster.delete(target, "default", "mine", { uid: String(live.metadata["uid"]) });
    expect(await cluster.get(target, "default", "mine")).toBeUndefined();
    expect(await cluster.delete(target, "default", "mine", { uid: "any" })).toBeUndefined();
  });

  it("E271: lists in pages, with kind and apiVersion on every item", async () => {
    const names = Array.from({ length: 30 }, (_, index) => `page-${index}`);
    await Promise.all(
      names.map((name) =>
        cluster.apply(
          type("", "ConfigMap"),
          { ...configMap(name, {}), metadata: { name, namespace: "default", labels: { page: "1" } } },
          { force: true },
        ),
      ),
    );
    const { items, resourceVersion } = await cluster.list(type("", "ConfigMap"), { labelSelector: "page=1" });
    expect(items).toHaveLength(30);
    expect(items[0]).toMatchObject({ apiVersion: "v1", kind: "ConfigMap" });
    expect(Number(resourceVersion)).toBeGreaterThan(0);
  });

  it("tells refusals apart by code", async () => {
    const maps = type("", "ConfigMap");
    await expect(cluster.apply(maps, configMap("a", {}, "nowhere"), { force: true })).rejects.toMatchObject({ code: "NAMESPACE_MISSING" });
    await expect(cluster.apply(maps, { ...configMap("a", {}), dta: {} }, { force: true })).rejects.toMatchObject({ code: "KUBE_INVALID" });
    const frozen = { ...configMap("frozen", { a: "1" }), immutable: true };
    await cluster.apply(maps, frozen, { force: true });
    await expect(cluster.apply(maps, { ...frozen, data: { a: "2" } }, { force: true })).rejects.toMatchObject({ code: "KUBE_IMMUTABLE" });
    await apiserver.admin.request(
      "PATCH",
      "/api/v1/namespaces/default/configmaps/same",
      { data: { a: "2" } },
      "application/merge-patch+json",
    );
    await expect(cluster.apply(maps, configMap("same", { a: "1" }), { force: false })).rejects.toMatchObject({ code: "KUBE_CONFLICT" });
  });

  it("E112: a denial by an admission policy is KUBE_DENIED, with the policy's words", async () => {
    await apiserver.admin.request("POST", "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies", {
      metadata: { name: "no-blue" },
      spec: {
        matchConstraints: {
          resourceRules: [{ apiGroups: [""], apiVersions: ["v1"], operations: ["CREATE", "UPDATE"], resources: ["configmaps"] }],
        },
        validations: [
          { expression: "!has(object.data) || !('colour' in object.data) || object.data.colour != 'blue'", message: "blue is out" },
        ],
      },
    });
    await apiserver.admin.request("POST", "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings", {
      metadata: { name: "no-blue" },
      spec: { policyName: "no-blue", validationActions: ["Deny"] },
    });
    await eventually(async () => {
      await expect(cluster.apply(type("", "ConfigMap"), configMap("blue", { colour: "blue" }), { force: true })).rejects.toMatchObject({
        code: "KUBE_DENIED",
        message: expect.stringContaining("blue is out"),
      });
    });
  });

  it("E116: RBAC's refusal is KUBE_FORBIDDEN, and a refused token KUBE_UNAUTHORIZED", async () => {
    const nobody = open(apiserver.writeKubeconfig("nobody", await apiserver.serviceAccountToken("default", "nobody")));
    await expect(nobody.list(type("", "Secret"), {})).rejects.toMatchObject({ code: "KUBE_FORBIDDEN" });
    const stranger = open(apiserver.writeKubeconfig("stranger", "not-a-token"));
    await expect(stranger.version()).rejects.toMatchObject({ code: "KUBE_UNAUTHORIZED" });
  });

  it("S1: a refused Secret's value is not in the error", async () => {
    const secret: Manifest = {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: "s", namespace: "default" },
      data: { key: "canary-not-base64!" },
    };
    const error = await cluster.apply(type("", "Secret"), secret, { force: true }).then(
      () => new Error("accepted"),
      (thrown: Error) => thrown,
    );
    expect(error).toMatchObject({ code: "KUBE_INVALID" });
    expect(error.message).not.toContain("canary");
  });

  it("a watch tells edits and deletions, and ends when asked", async () => {
    const maps = type("", "ConfigMap");
    const { resourceVersion } = await cluster.list(maps, { namespace: "default" });
    const controller = new AbortController();
    const seen: string[] = [];
    const watching = (async () => {
      for await (const event of cluster.watch(maps, { namespace: "default", resourceVersion }, controller.signal)) {
        if (event.type !== "bookmark")
          seen.push(`${event.type} ${(event as Exclude<WatchEvent, { type: "bookmark" }>).object.metadata.name}`);
      }
    })();
    const live = await cluster.apply(maps, configMap("watched", { a: "1" }), { force: true });
    await cluster.delete(maps, "default", "watched", { uid: String(live.metadata["uid"]) });
    await eventually(() => expect(seen).toEqual(["added watched", "deleted watched"]));
    controller.abort();
    await watching;
  });

  it("E266: a watch from a compacted resource version says so", async () => {
    const watch = cluster.watch(type("", "ConfigMap"), { resourceVersion: "1" }, AbortSignal.timeout(10_000));
    await expect(watch[Symbol.asyncIterator]().next()).resolves.toBeDefined();
  });

  it("E263: a silent watch is given up", async () => {
    const { resourceVersion } = await cluster.list(type("", "Secret"), {});
    const watch = cluster.watch(type("", "Secret"), { resourceVersion, idleTimeoutMs: 50 }, AbortSignal.timeout(10_000));
    await expect(watch[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: "KUBE_UNREACHABLE" });
  });

  it("an API server that is gone is KUBE_UNREACHABLE, and is used again when it is back", async () => {
    await apiserver.kill();
    await expect(cluster.version()).rejects.toMatchObject({ code: "KUBE_UNREACHABLE" });
    await apiserver.restart();
    expect(await cluster.version()).toBe(`v${KUBERNETES[currentMinor()].version}`);
  });
});
