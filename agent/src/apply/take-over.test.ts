import type { JsonObject, Manifest } from "@muster/shared/model";
import { describe, expect, it } from "vitest";
import { takeOverFromKubectl, takeOverList } from "./take-over.ts";

const LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration";
const entry = (manager: string, fieldsV1: JsonObject, more: JsonObject = {}): JsonObject => ({
  manager,
  operation: "Update",
  apiVersion: "v1",
  fieldsType: "FieldsV1",
  fieldsV1,
  ...more,
});
const live = (managedFields: JsonObject[], annotations: JsonObject = {}): Manifest => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name: "x", namespace: "web", resourceVersion: "7", annotations, managedFields },
});
const manifest = (data: JsonObject): Manifest => ({ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "x", namespace: "web" }, data });
const data = (...names: string[]): JsonObject => ({ "f:data": Object.fromEntries(names.map((name) => [`f:${name}`, {}])) });
const ours = (patch: JsonObject | undefined) =>
  ((patch?.["managedFields"] ?? []) as JsonObject[]).find((one) => one["manager"] === "muster");

describe("E026: taking over from kubectl", () => {
  it("asks for nothing where kubectl owns nothing, also beside an annotation of another tool", () => {
    expect(takeOverFromKubectl(live([entry("argocd-controller", data("a"))], { [LAST_APPLIED]: "{}" }), manifest({}))).toBeUndefined();
    expect(takeOverFromKubectl(live([entry("kubectl", data("a"), { operation: "Apply" })]), manifest({}))).toBeUndefined();
    const status = entry("kubectl-client-side-apply", data("a"), { subresource: "status" });
    expect(takeOverFromKubectl(live([status]), manifest({}))).toBeUndefined();
  });

  it("takes what the last applied configuration or Git names; what else kubectl had becomes nobody's, and others keep theirs", () => {
    const object = live([entry("kubectl-client-side-apply", data("a", "b", "defaulted")), entry("hpa", data("c"))], {
      [LAST_APPLIED]: JSON.stringify(manifest({ a: "1" })),
    });
    const patch = takeOverFromKubectl(object, manifest({ b: "1" }));
    expect(patch).toMatchObject({ resourceVersion: "7", annotations: { [LAST_APPLIED]: null } });
    expect(patch?.["managedFields"]).toHaveLength(2);
    expect(ours(patch)?.["fieldsV1"]).toMatchObject(data("a", "b"));
    expect(JSON.stringify(ours(patch))).not.toContain("defaulted");
    expect(patch?.["managedFields"]).toContainEqual(entry("hpa", data("c")));
  });

  it("finds list items by their keys, also those that a manifest leaves to their default", () => {
    const port = { 'k:{"port":80,"protocol":"TCP"}': { ".": {}, "f:port": {}, "f:targetPort": {} } };
    const object = live([entry("kubectl-client-side-apply", { "f:spec": { "f:ports": port } })]);
    const patch = takeOverFromKubectl(object, { ...manifest({}), spec: { ports: [{ port: 80 }] } });
    expect(ours(patch)?.["fieldsV1"]).toMatchObject({
      "f:spec": { "f:ports": { 'k:{"port":80,"protocol":"TCP"}': { ".": {}, "f:port": {} } } },
    });
    expect(JSON.stringify(patch)).not.toContain("targetPort");
  });

  it("survives an annotation that is damaged, adds to what is ours, and takes nothing of another API version", () => {
    const mine = entry("muster", data("m"), { operation: "Apply" });
    const other = entry("before-first-apply", data("o"), { apiVersion: "v1beta1" });
    const object = live([entry("before-first-apply", data("a")), other, mine], { [LAST_APPLIED]: "{" });
    const patch = takeOverFromKubectl(object, manifest({ a: "1", o: "1" }));
    expect(patch?.["managedFields"]).toHaveLength(1);
    expect(ours(patch)?.["fieldsV1"]).toEqual(data("m", "a"));
  });

  it("keeps the annotation if Git has it", () => {
    const object = live([entry("kubectl-client-side-apply", data("a"))], { [LAST_APPLIED]: "{}" });
    const wanted = { ...manifest({ a: "1" }), metadata: { name: "x", annotations: { [LAST_APPLIED]: "{}" } } };
    expect(takeOverFromKubectl(object, wanted)).not.toHaveProperty("annotations");
  });
});

describe("E029: taking over a list", () => {
  it("inside another one takes it of the items that Git has, and leaves others' items to them", () => {
    const ports = (container: string): JsonObject => ({
      [`k:{"name":"${container}"}`]: { ".": {}, "f:ports": { 'k:{"containerPort":80}': { ".": {}, "f:name": {} } } },
    });
    const containers = (...names: string[]): JsonObject => ({
      "f:spec": { "f:containers": Object.assign({}, ...names.map(ports)) as JsonObject },
    });
    const wanted = { ...manifest({}), spec: { containers: [{ name: "web", ports: [{ containerPort: 81 }] }] } };
    const patch = takeOverList(live([entry("x", containers("web", "sidecar"))]), ["spec", "containers", "*", "ports"], wanted);
    expect(JSON.stringify(ours(patch))).toContain("containerPort");
    expect(JSON.stringify(ours(patch))).not.toContain("sidecar");
    const [other] = ((patch?.["managedFields"] ?? []) as JsonObject[]).filter((one) => one["manager"] === "x");
    expect(other?.["fieldsV1"]).toEqual({
      "f:spec": { "f:containers": { 'k:{"name":"web"}': { ".": {} }, ...ports("sidecar") } },
    });
  });

  it("makes all of it ours and nothing else; an entry of which nothing is left goes", () => {
    const list = (name: string): JsonObject => ({ "f:spec": { "f:ports": { [`k:{"port":${name}}`]: { ".": {} } } } });
    const both = { ...data("a"), ...list("80") };
    const patch = takeOverList(live([entry("x", both), entry("y", list("81")), entry("z", data("c"))]), ["spec", "ports"], manifest({}));
    expect(ours(patch)?.["fieldsV1"]).toMatchObject({ "f:spec": { "f:ports": { 'k:{"port":80}': {}, 'k:{"port":81}': {} } } });
    const others = ((patch?.["managedFields"] ?? []) as JsonObject[]).filter((one) => one["manager"] !== "muster");
    expect(others).toEqual([entry("x", data("a")), entry("z", data("c"))]);
    expect(takeOverList(live([entry("x", data("a"))]), ["spec", "ports"], manifest({}))).toBeUndefined();
  });
});
