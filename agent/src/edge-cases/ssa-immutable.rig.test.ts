import type { JsonObject, Manifest } from "@muster/shared/model";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../../../test/rig/eventually.ts";
import { deployment, type SsaRig, type SsaTest, site, startSsaRig } from "./testing/ssa-rig.ts";

const RECREATE = { annotations: { "muster.dev/recreate": "onImmutable" } };
const CANARY = "canary-4711";

let rig: SsaRig;
beforeAll(async () => {
  rig = await startSsaRig("immutable");
});
afterEach(() => rig?.stopAgents());
afterAll(() => rig?.stop());

const job = (namespace: string, image: string, metadata: JsonObject = {}, pod: JsonObject = {}): Manifest => ({
  apiVersion: "batch/v1",
  kind: "Job",
  metadata: { ...metadata, name: "migrate", namespace },
  spec: {
    template: {
      spec: { restartPolicy: "Never", containers: [{ name: "c", image, env: [{ name: "TOKEN", value: CANARY }] }], ...pod },
    },
  },
});
const binding = (namespace: string, role: string, subjects: JsonObject[] = []): Manifest => ({
  apiVersion: "rbac.authorization.k8s.io/v1",
  kind: "RoleBinding",
  metadata: { name: "readers", namespace },
  roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: role },
  subjects,
});
const uidOf = (live: Manifest) => live.metadata["uid"];
const imageOf = (live: Manifest) =>
  (live["spec"] as { template: { spec: { containers: [{ image: string }] } } }).template.spec.containers[0].image;
const deletionsOf = ({ entries }: SsaTest) => entries().filter((entry) => entry.verb.startsWith("delete"));

describe("E046: a field that cannot be changed", () => {
  const spec = (name: string, namespace: string): [Manifest, JsonObject, string][] => [
    [job(namespace, "a"), { spec: (job(namespace, "b")["spec"] ?? {}) as JsonObject }, "spec.template"],
    [
      {
        apiVersion: "v1",
        kind: "PersistentVolumeClaim",
        metadata: { name: "data", namespace },
        spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } },
      },
      { spec: { accessModes: ["ReadWriteMany"], resources: { requests: { storage: "1Gi" } } } },
      "spec",
    ],
    [
      { apiVersion: "storage.k8s.io/v1", kind: "StorageClass", metadata: { name }, provisioner: "a.b/c" },
      { provisioner: "a.b/d" },
      "provisioner",
    ],
    [{ apiVersion: "scheduling.k8s.io/v1", kind: "PriorityClass", metadata: { name }, value: 1 }, { value: 2 }, "value"],
    [
      { apiVersion: "v1", kind: "Secret", metadata: { name: "s", namespace }, immutable: true, data: { a: "YQ==" } },
      { data: { a: "Yg==" } },
      "data",
    ],
    [
      { apiVersion: "v1", kind: "Service", metadata: { name: "s", namespace }, spec: { clusterIP: "10.0.0.20", ports: [{ port: 80 }] } },
      { spec: { clusterIP: "10.0.0.21", ports: [{ port: 80 }] } },
      "spec.clusterIPs[0]",
    ],
    [
      deployment(namespace),
      {
        spec: {
          selector: { matchLabels: { app: "new" } },
          template: { metadata: { labels: { app: "new" } }, spec: { containers: [{ name: "web", image: "web:1" }] } },
        },
      },
      "spec.selector",
    ],
    [
      {
        apiVersion: "v1",
        kind: "Pod",
        metadata: { name: "p", namespace },
        spec: { containers: [{ name: "c", image: "a", command: ["a"] }] },
      },
      { spec: { containers: [{ name: "c", image: "a", command: ["b"] }] } },
      "spec",
    ],
  ];

  it("is told with its path and without its values; nothing is deleted, and the other objects go on", async () => {
    const test = await rig.setUp();
    const { namespace, sync, take, live, agent, failure } = test;
    const cases = spec(namespace, namespace);
    const before = [...cases.map(([object]) => object), site(namespace, { a: "1" })];
    await sync(before);
    const uids = await Promise.all(before.map(async (object) => uidOf(await live(object))));
    await take([...cases.map(([object, change]) => ({ ...object, ...change })), site(namespace, { a: "2" })]);
    await eventually(async () => {
      for (const [object, , path] of cases) {
        expect(failure(object), object.kind).toMatchObject({
          code: "KUBE_IMMUTABLE",
          message: expect.stringMatching(new RegExp(`: ${path.replace(/[[\]]/g, "\\$&")} cannot be changed`)),
        });
      }
      expect((await live(site(namespace, {})))["data"]).toEqual({ a: "2" });
    });
    expect(agent.bundle("a")).toMatchObject({ state: "Failed", reason: "KUBE_IMMUTABLE", failed: cases.length });
    expect(await Promise.all(before.map(async (object) => uidOf(await live(object))))).toEqual(uids);
    expect(deletionsOf(test)).toEqual([]);
    expect(JSON.stringify([agent.told, agent.reconciler.exceptions()])).not.toContain(CANARY);
  });

  it("makes the object anew where the object in Git allows that, once, and with nothing else touched", async () => {
    const test = await rig.setUp();
    const { namespace, sync, live, writes, drift } = test;
    await sync([job(namespace, "a", RECREATE), site(namespace, { a: "1" })]);
    const uid = uidOf(await live(job(namespace, "")));
    writes();
    await sync([job(namespace, "b", RECREATE), site(namespace, { a: "1" })]);
    const now = await live(job(namespace, ""));
    expect(imageOf(now)).toBe("b");
    expect(uidOf(now)).not.toBe(uid);
    expect(drift(now)).toBeUndefined();
    expect(writes()).toEqual(["delete jobs migrate", "patch jobs migrate"]);
  });

  it("makes nothing anew that is not known to be ours, nor what holds data", async () => {
    const test = await rig.setUp();
    const { namespace, take, create, failure, live } = test;
    const claim = (mode: string): Manifest => ({
      apiVersion: "v1",
      kind: "PersistentVolumeClaim",
      metadata: { ...RECREATE, name: "data", namespace },
      spec: { accessModes: [mode], resources: { requests: { storage: "1Gi" } } },
    });
    const theirs = await create(job(namespace, "theirs"), "somebody");
    await take([job(namespace, "ours", RECREATE), claim("ReadWriteOnce")]);
    await eventually(() => expect(failure(theirs)).toMatchObject({ code: "KUBE_IMMUTABLE" }));
    await take([job(namespace, "ours", RECREATE), claim("ReadWriteMany")]);
    await eventually(() => expect(failure(claim(""))).toMatchObject({ code: "KUBE_IMMUTABLE" }));
    expect(uidOf(await live(theirs))).toBe(uidOf(theirs));
    expect(deletionsOf(test)).toEqual([]);
  });
});

describe("E047: an object that may be made anew", () => {
  it("is not deleted for a wanted state that the API server refuses for another reason", async () => {
    const test = await rig.setUp();
    const { namespace, sync, take, failure, live } = test;
    await sync([job(namespace, "a", RECREATE)]);
    const uid = uidOf(await live(job(namespace, "")));
    // Refused by itself; refused by itself and immutable at once; words of an immutable field within a refused value.
    const refused = [
      job(namespace, "a", { ...RECREATE, labels: { x: "field is immutable" } }),
      job(namespace, "b", RECREATE, { restartPolicy: "Always" }),
      job(namespace, "b", RECREATE, { priorityClassName: "there-is-none: field is immutable" }),
    ];
    for (const object of refused) {
      await take([object]);
      await eventually(() => expect(failure(object)?.code).toMatch(/^KUBE_(INVALID|IMMUTABLE|DENIED)$/));
      expect(failure(object)).toMatchObject({ code: expect.not.stringMatching("KUBE_IMMUTABLE") });
    }
    expect(uidOf(await live(job(namespace, "")))).toBe(uid);
    expect(deletionsOf(test)).toEqual([]);
  });

  it("is not deleted where a policy would refuse the new one, and is made anew when it does not any more", async () => {
    const test = await rig.setUp();
    const { namespace, sync, take, failure, live, agent } = test;
    const policies = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies";
    await sync([job(namespace, "a", RECREATE)]);
    const uid = uidOf(await live(job(namespace, "")));
    await rig.api.admin.request("POST", policies, {
      metadata: { name: "no-new-jobs" },
      spec: {
        matchConstraints: {
          namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": namespace } },
          resourceRules: [{ apiGroups: ["batch"], apiVersions: ["*"], operations: ["CREATE"], resources: ["jobs"] }],
        },
        validations: [{ expression: "false", message: "no new jobs" }],
      },
    });
    await rig.api.admin.request("POST", `${policies}bindings`.replace("policiesbindings", "policybindings"), {
      metadata: { name: "no-new-jobs" },
      spec: { policyName: "no-new-jobs", validationActions: ["Deny"] },
    });
    await eventually(() =>
      expect(
        rig.api.admin.request("POST", `/apis/batch/v1/namespaces/${namespace}/jobs?dryRun=All`, {
          ...job(namespace, "x"),
          metadata: { name: "other" },
        }),
      ).rejects.toThrow("no new jobs"),
    );
    await take([job(namespace, "b", RECREATE)]);
    await eventually(() =>
      expect(failure(job(namespace, ""))).toMatchObject({ code: "KUBE_DENIED", message: expect.stringContaining("no new jobs") }),
    );
    expect(uidOf(await live(job(namespace, "")))).toBe(uid);
    expect(deletionsOf(test)).toEqual([]);
    await rig.api.admin.request("DELETE", `${policies.replace("policies", "policybindings")}/no-new-jobs`);
    await eventually(async () => {
      agent.reconciler.trigger();
      expect(imageOf(await live(job(namespace, "")))).toBe("b");
    });
  });
});

describe("E048: an object that is being made anew", () => {
  it("is waited for while finalizers hold it, stays in the inventory, and is made when it is gone", async () => {
    const test = await rig.setUp();
    const { namespace, sync, take, synced, live, edit, agent, failure, entries } = test;
    await sync([job(namespace, "a", RECREATE)]);
    await edit(job(namespace, ""), "somebody", { metadata: { finalizers: ["example.com/hold"] } });
    const uid = uidOf(await live(job(namespace, "")));
    await take([job(namespace, "b", RECREATE)]);
    await eventually(() => expect(failure(job(namespace, ""))).toMatchObject({ code: "OBJECT_TERMINATING" }));
    expect(agent.bundle("a")).toMatchObject({ state: "Pending", reason: "OBJECT_TERMINATING" });
    expect([...(await agent.inventory()).entries.values()]).toMatchObject([{ bundle: "a", uid }]);
    agent.reconciler.trigger();
    await edit(job(namespace, ""), "somebody", { metadata: { finalizers: null } });
    await synced();
    const now = await live(job(namespace, ""));
    expect([imageOf(now), uidOf(now) === uid]).toEqual(["b", false]);
    expect(entries().filter((entry) => entry.verb === "delete")).toHaveLength(1);
    expect([...(await agent.inventory()).entries.values()]).toMatchObject([{ bundle: "a", uid: uidOf(now) }]);
  });

  it("is made by the next process if this one is killed right after the deletion", async () => {
    let kill = () => {};
    const test = await rig.setUp({ failpoint: (name) => name === "agent.afterRecreateDelete" && kill() });
    const { namespace, sync, take, live, agent, restart } = test;
    await sync([job(namespace, "a", RECREATE)]);
    const uid = uidOf(await live(job(namespace, "")));
    const killed = new Promise<void>((resolve) => {
      kill = () => {
        agent.stop();
        resolve();
        throw new Error("killed");
      };
    });
    await take([job(namespace, "b", RECREATE)]);
    await killed;
    await expect(live(job(namespace, ""))).rejects.toThrow("404");
    expect([...(await agent.inventory()).entries.values()]).toMatchObject([{ bundle: "a", uid }]);
    const second = restart();
    await eventually(async () => expect(imageOf(await live(job(namespace, "")))).toBe("b"));
    await eventually(async () =>
      expect([...(await second.inventory()).entries.values()]).toMatchObject([{ bundle: "a", uid: uidOf(await live(job(namespace, ""))) }]),
    );
    expect(second.bundle("a")).toMatchObject({ state: "Synced" });
  });
});

describe("E049: the role of a binding", () => {
  it("is changed by making the binding anew, without anybody's permission; one that the agent may live by is left alone", async () => {
    const test = await rig.setUp();
    const { namespace, sync, take, live, writes, failure } = test;
    await sync([binding(namespace, "view")]);
    writes();
    await sync([binding(namespace, "edit")]);
    expect((await live(binding(namespace, "")))["roleRef"]).toMatchObject({ name: "edit" });
    expect(writes()).toEqual(["delete rolebindings readers", "patch rolebindings readers"]);
    const agents = [{ kind: "ServiceAccount", name: "muster-agent", namespace: `${namespace}-muster` }];
    await sync([binding(namespace, "edit", agents)]);
    writes();
    await take([binding(namespace, "view", agents)]);
    await eventually(() => expect(failure(binding(namespace, ""))).toMatchObject({ code: "KUBE_IMMUTABLE" }));
    expect(writes()).toEqual([]);
  });
});

describe("E029: the port of a container that keeps its name", () => {
  it("changes in place, also while another manager owns the old one", async () => {
    const { namespace, sync, live, applyAs } = await rig.setUp();
    const web = (containerPort: number) => deployment(namespace, {}, { ports: [{ name: "http", containerPort }] });
    await sync([web(80)]);
    await applyAs(web(80), "other-tool");
    await sync([web(81)]);
    const { template } = (await live(web(0)))["spec"] as { template: { spec: { containers: { ports: { containerPort: number }[] }[] } } };
    expect(template.spec.containers.map(({ ports }) => ports.map(({ containerPort }) => containerPort))).toEqual([[81]]);
  });
});

describe("E029: the port of a Service that keeps its name", () => {
  const service = (namespace: string, port: number): Manifest => ({
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "web", namespace },
    spec: { selector: { app: "web" }, ports: [{ name: "http", port }] },
  });
  const portsOf = (live: Manifest) => (live["spec"] as { ports: { port: number }[] }).ports.map(({ port }) => port);

  it("changes in place, also while another manager owns the old one, or kubectl had made it", async () => {
    const { namespace, sync, live, applyAs, create, writes } = await rig.setUp();
    await sync([service(namespace, 80)]);
    const { clusterIP } = (await live(service(namespace, 0)))["spec"] as { clusterIP: string };
    await sync([service(namespace, 81)]);
    await applyAs(service(namespace, 81), "other-tool");
    await sync([service(namespace, 82)]);
    const now = await live(service(namespace, 0));
    expect(portsOf(now)).toEqual([82]);
    expect(now["spec"]).toMatchObject({ clusterIP });
    const other = { ...service(namespace, 90), metadata: { name: "old", namespace } };
    await create(
      {
        ...other,
        metadata: { ...other.metadata, annotations: { "kubectl.kubernetes.io/last-applied-configuration": JSON.stringify(other) } },
      },
      "kubectl-client-side-apply",
    );
    await sync([service(namespace, 82), { ...service(namespace, 91), metadata: other.metadata }]);
    expect(portsOf(await live(other))).toEqual([91]);
    expect(writes().filter((write) => !write.startsWith("patch services"))).toEqual([]);
  });
});
