import { isJsonObject, type JsonObject, type Manifest } from "@muster/shared/model";
import { expect, it } from "vitest";
import { eventually } from "../../../../test/rig/eventually.ts";
import type { ResourceType } from "../cluster.ts";
import { type ContractSubject, definition, typesOf } from "./cluster-contract.ts";

/** What server-side apply does with the owners of fields: all that the agent relies on, and the simulation with it. */
export function testApplyContract(subject: () => ContractSubject): void {
  const configMap = (name: string, data: JsonObject | undefined, metadata: JsonObject = {}): Manifest => ({
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { namespace: subject().namespace, ...metadata, name },
    ...(data && { data }),
  });
  const deployment = (name: string, spec: JsonObject, container: JsonObject = {}): Manifest => ({
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name, namespace: subject().namespace },
    spec: {
      selector: { matchLabels: { app: name } },
      template: { metadata: { labels: { app: name } }, spec: { containers: [{ name: "c", image: "example.com/c:1", ...container }] } },
      ...spec,
    },
  });
  const kind = async (group: string, name: string): Promise<ResourceType> => (await typesOf(subject().cluster))(group, name);
  const apply = async (type: ResourceType, manifest: Manifest) => subject().cluster.apply(type, manifest, { force: true });
  const get = async (type: ResourceType, name: string): Promise<Manifest> => {
    const live = await subject().cluster.get(type, subject().namespace, name);
    if (!live) throw new Error(`no ${name}`);
    return live;
  };

  it("who applies owns just what is in the manifest", async () => {
    const maps = await kind("", "ConfigMap");
    const live = await apply(maps, configMap("own", { a: "1", b: "2" }, { labels: { x: "1" }, annotations: { y: "1" } }));
    expect(ownersOf(live)).toEqual({
      "muster Apply": { "f:data": { "f:a": {}, "f:b": {} }, "f:metadata": { "f:annotations": { "f:y": {} }, "f:labels": { "f:x": {} } } },
    });
  });

  it("a field that leaves the manifest leaves the object, if nobody else owns it", async () => {
    const maps = await kind("", "ConfigMap");
    await apply(maps, configMap("leave", { a: "1", b: "2" }, { labels: { x: "1", y: "1" } }));
    const live = await apply(maps, configMap("leave", { a: "1" }, { labels: { x: "1" } }));
    expect(live["data"]).toEqual({ a: "1" });
    expect(live.metadata["labels"]).toEqual({ x: "1" });
    const bare = await apply(maps, configMap("leave", undefined));
    expect(bare["data"]).toBeUndefined();
    expect(bare.metadata["labels"]).toBeUndefined();
  });

  it("a field with two owners stays until the last of them lets go", async () => {
    const maps = await kind("", "ConfigMap");
    const other = subject().as("someone");
    await apply(maps, configMap("shared", { a: "1", b: "1" }));
    await other.apply(maps, configMap("shared", { b: "1", c: "1" }));
    expect(ownersOf(await get(maps, "shared"))).toEqual({
      "muster Apply": { "f:data": { "f:a": {}, "f:b": {} } },
      "someone Apply": { "f:data": { "f:b": {}, "f:c": {} } },
    });
    expect((await apply(maps, configMap("shared", { a: "1" })))["data"]).toEqual({ a: "1", b: "1", c: "1" });
    await other.apply(maps, configMap("shared", { c: "1" }));
    expect((await get(maps, "shared"))["data"]).toEqual({ a: "1", c: "1" });
  });

  it("who changes a field by an update takes it from its owner, and gives it back to who applies it by force", async () => {
    const maps = await kind("", "ConfigMap");
    await apply(maps, configMap("taken", { a: "1", b: "1" }));
    await subject()
      .as("editor")
      .mergePatch(maps, subject().namespace, "taken", { data: { a: "2", c: "1" } });
    expect(ownersOf(await get(maps, "taken"))).toEqual({
      "muster Apply": { "f:data": { "f:b": {} } },
      "editor Update": { "f:data": { "f:a": {}, "f:c": {} } },
    });
    const live = await apply(maps, configMap("taken", { a: "1", b: "1" }));
    expect(live["data"]).toEqual({ a: "1", b: "1", c: "1" });
    expect(ownersOf(live)).toEqual({
      "muster Apply": { "f:data": { "f:a": {}, "f:b": {} } },
      "editor Update": { "f:data": { "f:c": {} } },
    });
  });

  it("a field that somebody else removes has no owner any more", async () => {
    const maps = await kind("", "ConfigMap");
    await apply(maps, configMap("removed", { a: "1", b: "1" }, { labels: { x: "1", y: "1" } }));
    await subject()
      .as("editor")
      .mergePatch(maps, subject().namespace, "removed", { data: { a: null }, metadata: { labels: { x: null } } });
    const live = await get(maps, "removed");
    expect(live["data"]).toEqual({ b: "1" });
    expect(ownersOf(live)).toEqual({ "muster Apply": { "f:data": { "f:b": {} }, "f:metadata": { "f:labels": { "f:y": {} } } } });
  });

  it("without force, a conflict names who owns the field and changes nothing", async () => {
    const { cluster } = subject();
    const maps = await kind("", "ConfigMap");
    await subject()
      .as("someone")
      .apply(maps, configMap("contested", { a: "1" }));
    const refused = cluster.apply(maps, configMap("contested", { a: "2" }), { force: false });
    await expect(refused).rejects.toMatchObject({ code: "KUBE_CONFLICT", message: expect.stringContaining("someone") });
    expect((await get(maps, "contested"))["data"]).toEqual({ a: "1" });
    // The same value is no conflict.
    await cluster.apply(maps, configMap("contested", { a: "1" }), { force: false });
  });

  it("what was created owns all of it; what is applied onto it becomes shared", async () => {
    const maps = await kind("", "ConfigMap");
    await subject()
      .as("maker")
      .create(maps, configMap("made", { a: "1" }, { labels: { x: "1" } }));
    expect(ownersOf(await get(maps, "made"))).toEqual({
      "maker Update": { "f:data": { ".": {}, "f:a": {} }, "f:metadata": { "f:labels": { ".": {}, "f:x": {} } } },
    });
    const live = await apply(maps, configMap("made", { a: "1" }));
    expect(ownersOf(live)["muster Apply"]).toEqual({ "f:data": { "f:a": {} } });
    expect(ownersOf(live)["maker Update"]).toBeDefined();
  });

  it("owners can be taken off by a patch: one empty entry takes off all, and an apply then finds them as before-first-apply", async () => {
    const { cluster, namespace } = subject();
    const maps = await kind("", "ConfigMap");
    const live = await apply(maps, configMap("reset", { a: "1" }, { labels: { x: "1" } }));
    const { uid = "", resourceVersion = "" } = live.metadata;
    const metadata = { uid, resourceVersion, labels: { x: null }, managedFields: [{}] };
    const free = await cluster.mergePatch(maps, namespace, "reset", { metadata });
    expect(free.metadata["labels"]).toBeUndefined();
    expect(ownersOf(free)).toEqual({});
    const again = await apply(maps, configMap("reset", { b: "1" }));
    expect(again["data"]).toEqual({ a: "1", b: "1" });
    expect(Object.keys(ownersOf(again)).sort()).toEqual(["before-first-apply Update", "muster Apply"]);
  });

  it("one owner's entry can be taken off, and the others stay", async () => {
    const { cluster, namespace } = subject();
    const maps = await kind("", "ConfigMap");
    await apply(maps, configMap("let-go", { a: "1" }, { labels: { x: "1" } }));
    await subject()
      .as("someone")
      .apply(maps, configMap("let-go", { b: "1" }));
    const live = await get(maps, "let-go");
    const others = (live.metadata["managedFields"] as JsonObject[]).filter(({ manager }) => manager !== "muster");
    const free = await cluster.mergePatch(maps, namespace, "let-go", { metadata: { labels: { x: null }, managedFields: others } });
    expect(ownersOf(free)).toEqual({ "someone Apply": { "f:data": { "f:b": {} } } });
    expect(free["data"]).toEqual({ a: "1", b: "1" });
  });

  it("items of lists are told apart by their keys, and defaults are nobody's", async () => {
    const deployments = await kind("apps", "Deployment");
    const live = await apply(
      deployments,
      deployment("keyed", { replicas: 2 }, { ports: [{ containerPort: 80 }], env: [{ name: "A", value: "1" }] }),
    );
    const template = live["spec"] as { template: { spec: { containers: JsonObject[] } }; revisionHistoryLimit: number };
    expect(template.revisionHistoryLimit).toBe(10);
    expect(template.template.spec.containers[0]).toMatchObject({
      imagePullPolicy: "IfNotPresent",
      ports: [{ containerPort: 80, protocol: "TCP" }],
    });
    expect(ownersOf(live)["muster Apply"]).toMatchObject({
      "f:spec": {
        "f:replicas": {},
        "f:selector": {},
        "f:template": {
          "f:metadata": { "f:labels": { "f:app": {} } },
          "f:spec": {
            "f:containers": {
              'k:{"name":"c"}': {
                ".": {},
                "f:name": {},
                "f:image": {},
                "f:env": { 'k:{"name":"A"}': { ".": {}, "f:name": {}, "f:value": {} } },
                "f:ports": { 'k:{"containerPort":80,"protocol":"TCP"}': { ".": {}, "f:containerPort": {} } },
              },
            },
          },
        },
      },
    });
    await subject()
      .as("injector")
      .apply(deployments, {
        ...deployment("keyed", {}),
        spec: { template: { spec: { containers: [{ name: "sidecar", image: "example.com/s:1" }] } } },
      });
    const names = async () =>
      ((await get(deployments, "keyed"))["spec"] as typeof template).template.spec.containers.map(({ name }) => name).sort();
    expect(await names()).toEqual(["c", "sidecar"]);
    await apply(deployments, deployment("keyed", {}, { ports: [] }));
    expect(await names()).toEqual(["c", "sidecar"]);
    expect((await get(deployments, "keyed"))["spec"]).toMatchObject({ replicas: 1 });
  });

  it("a set member that leaves the manifest leaves the object", async () => {
    const maps = await kind("", "ConfigMap");
    const live = await apply(maps, configMap("finalized", {}, { finalizers: ["example.com/a", "example.com/b"] }));
    expect(ownersOf(live)["muster Apply"]).toMatchObject({
      "f:metadata": { "f:finalizers": { 'v:"example.com/a"': {}, 'v:"example.com/b"': {} } },
    });
    const less = await apply(maps, configMap("finalized", {}, { finalizers: ["example.com/a"] }));
    expect(less.metadata["finalizers"]).toEqual(["example.com/a"]);
  });

  it("a selector cannot be changed, and a list without keys is one value", async () => {
    const deployments = await kind("apps", "Deployment");
    await apply(deployments, deployment("fixed", {}));
    const other = deployment("fixed", { selector: { matchLabels: { app: "other" } } });
    await expect(apply(deployments, other)).rejects.toMatchObject({ code: expect.stringMatching(/^KUBE_(IMMUTABLE|INVALID)$/) });
    const roles = await kind("rbac.authorization.k8s.io", "ClusterRole");
    const rule = (name: string) => ({ apiGroups: [""], resources: ["configmaps"], resourceNames: [name], verbs: ["get"] });
    const role = (...names: string[]): Manifest => ({
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "ClusterRole",
      metadata: { name: `${subject().namespace}-reader` },
      rules: names.map(rule),
    });
    await apply(roles, role("a", "b"));
    const live = await apply(roles, role("c"));
    expect(live["rules"]).toEqual([rule("c")]);
    expect(ownersOf(live)["muster Apply"]).toEqual({ "f:rules": {} });
  });

  it("of a kind that is not known, maps merge and lists do not; only its specification counts as a generation", async () => {
    const { cluster, namespace } = subject();
    await apply(await kind("apiextensions.k8s.io", "CustomResourceDefinition"), definition("cogs", "Cog"));
    await eventually(() => kind("contract.example.com", "Cog"));
    const cogs = await kind("contract.example.com", "Cog");
    const cog = (spec: JsonObject, labels: JsonObject = { x: "1" }): Manifest => ({
      apiVersion: "contract.example.com/v1",
      kind: "Cog",
      metadata: { name: "one", namespace, labels },
      spec,
    });
    const first = await eventually(() => apply(cogs, cog({ size: "1", teeth: ["a", "b"] })));
    expect(ownersOf(first)["muster Apply"]).toEqual({
      "f:metadata": { "f:labels": { "f:x": {} } },
      "f:spec": { "f:size": {}, "f:teeth": {} },
    });
    expect(first.metadata["generation"]).toBe(1);
    const second = await apply(cogs, cog({ size: "2", teeth: ["c"] }));
    expect(second).toMatchObject({ metadata: { generation: 2 }, spec: { teeth: ["c"] } });
    expect((await apply(cogs, cog({ size: "2", teeth: ["c"] }, { x: "2" }))).metadata["generation"]).toBe(2);
    await cluster.delete(cogs, namespace, "one", { uid: String(first.metadata["uid"]) });
  });

  it("an apply with a resource version is for that state only, and makes an object that is gone anew", async () => {
    const { namespace } = subject();
    const maps = await kind("", "ConfigMap");
    const live = await apply(maps, configMap("exact", { a: "1" }));
    const resourceVersion = String(live.metadata["resourceVersion"]);
    await apply(maps, configMap("exact", { a: "2" }, { resourceVersion }));
    await expect(apply(maps, configMap("exact", { a: "3" }, { resourceVersion }))).rejects.toMatchObject({ code: "KUBE_CONFLICT" });
    await subject().as("someone").delete(maps, namespace, "exact");
    const anew = await apply(maps, configMap("exact", { a: "3" }, { resourceVersion }));
    expect(anew.metadata["uid"]).not.toBe(live.metadata["uid"]);
  });

  it("an apply with a UID is for that object only: one that is gone, or another of the name, is a conflict", async () => {
    const { namespace } = subject();
    const maps = await kind("", "ConfigMap");
    const live = await apply(maps, configMap("only", { a: "1" }));
    const uid = String(live.metadata["uid"]);
    const resourceVersion = String(live.metadata["resourceVersion"]);
    const once = configMap("only", { a: "3" }, { uid });
    const onceAsItWas = configMap("only", { a: "3" }, { uid, resourceVersion });
    expect((await apply(maps, once)).metadata["uid"]).toBe(uid);
    await subject().as("someone").delete(maps, namespace, "only");
    const conflict = { code: "KUBE_CONFLICT" };
    await expect(apply(maps, once)).rejects.toMatchObject(conflict);
    await expect(apply(maps, onceAsItWas)).rejects.toMatchObject(conflict);
    const anew = await apply(maps, configMap("only", { a: "1" }));
    await expect(apply(maps, once)).rejects.toMatchObject(conflict);
    await expect(apply(maps, onceAsItWas)).rejects.toMatchObject(conflict);
    expect((await subject().cluster.get(maps, namespace, "only"))?.metadata["resourceVersion"]).toBe(anew.metadata["resourceVersion"]);
  });
}

/** What each manager owns. */
function ownersOf(live: Manifest): Record<string, unknown> {
  const entries = live.metadata["managedFields"];
  const managers = (Array.isArray(entries) ? entries : []).filter(isJsonObject).filter((entry) => entry["subresource"] === undefined);
  return Object.fromEntries(managers.map((entry) => [`${entry["manager"]} ${entry["operation"]}`, entry["fieldsV1"]]));
}
