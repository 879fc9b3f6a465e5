import type { JsonObject, Manifest } from "@muster/shared/model";
import { expect, it } from "vitest";
import { eventually } from "../../../../test/rig/eventually.ts";
import type { Cluster, Discovery, ResourceType, WatchEvent } from "../cluster.ts";

/** Somebody else's client, under another manager's name. */
export interface Stranger {
  apply(type: ResourceType, manifest: Manifest): Promise<unknown>;
  create(type: ResourceType, manifest: Manifest): Promise<unknown>;
  mergePatch(type: ResourceType, namespace: string, name: string, patch: JsonObject): Promise<unknown>;
  /** Whatever has the name. */
  delete(type: ResourceType, namespace: string, name: string): Promise<unknown>;
}

/** What a contract is about: a client, and others who use the same API server. */
export interface ContractSubject {
  readonly cluster: Cluster;
  /** A namespace that is there. */
  readonly namespace: string;
  as(manager: string): Stranger;
}

/** Finds types by what the subject serves. */
export async function typesOf(cluster: Cluster): Promise<(group: string, kind: string) => ResourceType> {
  const discovery: Discovery = await cluster.discover();
  return (group, kind) => {
    const found = discovery.find(group, kind);
    if (!found) throw new Error(`no ${kind}`);
    return found;
  };
}

/** A definition of a kind that keeps what it does not know. */
export function definition(plural: string, kind: string, group = "contract.example.com"): Manifest {
  const openAPIV3Schema = { type: "object", properties: { spec: { type: "object", "x-kubernetes-preserve-unknown-fields": true } } };
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${plural}.${group}` },
    spec: {
      group,
      scope: "Namespaced",
      names: { plural, singular: kind.toLowerCase(), kind },
      versions: [{ name: "v1", served: true, storage: true, schema: { openAPIV3Schema } }],
    },
  };
}

/** What every {@link Cluster} does, apart from apply: the real API server's client, and the one in memory. */
export function testClusterContract(subject: () => ContractSubject): void {
  const configMap = (name: string, data: Record<string, string> = { a: "1" }, metadata: JsonObject = {}): Manifest => ({
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { namespace: subject().namespace, ...metadata, name },
    data,
  });
  const kinds = () => typesOf(subject().cluster);
  const versionOf = (object: Manifest) => object.metadata["resourceVersion"];

  it("discovers kinds with their scope and preferred version", async () => {
    const { cluster } = subject();
    const discovery = await cluster.discover();
    expect(await cluster.version()).toMatch(/^v1\.\d+\.\d+$/);
    expect(discovery.find("apps", "Deployment")).toMatchObject({ plural: "deployments", version: "v1", namespaced: true });
    expect(discovery.find("", "Namespace")).toMatchObject({ namespaced: false });
    expect(discovery.find("nowhere.example", "Thing")).toBeUndefined();
  });

  it("E041: an apply that changes nothing keeps the resource version, and so does a replace", async () => {
    const { cluster } = subject();
    const maps = (await kinds())("", "ConfigMap");
    const first = await cluster.apply(maps, configMap("same"), { force: true });
    const second = await cluster.apply(maps, configMap("same"), { force: true });
    expect(versionOf(second)).toBe(versionOf(first));
    const third = await cluster.replace(maps, configMap("same"));
    expect(await cluster.replace(maps, configMap("same")).then(versionOf)).toBe(versionOf(third));
  });

  it("a dry run stores nothing", async () => {
    const { cluster, namespace } = subject();
    const maps = (await kinds())("", "ConfigMap");
    const there = await cluster.apply(maps, configMap("dry"), { force: true });
    const would = await cluster.apply(maps, configMap("dry", { a: "2" }), { force: true, dryRun: true });
    expect(would["data"]).toEqual({ a: "2" });
    expect(await cluster.get(maps, namespace, "dry")).toEqual(there);
    await cluster.apply(maps, configMap("drier"), { force: true, dryRun: true });
    expect(await cluster.get(maps, namespace, "drier")).toBeUndefined();
  });

  it("E076: a delete whose UID does not fit deletes nothing", async () => {
    const { cluster, namespace } = subject();
    const maps = (await kinds())("", "ConfigMap");
    const live = await cluster.apply(maps, configMap("mine"), { force: true });
    await expect(cluster.delete(maps, namespace, "mine", { uid: "another" })).rejects.toMatchObject({ code: "KUBE_CONFLICT" });
    expect(await cluster.get(maps, namespace, "mine")).toBeDefined();
    expect(await cluster.delete(maps, namespace, "mine", { uid: String(live.metadata["uid"]) })).toBeUndefined();
    expect(await cluster.get(maps, namespace, "mine")).toBeUndefined();
    expect(await cluster.delete(maps, namespace, "mine", { uid: "any" })).toBeUndefined();
  });

  it("an object that is made again under its name has another UID", async () => {
    const { cluster, namespace } = subject();
    const maps = (await kinds())("", "ConfigMap");
    const one = await cluster.apply(maps, configMap("twice"), { force: true });
    await subject().as("someone").delete(maps, namespace, "twice");
    const other = await cluster.apply(maps, configMap("twice"), { force: true });
    expect(other.metadata["uid"]).not.toBe(one.metadata["uid"]);
  });

  it("finalizers keep a deleted object until the last one is taken off", async () => {
    const { cluster, namespace } = subject();
    const maps = (await kinds())("", "ConfigMap");
    const held = configMap("held", { a: "1" }, { finalizers: ["example.com/hold"] });
    const live = await cluster.apply(maps, held, { force: true });
    const uid = String(live.metadata["uid"]);
    const left = await cluster.delete(maps, namespace, "held", { uid });
    expect(left?.metadata).toMatchObject({ uid, deletionTimestamp: expect.any(String), finalizers: ["example.com/hold"] });
    expect(await cluster.delete(maps, namespace, "held", { uid })).toMatchObject({ metadata: { uid } });
    // It is what it was, and can be changed, but gets no new finalizer.
    const changed = await cluster.apply(maps, { ...held, data: { a: "2" } }, { force: true });
    expect(changed).toMatchObject({ metadata: { uid }, data: { a: "2" } });
    const more = configMap("held", { a: "1" }, { finalizers: ["example.com/hold", "example.com/more"] });
    await expect(cluster.apply(maps, more, { force: true })).rejects.toMatchObject({
      code: expect.stringMatching(/^KUBE_(INVALID|IMMUTABLE)$/),
    });
    await subject()
      .as("someone")
      .mergePatch(maps, namespace, "held", { metadata: { finalizers: null } });
    expect(await cluster.get(maps, namespace, "held")).toBeUndefined();
  });

  it("creates once, replaces what is there, and takes a resource version at its word", async () => {
    const { cluster, namespace } = subject();
    const maps = (await kinds())("", "ConfigMap");
    await expect(cluster.replace(maps, configMap("plain"))).rejects.toMatchObject({ code: "KUBE_NOT_FOUND" });
    const live = await cluster.create(maps, configMap("plain"));
    await expect(cluster.create(maps, configMap("plain"))).rejects.toMatchObject({ code: "KUBE_CONFLICT" });
    const next = await cluster.replace(maps, configMap("plain", { b: "1" }));
    expect(next["data"]).toEqual({ b: "1" });
    const old = { resourceVersion: versionOf(live) as string };
    await expect(cluster.replace(maps, configMap("plain", { c: "1" }, old))).rejects.toMatchObject({ code: "KUBE_CONFLICT" });
    await expect(cluster.mergePatch(maps, namespace, "plain", { metadata: old, data: { c: "1" } })).rejects.toMatchObject({
      code: "KUBE_CONFLICT",
    });
    await expect(cluster.apply(maps, configMap("plain", { c: "1" }, old), { force: true })).rejects.toMatchObject({
      code: "KUBE_CONFLICT",
    });
    const patched = await cluster.mergePatch(maps, namespace, "plain", { data: { b: null, c: "1" } });
    expect(patched["data"]).toEqual({ c: "1" });
    await expect(cluster.mergePatch(maps, namespace, "none", { data: {} })).rejects.toMatchObject({ code: "KUBE_NOT_FOUND" });
  });

  it("lists by label and namespace, and without contents where asked to", async () => {
    const { cluster, namespace } = subject();
    const maps = (await kinds())("", "ConfigMap");
    for (const index of [1, 2, 3])
      await cluster.apply(maps, configMap(`list-${index}`, {}, { labels: { list: String(index) } }), { force: true });
    const { items, resourceVersion } = await cluster.list(maps, { namespace, labelSelector: "list" });
    expect(items.map(({ metadata }) => metadata.name).sort()).toEqual(["list-1", "list-2", "list-3"]);
    expect(items[0]).toMatchObject({ apiVersion: "v1", kind: "ConfigMap" });
    expect(Number(resourceVersion)).toBeGreaterThan(0);
    const [only] = (await cluster.list(maps, { labelSelector: "list=2", metadataOnly: true })).items;
    expect(only).toMatchObject({ metadata: { name: "list-2", uid: expect.any(String), managedFields: expect.any(Array) } });
    expect(only?.["data"]).toBeUndefined();
  });

  it("tells refusals apart by code", async () => {
    const { cluster, namespace } = subject();
    const maps = (await kinds())("", "ConfigMap");
    await expect(cluster.apply(maps, configMap("a", {}, { namespace: "nowhere" }), { force: true })).rejects.toMatchObject({
      code: "NAMESPACE_MISSING",
    });
    await expect(cluster.apply(maps, { ...configMap("a"), dta: {} }, { force: true })).rejects.toMatchObject({ code: "KUBE_INVALID" });
    const frozen = { ...configMap("frozen"), immutable: true };
    await cluster.apply(maps, frozen, { force: true });
    await expect(cluster.apply(maps, { ...frozen, data: { a: "2" } }, { force: true })).rejects.toMatchObject({ code: "KUBE_IMMUTABLE" });
    await cluster.apply(maps, configMap("mild"), { force: true });
    await subject()
      .as("someone")
      .mergePatch(maps, namespace, "mild", { data: { a: "2" } });
    await expect(cluster.apply(maps, configMap("mild"), { force: false })).rejects.toMatchObject({ code: "KUBE_CONFLICT" });
    const unserved = { ...maps, group: "nowhere.example.com", plural: "things", kind: "Thing" };
    await expect(cluster.get(unserved, namespace, "a")).rejects.toMatchObject({ code: "KUBE_SERVER", data: { status: 404 } });
    await expect(cluster.list(unserved, {})).rejects.toMatchObject({ code: "KUBE_SERVER", data: { status: 404 } });
  });

  it("S1: a refused Secret's value is not in the error", async () => {
    const { cluster, namespace } = subject();
    const secrets = (await kinds())("", "Secret");
    const secret: Manifest = { apiVersion: "v1", kind: "Secret", metadata: { name: "s", namespace }, data: { key: "canary-not-base64!" } };
    const error = await cluster.apply(secrets, secret, { force: true }).then(
      () => new Error("accepted"),
      (thrown: Error) => thrown,
    );
    expect(error).toMatchObject({ code: "KUBE_INVALID" });
    expect(error.message).not.toContain("canary");
  });

  it("nothing new is made in a namespace that is being deleted", async () => {
    const { cluster } = subject();
    const type = await kinds();
    const [maps, namespaces] = [type("", "ConfigMap"), type("", "Namespace")];
    const name = `${subject().namespace}-ending`;
    await cluster.apply(namespaces, { apiVersion: "v1", kind: "Namespace", metadata: { name } }, { force: true });
    await cluster.apply(maps, configMap("held", {}, { namespace: name, finalizers: ["example.com/hold"] }), { force: true });
    await subject().as("someone").delete(namespaces, "", name);
    expect(await cluster.get(namespaces, "", name)).toMatchObject({ metadata: { deletionTimestamp: expect.any(String) } });
    await expect(cluster.apply(maps, configMap("late", {}, { namespace: name }), { force: true })).rejects.toMatchObject({
      code: "NAMESPACE_TERMINATING",
    });
  });

  it("a definition makes its kind appear, and takes it and its objects along when it goes", async () => {
    const { cluster, namespace } = subject();
    const definitions = (await kinds())("apiextensions.k8s.io", "CustomResourceDefinition");
    const made = await cluster.apply(definitions, definition("gizmos", "Gizmo"), { force: true });
    const find = async () => (await cluster.discover()).find("contract.example.com", "Gizmo");
    await eventually(async () => expect(await find()).toMatchObject({ plural: "gizmos", namespaced: true }));
    const gizmos = await find();
    if (!gizmos) throw new Error("it is not served");
    const gizmo: Manifest = { apiVersion: "contract.example.com/v1", kind: "Gizmo", metadata: { name: "one", namespace }, spec: { a: 1 } };
    const apply = () => cluster.apply(gizmos, gizmo, { force: true });
    await eventually(apply);
    await cluster.delete(definitions, "", made.metadata.name, { uid: String(made.metadata["uid"]) });
    await eventually(async () => expect(await cluster.get(definitions, "", made.metadata.name)).toBeUndefined());
    await eventually(async () => {
      expect(await find()).toBeUndefined();
      await expect(cluster.get(gizmos, namespace, "one")).rejects.toMatchObject({ data: { status: 404 } });
    });
  });

  it("a watch tells edits and deletions, and what enters or leaves its selection, and ends when asked", async () => {
    const { cluster, namespace } = subject();
    const maps = (await kinds())("", "ConfigMap");
    const { resourceVersion } = await cluster.list(maps, { namespace });
    const controller = new AbortController();
    const seen: string[] = [];
    const scope = { namespace, labelSelector: "watched", resourceVersion };
    const watching = (async () => {
      for await (const event of cluster.watch(maps, scope, controller.signal)) {
        if (event.type !== "bookmark")
          seen.push(`${event.type} ${(event as Exclude<WatchEvent, { type: "bookmark" }>).object.metadata.name}`);
      }
    })();
    const other = subject().as("someone");
    await cluster.apply(maps, configMap("w", {}, { labels: { watched: "1" } }), { force: true });
    await other.mergePatch(maps, namespace, "w", { data: { b: "1" } });
    await other.mergePatch(maps, namespace, "w", { metadata: { labels: { watched: null } } });
    await other.mergePatch(maps, namespace, "w", { metadata: { labels: { watched: "2" } } });
    await other.delete(maps, namespace, "w");
    await eventually(() => expect(seen).toEqual(["added w", "modified w", "deleted w", "added w", "deleted w"]));
    controller.abort();
    await watching;
  });

  it("a watch begins right after the version of a list", async () => {
    const { cluster, namespace } = subject();
    const maps = (await kinds())("", "ConfigMap");
    const other = subject().as("someone");
    await cluster.apply(maps, configMap("since", { a: "0" }, { labels: { since: "1" } }), { force: true });
    const { resourceVersion } = await cluster.list(maps, { namespace, labelSelector: "since" });
    for (const a of ["1", "2"]) await other.mergePatch(maps, namespace, "since", { data: { a } });
    const seen: unknown[] = [];
    const controller = new AbortController();
    for await (const event of cluster.watch(maps, { namespace, labelSelector: "since", resourceVersion }, controller.signal)) {
      if (event.type === "bookmark") continue;
      seen.push(event.object["data"]);
      if (seen.length === 2) controller.abort();
    }
    expect(seen).toEqual([{ a: "1" }, { a: "2" }]);
  });
}
