import type { Manifest } from "@muster/shared/model";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Clusters, startClusters } from "../../../test/rig/clusters.ts";
import { eventually } from "../../../test/rig/eventually.ts";
import type { KubeApiserver } from "../../../test/rig/kube-apiserver.ts";
import { currentMinor, KUBERNETES } from "../../../test/rig/kubernetes.ts";
import type { Cluster, Discovery, ResourceType } from "./cluster.ts";
import { createCluster, resourcePath } from "./create-cluster.ts";
import { testApplyContract } from "./testing/apply-contract.ts";
import { type ContractSubject, testClusterContract } from "./testing/cluster-contract.ts";

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

/** A namespace for one contract, and others who write there. */
async function contractSubject(namespace: string): Promise<ContractSubject> {
  await apiserver.admin.request("POST", "/api/v1/namespaces", { metadata: { name: namespace } });
  const { request } = apiserver.admin;
  const pathOf = (type: ResourceType, { metadata }: Manifest, name?: string) =>
    resourcePath(type, String(metadata["namespace"] ?? ""), name);
  return {
    cluster,
    namespace,
    as: (manager) => ({
      apply: (of, manifest) =>
        request(
          "PATCH",
          `${pathOf(of, manifest, manifest.metadata.name)}?fieldManager=${manager}&force=true`,
          manifest,
          "application/apply-patch+yaml",
        ),
      create: (of, manifest) => request("POST", `${pathOf(of, manifest)}?fieldManager=${manager}`, manifest),
      mergePatch: (of, where, name, patch) =>
        request("PATCH", `${resourcePath(of, where, name)}?fieldManager=${manager}`, patch, "application/merge-patch+json"),
      delete: (of, where, name) => request("DELETE", resourcePath(of, where, name)),
    }),
  };
}

describe("the Kubernetes client's contract, on a real API server", () => {
  let subject: ContractSubject;
  beforeAll(async () => {
    subject = await contractSubject("contract");
  });
  testClusterContract(() => subject);
});

describe("the contract of server-side apply, on a real API server", () => {
  let subject: ContractSubject;
  beforeAll(async () => {
    subject = await contractSubject("apply-contract");
  });
  testApplyContract(() => subject);
});

describe("the Kubernetes client, on a real API server", () => {
  it("knows which version of Kubernetes it talks to", async () => {
    expect(await cluster.version()).toBe(`v${KUBERNETES[currentMinor()].version}`);
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
