import type { JsonObject, Manifest } from "@muster/shared/model";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../../../test/rig/eventually.ts";
import { definition, type EdgeCluster, startEdgeCluster, synced } from "./testing/edge-cluster.ts";
import { refuseAll } from "./testing/refuse-all.ts";

/** What is applied before what, what waits for what, and what refuses the agent itself: section 1 of the edge cases. */

const ADMISSION = "admissionregistration.k8s.io";
const WORKLOADS = `/apis/apps/v1/namespaces`;

let edge: EdgeCluster;
beforeAll(async () => {
  edge = await startEdgeCluster("order");
});
afterEach(() => edge.endTest());
afterAll(() => edge?.stop());

const deployment = (namespace: string, name: string): Manifest => ({
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { name, namespace },
  spec: {
    replicas: 1,
    selector: { matchLabels: { app: name } },
    template: { metadata: { labels: { app: name } }, spec: { containers: [{ name: "c", image: "c:1" }] } },
  },
});
const rolledOut = (path: string, generation = 1) =>
  edge.api.admin.request(
    "PATCH",
    `${path}/status`,
    { status: { observedGeneration: generation, replicas: 1, updatedReplicas: 1, readyReplicas: 1, availableReplicas: 1 } },
    "application/merge-patch+json",
  );

describe("the order of applies", () => {
  it("E003: is that of the ranks and never that of the files", async () => {
    const { start, writes, namespace, maker } = await edge.newTenant();
    const agent = start();
    const group = "e003.example.com";
    const bundleOf = (round: number) => {
      const inside = `${namespace}-in-${round}`;
      const role = { apiVersion: "rbac.authorization.k8s.io/v1", kind: "Role", metadata: { name: `r${round}`, namespace: inside } };
      const objects: Manifest[] = [
        { apiVersion: "v1", kind: "Namespace", metadata: { name: inside } },
        definition(group, `shapes${String.fromCharCode(97 + round)}s`),
        role,
        { apiVersion: "v1", kind: "ConfigMap", metadata: { name: `m${round}`, namespace: inside }, data: {} },
        {
          ...role,
          kind: "RoleBinding",
          metadata: { name: `b${round}`, namespace: inside },
          roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: `r${round}` },
          subjects: [],
        },
        deployment(inside, `d${round}`),
        {
          apiVersion: `${group}/v1`,
          kind: `Shapes${String.fromCharCode(97 + round)}`,
          metadata: { name: `s${round}`, namespace: inside },
        },
        { apiVersion: `${ADMISSION}/v1`, kind: "ValidatingWebhookConfiguration", metadata: { name: inside }, webhooks: [] },
      ];
      return { name: `bundle-${round}`, objects };
    };
    // 100 orders of files give one manifest set; 5 of them are applied as they come.
    const shuffled = ({ name, objects }: ReturnType<typeof bundleOf>, by: number) => ({
      name,
      objects: objects
        .map((object, index) => ({ object, at: (Math.imul(index * 7919 + by * 104_729, 2_654_435_761) >>> 0) % 1_000_003 }))
        .sort((a, b) => a.at - b.at)
        .map(({ object }) => object),
    });
    const digests = Array.from({ length: 100 }, (_, by) => {
      const [bundle] = maker.make([shuffled(bundleOf(0), by)]).slice.bundles;
      return bundle?.state === "desired" ? bundle.manifestSet.digest : "";
    });
    expect(new Set(digests).size).toBe(1);

    const mark = edge.api.auditMark();
    await agent.take(Array.from({ length: 5 }, (_, round) => shuffled(bundleOf(round), round * 31)));
    for (let round = 0; round < 5; round += 1) await synced(agent, `bundle-${round}`);
    const rank = ["namespaces|customresourcedefinitions", "roles|configmaps", "rolebindings", "deployments", "shapes", "validatingweb"];
    for (let round = 0; round < 5; round += 1) {
      const ranks = writes(mark)
        .filter((write) => /(\d$|in-\d$|shapes)/.test(write) && belongsTo(write, round))
        .map((write) => rank.findIndex((pattern) => new RegExp(` (${pattern})`).test(write)));
      expect(ranks).toHaveLength(8);
      expect(ranks).toEqual(ranks.toSorted());
    }
    function belongsTo(write: string, round: number): boolean {
      const name = write.split(" ")[2] ?? "";
      return name.endsWith(String(round)) || name.startsWith(`shapes${String.fromCharCode(97 + round)}s.`);
    }
  });

  it("E004: a namespace that nobody declares is waited for, or made where the bundle says so, and then never pruned", async () => {
    const { start, namespace, deleted } = await edge.newTenant();
    const agent = start();
    const map = (name: string, where: string) => ({ apiVersion: "v1", kind: "ConfigMap", metadata: { name, namespace: where }, data: {} });
    await agent.take([
      { name: "never", objects: [map("x", `${namespace}-never`)] },
      { name: "made", objects: [map("x", `${namespace}-made`), map("y", `${namespace}-made`)], options: { createNamespace: true } },
    ]);
    await synced(agent, "made");
    await eventually(() => expect(agent.bundle("never")).toMatchObject({ state: "Pending", reason: "NAMESPACE_MISSING", failed: 0 }));
    const made = await edge.api.admin.get<Manifest>(`/api/v1/namespaces/${namespace}-made`);
    expect(made?.metadata["annotations"]).toEqual({ "muster.dev/implicit": "true" });
    await edge.api.admin.request("POST", "/api/v1/namespaces", { metadata: { name: `${namespace}-never` } });
    await synced(agent, "never");
    await agent.take([{ name: "never", objects: [map("x", `${namespace}-never`)] }]);
    await eventually(() => expect(deleted()).toHaveLength(2));
    await eventually(async () => expect((await agent.inventory()).entries.size).toBe(1));
    expect(deleted().filter((text) => text.includes("/namespaces/"))).toEqual([]);
    expect((await edge.api.admin.get<Manifest>(`/api/v1/namespaces/${namespace}-made`))?.metadata["deletionTimestamp"]).toBeUndefined();
  });

  it("E008: a role stands before its binding, and a refusal to grant more than one has is told in the server's words", async () => {
    const rbac = { apiGroups: ["rbac.authorization.k8s.io"], resources: ["roles", "rolebindings"] };
    const verbs = ["get", "list", "watch", "create", "patch"];
    const pods = { apiGroups: [""], resources: ["pods"], verbs: ["get"] };
    const { start, namespace, writes, setRights } = await edge.newTenant([{ ...rbac, verbs }]);
    const agent = start();
    const objects: Manifest[] = [
      {
        apiVersion: "rbac.authorization.k8s.io/v1",
        kind: "RoleBinding",
        metadata: { name: "a-binding", namespace },
        roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: "z-role" },
        subjects: [],
      },
      { apiVersion: "rbac.authorization.k8s.io/v1", kind: "Role", metadata: { name: "z-role", namespace }, rules: [pods] },
    ];
    await agent.take([{ name: "a", objects }]);
    await eventually(() =>
      expect(agent.bundle("a")).toMatchObject({
        state: "Failed",
        reason: "KUBE_FORBIDDEN",
        message: expect.stringMatching(/is attempting to grant RBAC permissions not currently held/),
      }),
    );
    await setRights([{ ...rbac, verbs }, pods]);
    await synced(agent, "a", 60_000);
    const granted = edge.api.audit().filter((entry) => entry.code === 201 && /^roles$|^rolebindings$/.test(entry.resource));
    expect(granted.filter((entry) => entry.namespace === namespace).map((entry) => entry.resource)).toEqual(["roles", "rolebindings"]);
    expect(writes()[0]).toBe("patch roles z-role");
  });
});

describe("a bundle that depends on another", () => {
  it("E009: which is not there says so, and others are applied and pruned meanwhile", async () => {
    const { start, map, live, deleted, namespace } = await edge.newTenant();
    const agent = start();
    await agent.take([
      { name: "other", objects: [map("keep"), map("remove")] },
      { name: "top", objects: [map("top"), map("gone")] },
    ]);
    await synced(agent, "top");
    await synced(agent, "other");
    const options = { dependsOn: ["absent"] };
    await agent.take([
      { name: "other", objects: [map("keep", "2")] },
      { name: "top", objects: [map("top", "2")], options },
    ]);
    await eventually(() =>
      expect(agent.bundle("top")).toMatchObject({
        state: "Pending",
        reason: "DEPENDENCY_NOT_READY",
        message: expect.stringContaining("absent"),
      }),
    );
    await eventually(async () => expect(await live()).toEqual({ keep: "2", top: "1" }));
    expect(deleted().sort()).toEqual([`${namespace}/configmaps/gone`, `${namespace}/configmaps/remove`]);
  });

  it("E011, E013: waits until it is healthy, not only applied, whoever deletes what of it meanwhile", async () => {
    const { start, map, live, namespace, path } = await edge.newTenant();
    const agent = start();
    await agent.take([
      { name: "base", objects: [deployment(namespace, "base"), map("base")] },
      { name: "top", objects: [map("top")], options: { dependsOn: ["base"] } },
    ]);
    const base = `${WORKLOADS}/${namespace}/deployments/base`;
    await eventually(() => expect(agent.bundle("base")).toMatchObject({ state: "Synced", health: "InProgress" }));
    await eventually(() => expect(agent.bundle("top")).toMatchObject({ state: "Pending", reason: "DEPENDENCY_NOT_READY" }));
    expect(await live()).toEqual({ base: "1" });
    await edge.api.admin.request("DELETE", base);
    await edge.api.admin.request("DELETE", path("base"));
    await eventually(async () => expect(await live()).toEqual({ base: "1" }));
    await eventually(async () => expect(await edge.api.admin.get(base)).toBeDefined());
    expect(await live()).toEqual({ base: "1" });
    await rolledOut(base);
    await synced(agent, "top");
    expect(await live()).toEqual({ base: "1", top: "1" });
  });

  it("E012: objects leave in the order in which they do not need each other: admission, workloads, configuration", async () => {
    const { start, map, namespace, deleted } = await edge.newTenant();
    const agent = start();
    const group = "e012.example.com";
    const webhooks = { apiVersion: `${ADMISSION}/v1`, kind: "ValidatingWebhookConfiguration", metadata: { name: namespace }, webhooks: [] };
    const custom = { apiVersion: `${group}/v1`, kind: "Thing", metadata: { name: "t", namespace } };
    const objects: Manifest[] = [map("config"), deployment(namespace, "web"), webhooks, custom];
    await agent.take([
      { name: "crd", objects: [definition(group, "things")] },
      { name: "a", objects },
      { name: "keep", objects: [map("keep")] },
    ]);
    await synced(agent, "a");
    await synced(agent, "keep");
    await agent.take([
      { name: "crd", objects: [definition(group, "things")] },
      { name: "keep", objects: [map("keep")] },
    ]);
    await eventually(() =>
      expect(deleted()).toEqual([
        `/validatingwebhookconfigurations/${namespace}`,
        `${namespace}/things/t`,
        `${namespace}/deployments/web`,
        `${namespace}/configmaps/config`,
      ]),
    );
    await eventually(async () => expect((await agent.inventory()).entries.size).toBe(2));
  });
});

describe("a policy that refuses everything that the agent asks for, its own state included", () => {
  /** An agent that has locked itself out. */
  async function lockedOut() {
    const tenant = await edge.newTenant();
    const { start, map, namespace, user } = tenant;
    const agent = start();
    const policy = refuseAll(namespace, user);
    await agent.take([{ name: "a", objects: [map("x"), ...policy] }]);
    await synced(agent, "a");
    // It takes the API server a moment; then nothing goes any more, and the agent says who refuses.
    await edge.api.admin.request("PATCH", tenant.path("x"), { data: { value: "foreign" } }, "application/merge-patch+json");
    await eventually(
      async () => {
        await edge.api.admin.request(
          "PATCH",
          tenant.path("x"),
          { data: { value: String(performance.now()) } },
          "application/merge-patch+json",
        );
        expect(agent.bundle("a")).toMatchObject({ reason: "KUBE_DENIED", message: expect.stringContaining("nothing is allowed here") });
      },
      { intervalMs: 500 },
    );
    return { ...tenant, agent, policy };
  }
  /** As the intake does: again, until it is taken. */
  const insist = (take: () => Promise<void>) => eventually(take, { timeoutMs: 20_000, intervalMs: 250 });

  it("E014: is deleted first when the next commit removes it, and then all the rest is done", async () => {
    const { agent, map, live, deleted, namespace } = await lockedOut();
    await insist(() => agent.take([{ name: "a", objects: [map("x", "2"), map("y")] }]));
    await synced(agent, "a");
    expect(await live()).toEqual({ x: "2", y: "1" });
    expect(deleted().sort()).toEqual([`/validatingadmissionpolicies/${namespace}`, `/validatingadmissionpolicybindings/${namespace}`]);
    await eventually(async () => expect([...(await agent.inventory()).entries.keys()].sort()).toHaveLength(2));
  });

  it("E014: is changed first when the next commit corrects it, also by an agent that started only now", async () => {
    const { agent, start, map, live, namespace, user, deleted } = await lockedOut();
    const { desired } = agent.reconciler;
    agent.stop();
    const second = start();
    second.reconciler.resume(desired!);
    await insist(() => second.take([{ name: "a", objects: [map("x", "2"), ...refuseAll(namespace, user, "true")] }]));
    await synced(second, "a", 40_000);
    expect(await live()).toEqual({ x: "2" });
    expect(deleted()).toEqual([]);
  });

  it("E014: is deleted first also by an agent that started only now, before it has looked at anything", async () => {
    const { agent, start, map, live, namespace, deleted } = await lockedOut();
    const { desired } = agent.reconciler;
    agent.stop();
    const second = start();
    second.reconciler.resume(desired!);
    await insist(() => second.take([{ name: "a", objects: [map("x", "2")] }]));
    await synced(second, "a", 40_000);
    expect(await live()).toEqual({ x: "2" });
    // Its first pass, which still knew the policy only, may have made it again once.
    expect([...new Set(deleted())].sort()).toEqual([
      `/validatingadmissionpolicies/${namespace}`,
      `/validatingadmissionpolicybindings/${namespace}`,
    ]);
  });

  it("E014: a webhook whose server is not there is named as what refuses, and goes in the same way", async () => {
    const { start, map, live, namespace, state } = await edge.newTenant();
    const agent = start();
    const rules: JsonObject[] = [{ apiGroups: ["*"], apiVersions: ["*"], operations: ["CREATE", "UPDATE"], resources: ["*"] }];
    const selector = { matchExpressions: [{ key: "kubernetes.io/metadata.name", operator: "In", values: [namespace, state] }] };
    const webhook: Manifest = {
      apiVersion: `${ADMISSION}/v1`,
      kind: "ValidatingWebhookConfiguration",
      metadata: { name: namespace },
      webhooks: [
        {
          name: "guard.example.com",
          admissionReviewVersions: ["v1"],
          sideEffects: "None",
          timeoutSeconds: 1,
          clientConfig: { service: { namespace, name: "nowhere" } },
          rules,
          namespaceSelector: selector,
        },
      ],
    };
    await agent.take([{ name: "a", objects: [map("x"), webhook] }]);
    // From its first moment on it refuses: also that the agent notes that it has made it.
    await eventually(async () => {
      await expect(agent.take([{ name: "a", objects: [map("x", String(performance.now())), webhook] }])).rejects.toMatchObject({
        code: "AGENT_STATE",
        message: expect.stringContaining('webhook "guard.example.com"'),
      });
    });
    await insist(() => agent.take([{ name: "a", objects: [map("x", "2")] }]));
    await synced(agent, "a");
    expect(await live()).toEqual({ x: "2" });
  });
});
