import type { JsonObject, Manifest } from "@muster/shared/model";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../../../test/rig/eventually.ts";
import { deployment, managersOf, type SsaRig, site, startSsaRig } from "./testing/ssa-rig.ts";

const LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration";

let rig: SsaRig;
beforeAll(async () => {
  rig = await startSsaRig("own");
});
afterEach(() => rig?.stopAgents());
afterAll(() => rig?.stop());

const container = (live: Manifest) => {
  const spec = live["spec"] as { template: { spec: { containers: [JsonObject] } } };
  return spec.template.spec.containers[0];
};
const replicasOf = (live: Manifest) => (live["spec"] as { replicas: number }).replicas;

/** An object as `kubectl apply` makes it. */
const asKubectl = (object: Manifest): Manifest => ({
  ...object,
  metadata: { ...object.metadata, annotations: { [LAST_APPLIED]: JSON.stringify(object) } },
});

describe("a field that leaves Git", () => {
  it("E020: leaves the object, too, with one write", async () => {
    const { namespace, sync, live, writes } = await rig.setUp();
    await sync([site(namespace, { a: "1", b: "2" }, { annotations: { "example.com/note": "x", "example.com/team": "y" } })]);
    writes();
    await sync([site(namespace, { a: "1" }, { annotations: { "example.com/team": "y" } })]);
    const object = await live(site(namespace, {}));
    expect(object["data"]).toEqual({ a: "1" });
    expect(object.metadata["annotations"]).toEqual({ "example.com/team": "y" });
    expect(writes()).toEqual(["patch configmaps site"]);
  });

  it("E021: stays while another manager wants it, too, and is that manager's alone from then on", async () => {
    const { namespace, sync, applyAs, live, seen, drift } = await rig.setUp();
    await sync([site(namespace, { a: "1", b: "2" })]);
    await applyAs(site(namespace, { b: "2" }), "other-tool");
    await sync([site(namespace, { a: "1" })]);
    expect((await live(site(namespace, {})))["data"]).toEqual({ a: "1", b: "2" });
    await applyAs(site(namespace, { b: "3" }), "other-tool");
    await seen(site(namespace, {}));
    expect(drift(site(namespace, {}))).toBeUndefined();
    expect((await live(site(namespace, {})))["data"]).toEqual({ a: "1", b: "3" });
  });

  it("E027: a key that leaves a Secret in Git leaves the live Secret, too", async () => {
    const { namespace, sync, live } = await rig.setUp();
    // As the hub publishes it: stringData has become data.
    const secret = (data: JsonObject): Manifest => ({ apiVersion: "v1", kind: "Secret", metadata: { name: "s", namespace }, data });
    await sync([secret({ user: "YQ==", password: "Yg==" })]);
    await sync([secret({ user: "YQ==" })]);
    expect((await live(secret({})))["data"]).toEqual({ user: "YQ==" });
  });
});

describe("an edit by hand", () => {
  it("E022: is put back, and told with its manager and fields", async () => {
    const { agent, namespace, sync, synced, edit, live } = await rig.setUp();
    const web = deployment(namespace, { replicas: 2 });
    await sync([web]);
    await edit(web, "kubectl-edit", { spec: { replicas: 5 } });
    await eventually(() => expect(agent.told.map((event) => event.type)).toContain("DriftCorrected"));
    await synced();
    expect(replicasOf(await live(web))).toBe(2);
    const told = agent.told.find((event) => event.type === "DriftDetected")?.message;
    expect(told).toContain("modified by kubectl-edit");
    expect(told).toContain(".spec.replicas");
  });

  it("E044: of labels and annotations takes back those in Git, and leaves alone what others have added", async () => {
    const { namespace, sync, synced, edit, live, agent } = await rig.setUp();
    const map = site(namespace, { a: "1" }, { labels: { app: "x" }, annotations: { note: "git" } });
    await sync([map]);
    await edit(map, "kubectl-label", {
      metadata: { labels: { app: null, mine: "1" }, annotations: { note: "edited", theirs: "1" } },
    });
    await eventually(() => expect(agent.told.map((event) => event.type)).toContain("DriftCorrected"));
    await synced();
    expect((await live(map)).metadata).toMatchObject({
      labels: { app: "x", mine: "1", "muster.dev/bundle": "a" },
      annotations: { note: "git", theirs: "1" },
    });
    await sync([site(namespace, { a: "1" }, { labels: { app: "y" } })]);
    expect((await live(map)).metadata).toMatchObject({
      labels: { app: "y", mine: "1", "muster.dev/bundle": "a" },
      annotations: { theirs: "1" },
    });
    expect((await live(map)).metadata["annotations"]).not.toHaveProperty("note");
  });

  it("E045: that takes off our label makes nobody else's object of it: the label comes back, on the same object", async () => {
    const { namespace, sync, edit, live, failure, restart, agent } = await rig.setUp();
    const map = site(namespace, { a: "1" });
    await sync([map]);
    const { uid } = (await live(map)).metadata;
    await edit(map, "kubectl-label", { metadata: { labels: { "muster.dev/bundle": null } } });
    await eventually(async () => expect((await live(map)).metadata["labels"]).toEqual({ "muster.dev/bundle": "a" }));
    // Also with the mark of another tool on it, for an agent that has just started and knows it from the inventory only.
    agent.stop();
    await edit(map, "somebody", {
      metadata: { labels: { "muster.dev/bundle": null, "kustomize.toolkit.fluxcd.io/name": "x" } },
    });
    restart();
    await eventually(async () => expect((await live(map)).metadata["labels"]).toMatchObject({ "muster.dev/bundle": "a" }));
    expect(failure(map)).toBeUndefined();
    expect((await live(map)).metadata["uid"]).toBe(uid);
  });

  it("E040: that strips managedFields deletes nothing, and our ownership is whole again with the next apply", async () => {
    const { namespace, sync, edit, live, entries, mark } = await rig.setUp();
    const web = (env: JsonObject[], team: string) => ({
      ...deployment(namespace, {}, { env }),
      metadata: { name: "web", namespace, annotations: { team } },
    });
    const [a, b] = [
      { name: "A", value: "1" },
      { name: "B", value: "2" },
    ];
    await sync([web([a, b], "x")]);
    await edit(web([], ""), "kube-controller-manager", { spec: { replicas: 4 } }, "scale");
    await edit(web([], ""), "somebody", { metadata: { managedFields: [{}] } });
    expect((await live(web([], ""))).metadata["managedFields"]).toBeUndefined();
    mark();
    await sync([web([a, b], "y")]);
    const object = await live(web([], ""));
    expect(managersOf(object)).not.toContain("before-first-apply/Update");
    expect(container(object)["env"]).toEqual([a, b]);
    // Whoever had scaled it: nobody knows any more, and nobody has asked for one replica.
    expect(replicasOf(object)).toBe(4);
    await sync([web([a], "y")]);
    expect(container(await live(web([], "")))["env"]).toEqual([a]);
    expect(entries().filter((entry) => entry.verb.startsWith("delete"))).toEqual([]);
  });
});

describe("E026: an object that kubectl had applied", () => {
  it("becomes ours as a whole: what leaves Git later leaves the object, and so does what Git never had", async () => {
    const { namespace, create, sync, live, writes, seen, drift } = await rig.setUp();
    const [a, b, c] = ["A", "B", "C"].map((name) => ({ name, value: "1" }));
    const before = deployment(namespace, { minReadySeconds: 5 }, { env: [a!, b!, c!], ports: [{ containerPort: 80 }] });
    const { uid } = (await create(asKubectl(before), "kubectl-client-side-apply")).metadata;
    writes();
    await sync([deployment(namespace, { minReadySeconds: 5 }, { env: [a!, b!] })]);
    const adopted = await live(before);
    expect(adopted.metadata["uid"]).toBe(uid);
    expect(managersOf(adopted)).toEqual(["muster/Apply"]);
    expect(adopted.metadata["annotations"] ?? {}).not.toHaveProperty([LAST_APPLIED]);
    expect(container(adopted)["env"]).toEqual([a, b]);
    expect(container(adopted)).not.toHaveProperty("ports");
    expect(writes()).toEqual(["patch deployments web", "patch deployments web"]);

    await sync([deployment(namespace, {}, { env: [a!] })]);
    const later = await live(before);
    expect(container(later)["env"]).toEqual([a]);
    expect(later["spec"]).not.toHaveProperty("minReadySeconds");
    expect(writes()).toEqual(["patch deployments web"]);
    await seen(before);
    expect(drift(before)).toBeUndefined();
  });

  it("keeps what the server had defaulted or others had set, although kubectl's entry names it", async () => {
    const { namespace, create, edit, sync, live, failure } = await rig.setUp();
    const claim = (spec: JsonObject): Manifest => ({
      apiVersion: "v1",
      kind: "PersistentVolumeClaim",
      metadata: { name: "data", namespace },
      spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } }, ...spec },
    });
    // As if the admission of a default class had set it in kubectl's own request.
    const made = asKubectl(claim({}));
    await create({ ...made, spec: { ...(claim({})["spec"] as JsonObject), storageClassName: "fast" } }, "kubectl-client-side-apply");
    await create(asKubectl(deployment(namespace)), "kubectl-client-side-apply");
    await edit(deployment(namespace), "kube-controller-manager", { spec: { replicas: 6 } }, "scale");
    await sync([claim({}), deployment(namespace)]);
    expect(failure(claim({}))).toBeUndefined();
    expect((await live(claim({})))["spec"]).toMatchObject({ storageClassName: "fast" });
    expect(managersOf(await live(claim({})))).toEqual(["muster/Apply"]);
    expect(replicasOf(await live(deployment(namespace)))).toBe(6);
    expect(managersOf(await live(deployment(namespace)))).toEqual(["kube-controller-manager/Update", "muster/Apply"]);
  });

  it("is found out as well where an object had no managedFields at all, and where kubectl comes back later", async () => {
    const { namespace, create, edit, sync, live } = await rig.setUp();
    const map = site(namespace, { a: "1", b: "1", c: "1" });
    await create(asKubectl(map), "kubectl-client-side-apply");
    await edit(map, "somebody", { metadata: { managedFields: [{}] } });
    await sync([site(namespace, { a: "1", b: "1" })]);
    expect((await live(map))["data"]).toEqual({ a: "1", b: "1" });
    expect(managersOf(await live(map))).toEqual(["muster/Apply"]);
    // `kubectl apply` by hand of the same content.
    await edit(map, "kubectl-client-side-apply", {
      metadata: { annotations: { [LAST_APPLIED]: JSON.stringify(site(namespace, { a: "1", b: "1", d: "1" })) } },
      data: { a: "1", b: "1", d: "1" },
    });
    await sync([site(namespace, { a: "2" })]);
    expect((await live(map))["data"]).toEqual({ a: "2" });
    expect((await live(map)).metadata["annotations"] ?? {}).not.toHaveProperty([LAST_APPLIED]);
  });
});

describe("E026: an agent that is killed between taking over and applying", () => {
  it("has changed nothing but who owns what, and the next one goes on", async () => {
    let kill = () => {};
    const test = await rig.setUp({ failpoint: (name) => name === "agent.afterTakeOver" && kill() });
    const { namespace, create, take, live, agent, restart } = test;
    const map = site(namespace, { a: "1", b: "1" });
    const killed = new Promise<void>((resolve) => {
      kill = () => {
        agent.stop();
        resolve();
        throw new Error("killed");
      };
    });
    await create(asKubectl(map), "kubectl-client-side-apply");
    await take([site(namespace, { a: "2" })]);
    await killed;
    expect((await live(map))["data"]).toEqual({ a: "1", b: "1" });
    expect(managersOf(await live(map))).toEqual(["muster/Apply"]);
    const second = restart();
    await eventually(() => expect(second.bundle("a")).toMatchObject({ state: "Synced" }));
    expect((await live(map))["data"]).toEqual({ a: "2" });
  });
});

describe("a field that somebody else is to own", () => {
  const ignore = [{ kind: "Deployment", paths: ["/spec/replicas"] }];
  const options = { drift: { mode: "correct" as const, ignore } };

  it("E023: is never touched if Git does not have it, and left to the other one if Git has it and ignores it", async () => {
    const { namespace, sync, edit, live, drift, seen } = await rig.setUp();
    const web = deployment(namespace);
    await sync([web]);
    await edit(web, "hpa", { spec: { replicas: 7 } }, "scale");
    await sync([deployment(namespace, {}, { image: "web:2" })]);
    expect(replicasOf(await live(web))).toBe(7);
    await sync([deployment(namespace, { replicas: 2 }, { image: "web:3" })], options);
    await edit(web, "hpa", { spec: { replicas: 8 } }, "scale");
    await seen(web);
    await sync([deployment(namespace, { replicas: 2 }, { image: "web:4" })], options);
    expect(replicasOf(await live(web))).toBe(8);
    expect(drift(web)).toBeUndefined();
    const entry = ((await live(web)).metadata["managedFields"] as JsonObject[]).find((one) => one["manager"] === "muster");
    expect(JSON.stringify(entry)).not.toContain("f:replicas");
  });

  it("E024: keeps its value on the way there: no state of the object ever has the default", async () => {
    const { namespace, sync, edit, live } = await rig.setUp();
    const web = deployment(namespace, { replicas: 3 });
    await sync([web]);
    const seen: number[] = [];
    const stop = new AbortController();
    const type = (await rig.cluster.discover()).find("apps", "Deployment");
    const resourceVersion = String((await live(web)).metadata["resourceVersion"]);
    const watching = (async () => {
      for await (const event of rig.cluster.watch(type!, { namespace, resourceVersion }, stop.signal)) {
        if (event.type !== "bookmark") seen.push(replicasOf(event.object));
      }
    })();
    // An ignore rule for what we own; a new image with it; the other one takes it; Git drops the field; Git drops the rule.
    await sync([deployment(namespace, { replicas: 3 }, { image: "web:2" })], options);
    await edit(web, "hpa", { spec: { replicas: 7 } }, "scale");
    await sync([deployment(namespace, { replicas: 3 }, { image: "web:3" })], options);
    await sync([deployment(namespace, {}, { image: "web:4" })], options);
    await sync([deployment(namespace, {}, { image: "web:5" })]);
    await eventually(() => expect(seen.length).toBeGreaterThanOrEqual(5));
    stop.abort();
    await watching.catch(() => {});
    expect(new Set(seen)).toEqual(new Set([3, 7]));
    expect(replicasOf(await live(web))).toBe(7);
  });

  it("E024: is handed over in one commit that ignores it and drops it, while we are its only owner", async () => {
    const { namespace, sync, live, edit } = await rig.setUp();
    await sync([deployment(namespace, { replicas: 5 })]);
    await sync([deployment(namespace, {}, { image: "web:2" })], options);
    expect(replicasOf(await live(deployment(namespace)))).toBe(5);
    await edit(deployment(namespace), "hpa", { spec: { replicas: 6 } }, "scale");
    await sync([deployment(namespace, {}, { image: "web:3" })], options);
    expect(replicasOf(await live(deployment(namespace)))).toBe(6);
  });

  it("E025: within containers goes by the path: an autoscaler's resources stay, an image does not", async () => {
    const { namespace, sync, edit, live, agent, synced } = await rig.setUp();
    const resources = (cpu: string) => ({ resources: { requests: { cpu, memory: "1Mi" } } });
    const web = deployment(namespace, {}, resources("100m"));
    const paths = ["/spec/template/spec/containers/*/resources"];
    await sync([web], { drift: { mode: "correct", ignore: [{ kind: "Deployment", paths }] } });
    const theirs = { name: "web", image: "evil:1", ...resources("250m") };
    await edit(web, "vpa", { spec: { template: { spec: { containers: [theirs] } } } });
    await eventually(async () => expect(container(await live(web))["image"]).toBe("web:1"));
    await eventually(() => expect(agent.told.map((event) => event.type)).toContain("DriftCorrected"));
    await synced();
    expect(container(await live(web))).toMatchObject(resources("250m"));
  });
});
