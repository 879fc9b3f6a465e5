import type { JsonObject, Manifest } from "@muster/shared/model";
import { describe, expect, it } from "vitest";
import type { ClusterCapabilities } from "../renderer.ts";
import { asManifest } from "./check-object.ts";
import { findDuplicateListKey } from "./list-keys.ts";
import { normalise } from "./normalise.ts";
import { checkedSize } from "./object-size.ts";
import { declaredScopes, scopeOf } from "./scopes.ts";

const at = { file: "app/x.yaml" };
const base = (extra: JsonObject = {}): JsonObject => ({ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "a" }, ...extra });
const normal = (object: JsonObject, scope: "cluster" | "namespaced" | "unknown" = "namespaced") =>
  normalise(asManifest(object, at), { bundle: "app", namespace: "fallback", scope, at });

describe("what is a manifest", () => {
  it.each<[string, JsonObject]>([
    ["no apiVersion", { kind: "A", metadata: { name: "a" } }],
    ["a numeric apiVersion", base({ apiVersion: 1 })],
    ["an apiVersion with too many parts", base({ apiVersion: "a/b/c" })],
    ["no kind", { apiVersion: "v1", metadata: { name: "a" } }],
    ["a kind with spaces", base({ kind: "Config Map" })],
    ["no metadata", { apiVersion: "v1", kind: "A" }],
    ["no name", base({ metadata: {} })],
    ["a numeric name", base({ metadata: { name: 12 } })],
    ["an empty name", base({ metadata: { name: "" } })],
    ["a name with a slash", base({ metadata: { name: "a/b" } })],
    ["a name of dots", base({ metadata: { name: ".." } })],
    ["a name that is too long", base({ metadata: { name: "a".repeat(254) } })],
    ["E055: generateName", base({ metadata: { generateName: "a-" } })],
    ["generateName beside a name", base({ metadata: { name: "a", generateName: "a-" } })],
    ["E034: a uid", base({ metadata: { name: "a", uid: "1" } })],
    ["E034: a resourceVersion", base({ metadata: { name: "a", resourceVersion: "1" } })],
    ["a namespace in capitals", base({ metadata: { name: "a", namespace: "A" } })],
    ["a numeric label", base({ metadata: { name: "a", labels: { x: 1 } } })],
    ["a boolean annotation", base({ metadata: { name: "a", annotations: { x: true } } })],
    ["labels that are a list", base({ metadata: { name: "a", labels: [] } })],
  ])("%s is refused", (_, object) => {
    expect(() => asManifest(object, at)).toThrow(expect.objectContaining({ code: "OBJECT_INVALID", at }));
  });
  it("RBAC names with colons and empty server fields are fine", () => {
    expect(asManifest(base({ metadata: { name: "system:Reader", resourceVersion: "", uid: null } }), at).metadata.name).toBe(
      "system:Reader",
    );
  });
});

describe("normal form", () => {
  it("E034: server-side fields and status are stripped, also creationTimestamp in pod templates", () => {
    const object = base({
      kind: "Deployment",
      apiVersion: "apps/v1",
      metadata: { name: "a", creationTimestamp: null, managedFields: [], generation: 2, selfLink: "x", uid: "" },
      spec: { template: { metadata: { creationTimestamp: null, labels: { a: "b" } }, spec: {} } },
      status: { replicas: 1 },
    });
    expect(normal(object)).toEqual({
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: { name: "a", namespace: "fallback", labels: { "muster.dev/bundle": "app" } },
      spec: { template: { metadata: { labels: { a: "b" } }, spec: {} } },
    });
  });
  it("gives namespaced objects without namespace the default, and takes it from cluster-scoped ones", () => {
    expect(normal(base()).metadata["namespace"]).toBe("fallback");
    expect(normal(base({ metadata: { name: "a", namespace: "own" } })).metadata["namespace"]).toBe("own");
    expect(normal(base({ metadata: { name: "a", namespace: "own" } }), "cluster").metadata).not.toHaveProperty("namespace");
    expect(normal(base(), "unknown").metadata["namespace"]).toBe("fallback");
  });
  it("labels the object only, keeps other labels, and does not let the bundle name be claimed", () => {
    const labels = normal(base({ metadata: { name: "a", labels: { x: "y", "muster.dev/bundle": "other" } } })).metadata["labels"];
    expect(labels).toEqual({ x: "y", "muster.dev/bundle": "app" });
  });
  it("does not change its argument", () => {
    const object = base({ metadata: { name: "a", labels: { x: "y" } }, status: {} });
    const before = structuredClone(object);
    normal(object);
    expect(object).toEqual(before);
  });
  it("E027: stringData of a Secret becomes data, key by key, and wins as in the API", () => {
    const secret = normal(base({ kind: "Secret", data: { a: "b2xk", b: "Yg==" }, stringData: { a: "new ü", c: "" } }));
    expect(secret["data"]).toEqual({ a: Buffer.from("new ü").toString("base64"), b: "Yg==", c: "" });
    expect(secret).not.toHaveProperty("stringData");
  });
  it("a Secret of another API group is left alone", () => {
    expect(normal(base({ apiVersion: "x.io/v1", kind: "Secret", stringData: { a: "b" } }))).toHaveProperty("stringData");
  });
  it("values of a Secret that are no text or no base64 are refused without being shown", () => {
    for (const secret of [{ stringData: { a: 1 } }, { data: { a: "hunter2!" } }, { data: [] }]) {
      const failing = () => normal(base({ kind: "Secret", ...(secret as JsonObject) }));
      expect(failing).toThrow(expect.objectContaining({ code: "OBJECT_INVALID" }));
      expect(failing).not.toThrow(/hunter2/);
    }
  });
});

describe("scopes", () => {
  const nothing: Pick<ClusterCapabilities, "apiVersions" | "clusterScopedKinds"> = { apiVersions: [], clusterScopedKinds: new Set() };
  const of = (apiVersion: string, kind: string, capabilities = nothing, declared = new Map()) =>
    scopeOf({ apiVersion, kind }, declared, capabilities);
  it("built-in kinds are known, in every version of their group", () => {
    expect(of("v1", "Namespace")).toBe("cluster");
    expect(of("rbac.authorization.k8s.io/v1beta1", "ClusterRole")).toBe("cluster");
    expect(of("apps/v1", "Deployment")).toBe("namespaced");
    expect(of("networking.k8s.io/v1", "Ingress")).toBe("namespaced");
    expect(of("networking.k8s.io/v1", "IngressClass")).toBe("cluster");
  });
  it("a group that looks built in is not", () => {
    expect(of("gateway.networking.k8s.io/v1", "GatewayClass")).toBe("unknown");
    expect(of("x.io/v1", "Namespace")).toBe("unknown");
  });
  it("a CRD of the bundle says it, then the cluster", () => {
    const crd = (scope: string) => ({
      object: { kind: "CustomResourceDefinition", spec: { group: "x.io", names: { kind: "Widget" }, scope } },
      origin: "",
      at,
      bytes: 1,
    });
    expect(of("x.io/v1", "Widget", nothing, declaredScopes([crd("Cluster")]) as Map<string, string>)).toBe("cluster");
    const cluster = { apiVersions: ["x.io/v1", "x.io/v1/Widget"], clusterScopedKinds: new Set(["x.io/Global"]) };
    expect(of("x.io/v1", "Global", cluster)).toBe("cluster");
    expect(of("x.io/v1", "Widget", cluster)).toBe("namespaced");
    expect(
      of(
        "x.io/v1",
        "Widget",
        { ...cluster, clusterScopedKinds: new Set(["x.io/Widget"]) },
        declaredScopes([crd("Namespaced")]) as Map<string, string>,
      ),
    ).toBe("namespaced");
  });
});

describe("E028: list entries with the same key", () => {
  const workload = (kind: string, apiVersion: string, pod: JsonObject): Manifest => {
    const spec =
      kind === "Pod" ? pod : kind === "CronJob" ? { jobTemplate: { spec: { template: { spec: pod } } } } : { template: { spec: pod } };
    return asManifest({ apiVersion, kind, metadata: { name: "a" }, spec }, at);
  };
  const twice = { containers: [{ name: "a", env: [{ name: "X", value: "1" }, { name: "Y" }, { name: "X", value: "2" }] }] };
  it("are found with their path in every kind that has pods", () => {
    expect(findDuplicateListKey(workload("Deployment", "apps/v1", twice))).toBe("/spec/template/spec/containers/0/env/2");
    expect(findDuplicateListKey(workload("CronJob", "batch/v1", twice))).toBe("/spec/jobTemplate/spec/template/spec/containers/0/env/2");
    expect(findDuplicateListKey(workload("Pod", "v1", { initContainers: twice.containers }))).toBe("/spec/initContainers/0/env/2");
    expect(findDuplicateListKey(workload("Pod", "v1", { volumes: [{ name: "v" }, { name: "v" }] }))).toBe("/spec/volumes/1");
  });
  it("ports differ by protocol, of which TCP is the default", () => {
    const ports = (...list: JsonObject[]) => workload("Pod", "v1", { containers: [{ name: "a", ports: list }] });
    expect(findDuplicateListKey(ports({ containerPort: 53, protocol: "UDP" }, { containerPort: 53 }))).toBeUndefined();
    expect(findDuplicateListKey(ports({ containerPort: 53, protocol: "TCP" }, { containerPort: 53 }))).toBe("/spec/containers/0/ports/1");
  });
  it("custom kinds may have what they want", () => {
    expect(findDuplicateListKey(workload("Rollout", "argoproj.io/v1alpha1", twice))).toBeUndefined();
  });
});

describe("E050: sizes", () => {
  it("an object beyond the limit of a request is refused with size and limit", () => {
    const manifest = asManifest(base({ kind: "Thing", apiVersion: "x.io/v1", spec: "x".repeat(1_600_000) }), at);
    expect(() => checkedSize(manifest, at)).toThrow(
      expect.objectContaining({ code: "OBJECT_TOO_LARGE", data: expect.objectContaining({ limit: 1_572_864 }) }),
    );
  });
  it("so are annotations beyond 256 KiB and data beyond 1 MiB", () => {
    for (const object of [
      base({ metadata: { name: "a", annotations: { a: "x".repeat(300_000) } } }),
      base({ data: { a: "x".repeat(1_100_000) } }),
    ]) {
      expect(() => checkedSize(asManifest(object, at), at)).toThrow(expect.objectContaining({ code: "OBJECT_TOO_LARGE" }));
    }
    expect(checkedSize(asManifest(base({ data: { a: "x".repeat(1_000_000) } }), at), at)).toBeGreaterThan(1_000_000);
  });
});
