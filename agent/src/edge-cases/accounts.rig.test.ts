import { type BundleOptions, isJsonObject, type JsonObject, type Manifest, type ServiceAccountRef, SyncState } from "@muster/shared/model";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { isMutating } from "../../../test/rig/audit-log.ts";
import { eventually } from "../../../test/rig/eventually.ts";
import type { AuditMark } from "../../../test/rig/kube-apiserver.ts";
import type { ComposedAgent } from "../reconcile/testing/compose-agent.ts";
import { type EdgeCluster, startEdgeCluster, synced, type Tenant } from "./testing/edge-cluster.ts";

/** Bundles that are applied in the name of a ServiceAccount: with its rights, and never with the agent's. */

let edge: EdgeCluster;
beforeAll(async () => {
  edge = await startEdgeCluster("accounts");
});
afterEach(() => edge.endTest());
afterAll(() => edge?.stop());

const RBAC = "rbac.authorization.k8s.io";
const within = { timeoutMs: 30_000 };
const READ: JsonObject = { apiGroups: ["*"], resources: ["*"], verbs: ["get", "list", "watch"] };
const MAPS: JsonObject = { apiGroups: [""], resources: ["configmaps"], verbs: ["get", "list", "create", "patch", "delete"] };
const impersonate = (...names: string[]): JsonObject => ({
  apiGroups: [""],
  resources: ["serviceaccounts"],
  verbs: ["impersonate"],
  resourceNames: names,
});
const admin = () => edge.api.admin;
const userOf = ({ namespace, name }: ServiceAccountRef) => `system:serviceaccount:${namespace}:${name}`;
const exceptionOf = (agent: ComposedAgent, name: string) => agent.reconciler.exceptions().find((one) => one.ref.name === name);

/** A Role and its binding to an account, or to all accounts of its namespace. */
function grant(account: ServiceAccountRef, rules: readonly JsonObject[], toAll = false): [role: Manifest, binding: Manifest] {
  const { namespace, name } = account;
  return [
    { apiVersion: `${RBAC}/v1`, kind: "Role", metadata: { name, namespace }, rules: [...rules] },
    {
      apiVersion: `${RBAC}/v1`,
      kind: "RoleBinding",
      metadata: { name, namespace },
      roleRef: { apiGroup: RBAC, kind: "Role", name },
      subjects: [
        toAll
          ? { apiGroup: RBAC, kind: "Group", name: `system:serviceaccounts:${namespace}` }
          : { kind: "ServiceAccount", namespace, name },
      ],
    },
  ];
}

async function setUp(rules: readonly JsonObject[] = [READ, impersonate("deployer", "other")]) {
  const tenant = await edge.newTenant(rules);
  const account = (name: string): ServiceAccountRef => ({ namespace: tenant.namespace, name });
  const give = async (name: string, rules: readonly JsonObject[], toAll = false) => {
    const [role, binding] = grant(account(name), rules, toAll);
    const base = `/apis/${RBAC}/v1/namespaces/${tenant.namespace}`;
    await admin().request("POST", `${base}/roles`, role);
    await admin().request("POST", `${base}/rolebindings`, binding);
  };
  const take = async (name: string) => {
    await admin().request("DELETE", `/apis/${RBAC}/v1/namespaces/${tenant.namespace}/rolebindings/${name}`);
    await admin().request("DELETE", `/apis/${RBAC}/v1/namespaces/${tenant.namespace}/roles/${name}`);
  };
  return { tenant, agent: tenant.start(), map: tenant.map, account, give, take };
}

const bundle = (name: string, objects: readonly Manifest[], options: Partial<BundleOptions>) => ({ name, objects, options });
const uidOf = async (path: string) => (await admin().request<Manifest>("GET", path)).metadata["uid"];
const labelOf = (live: Manifest) => (isJsonObject(live.metadata["labels"]) ? live.metadata["labels"]["muster.dev/bundle"] : undefined);
/** In whose names the agent has asked for changes, its own state aside. */
const writers = ({ user, state }: Tenant, mark?: AuditMark) => [
  ...new Set(
    edge.api
      .audit(mark)
      .filter((entry) => entry.user === user && entry.namespace !== state && isMutating(entry))
      .map((entry) => entry.impersonated),
  ),
];

describe("a bundle with a ServiceAccount, on a real API server", () => {
  it("E008: is looked at, adopted, applied, corrected, recreated and pruned in its name alone, with the rights of its groups too", async () => {
    const { tenant, agent, map, account, give } = await setUp();
    const serviceAccount = account("deployer");
    await give("deployer", [MAPS], true);
    await admin().request("POST", `/api/v1/namespaces/${tenant.namespace}/configmaps`, map("adopted", "theirs"));
    const many = Array.from({ length: 10 }, (_, index) => map(`m${index}`));
    const fixed = (value: string): Manifest => ({
      ...map("fixed", value),
      immutable: true,
      metadata: { name: "fixed", namespace: tenant.namespace, annotations: { "muster.dev/recreate": "onImmutable" } },
    });
    const objects = [map("x"), map("adopted"), map("gone"), fixed("1"), ...many];
    await agent.take([bundle("a", objects, { serviceAccount })]);
    await synced(agent, "a");
    await admin().request("PATCH", tenant.path("x"), { data: { value: "edited" } }, "application/merge-patch+json");
    await eventually(async () => expect(await tenant.live()).toMatchObject({ x: "1" }), within);
    await eventually(() => expect(agent.told.map(({ type }) => type)).toContain("DriftCorrected"), within);
    await agent.take([bundle("a", [map("x"), map("adopted"), fixed("2"), ...many], { serviceAccount })]);
    await eventually(async () => expect((await tenant.live())["gone"]).toBeUndefined(), within);
    await eventually(async () => expect((await tenant.live())["fixed"]).toBe("2"), within);
    expect(writers(tenant)).toEqual([userOf(serviceAccount)]);
    const looks = edge.api
      .audit()
      .filter((entry) => entry.user === tenant.user && entry.verb === "list" && entry.resource === "configmaps");
    // Who is to apply looks at whole objects in one namespace; the agent itself watches, and looks for what it has lost, by its label.
    const unlabelled = looks.filter((entry) => entry.namespace === tenant.namespace && !entry.requestUri.includes("labelSelector"));
    expect(unlabelled.map((entry) => entry.impersonated)).toEqual([userOf(serviceAccount)]);
  });

  it("E008: is not applied at all while the agent may not act in its name, and other bundles are", async () => {
    const { tenant, agent, map, account, give } = await setUp([READ, MAPS]);
    await give("deployer", [MAPS]);
    const rest = bundle("b", [map("y")], {});
    await agent.take([bundle("a", [map("x")], { serviceAccount: account("deployer") }), rest]);
    await synced(agent, "b");
    await eventually(() =>
      expect(agent.bundle("a")).toMatchObject({
        state: SyncState.Failed,
        reason: "IMPERSONATION_FORBIDDEN",
        message: expect.stringContaining(`may not act as ServiceAccount ${tenant.namespace}/deployer`),
      }),
    );
    expect(await tenant.live()).toEqual({ y: "1" });
    await tenant.setRights([READ, MAPS, impersonate("deployer")]);
    await synced(agent, "a", 60_000);
    expect(await tenant.live()).toEqual({ x: "1", y: "1" });
  });

  it("E008: which it has no right for is refused by name, though the agent has it; when it gets it, it goes on", async () => {
    const { tenant, agent, map, account, give } = await setUp([READ, MAPS, impersonate("deployer")]);
    const serviceAccount = account("deployer");
    const namespace = `${tenant.namespace}-made`;
    await agent.take([
      bundle("a", [map("x")], { serviceAccount }),
      bundle("b", [{ ...map("y"), metadata: { name: "y", namespace } }], { serviceAccount, createNamespace: true }),
    ]);
    for (const name of ["a", "b"]) {
      await eventually(() =>
        expect(agent.bundle(name)).toMatchObject({
          state: SyncState.Failed,
          reason: "ACCOUNT_FORBIDDEN",
          message: expect.stringMatching(new RegExp(`ServiceAccount ${tenant.namespace}/deployer may not do this: .*cannot get resource`)),
        }),
      );
    }
    const mark = edge.api.auditMark();
    await give("deployer", [MAPS]);
    await synced(agent, "a", 60_000);
    expect(writers(tenant, mark)).toEqual([userOf(serviceAccount)]);
    expect(await admin().get(`/api/v1/namespaces/${namespace}`)).toBeUndefined();
  });

  it("E008: may not be given more than its account has, and that is told in the server's words", async () => {
    const { agent, account, give } = await setUp();
    const serviceAccount = account("deployer");
    const roles: JsonObject = { apiGroups: [RBAC], resources: ["roles", "rolebindings"], verbs: ["get", "create", "patch"] };
    await give("deployer", [roles]);
    await agent.take([bundle("a", grant(account("other"), [MAPS]), { serviceAccount })]);
    await eventually(() =>
      expect(agent.bundle("a")).toMatchObject({
        reason: "ACCOUNT_FORBIDDEN",
        message: expect.stringContaining("is attempting to grant RBAC permissions not currently held"),
      }),
    );
  });

  it("E008, E012: leaves Git together with its account's rights, which go after it, also in a new process", async () => {
    const tenant = await edge.newTenant();
    const { map, namespace } = tenant;
    const serviceAccount = { namespace, name: "deployer" };
    const platform = bundle("platform", grant(serviceAccount, [MAPS]), {});
    const app = bundle("app", [map("x")], { serviceAccount, dependsOn: ["platform"] });
    const rest = bundle("rest", [map("rest")], {});
    let agent = tenant.start();
    await agent.take([platform, app, rest]);
    await synced(agent, "app");
    await eventually(async () => expect((await agent.inventory()).bundles.get("app")).toEqual({ dependsOn: ["platform"], serviceAccount }));
    const { desired } = agent.reconciler;
    agent.stop();
    agent = tenant.start();
    agent.reconciler.resume(desired!);
    await synced(agent, "rest");
    const mark = edge.api.auditMark();
    await agent.take([rest]);
    await eventually(async () => expect((await agent.inventory()).entries.size).toBe(1), within);
    expect(tenant.deleted(mark)).toEqual([
      `${namespace}/configmaps/x`,
      `${namespace}/rolebindings/deployer`,
      `${namespace}/roles/deployer`,
    ]);
    const [first, ...others] = edge.api.audit(mark).filter((entry) => entry.verb === "delete" && entry.namespace === namespace);
    expect([first?.impersonated, others.map((entry) => entry.impersonated)]).toEqual([userOf(serviceAccount), ["", ""]]);
  });

  it("E008: that has lost its rights is not deleted with the agent's, and says so; with them again it is", async () => {
    const { tenant, agent, map, account, give, take } = await setUp([READ, MAPS, impersonate("deployer")]);
    const rest = bundle("rest", [map("rest")], {});
    await give("deployer", [MAPS]);
    await agent.take([bundle("a", [map("x")], { serviceAccount: account("deployer") }), rest]);
    await synced(agent, "a");
    await take("deployer");
    await agent.take([rest]);
    await eventually(() =>
      expect(exceptionOf(agent, "x")).toMatchObject({
        code: "PRUNE_BLOCKED",
        message: expect.stringContaining(`ServiceAccount ${tenant.namespace}/deployer may not do this`),
      }),
    );
    expect(tenant.deleted()).toEqual([]);
    await give("deployer", [MAPS]);
    await eventually(async () => expect(await tenant.live()).toEqual({ rest: "1" }), { timeoutMs: 60_000 });
  });

  it("E008, E078: an object that moves to a bundle of another account is applied in that one's name, or stays as it is", async () => {
    const { tenant, agent, map, account, give } = await setUp();
    await give("deployer", [MAPS]);
    const a = (objects: readonly Manifest[]) => bundle("a", objects, { serviceAccount: account("deployer") });
    const b = (objects: readonly Manifest[]) => bundle("b", objects, { serviceAccount: account("other") });
    await agent.take([a([map("x"), map("y")])]);
    await synced(agent, "a");
    const uid = await uidOf(tenant.path("x"));
    await agent.take([a([map("y")]), b([map("x", "2")])]);
    await eventually(() => expect(agent.bundle("b")).toMatchObject({ reason: "ACCOUNT_FORBIDDEN" }));
    expect(await tenant.live()).toEqual({ x: "1", y: "1" });
    const mark = edge.api.auditMark();
    await give("other", [MAPS]);
    await synced(agent, "b", 60_000);
    const live = await admin().request<Manifest>("GET", tenant.path("x"));
    expect([live.metadata["uid"], labelOf(live), live["data"]]).toEqual([uid, "b", { value: "2" }]);
    expect(writers(tenant, mark)).toEqual([userOf(account("other"))]);
    expect(tenant.deleted()).toEqual([]);
  });
});
