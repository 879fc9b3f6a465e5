import type { DriftIgnore, JsonObject, Manifest } from "@muster/shared/model";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../../../test/rig/eventually.ts";
import { deployment, type SsaRig, site, startSsaRig } from "./testing/ssa-rig.ts";

let rig: SsaRig;
beforeAll(async () => {
  rig = await startSsaRig("when");
});
afterEach(() => rig?.stopAgents());
afterAll(() => rig?.stop());

const options = (mode: "correct" | "report", ...ignore: DriftIgnore[]) => ({ drift: { mode, ignore } });
const labelled = (namespace: string, data: JsonObject, labels: JsonObject = {}) => site(namespace, data, { labels });
const dataOf = (live: Manifest) => live["data"];
const OPEN: DriftIgnore = { kind: "ConfigMap", paths: ["/data/a"], when: "object.?metadata.?annotations[?'window'].orValue('') == 'open'" };

describe("drift.ignore with a condition", () => {
  it("leaves a field alone while the condition is true of the live object, and takes it back when it is not any more", async () => {
    const { namespace, agent, sync, edit, live, seen, drift } = await rig.setUp();
    const map = site(namespace, { a: "1", b: "1" });
    await sync([map], options("correct", OPEN));
    await edit(map, "somebody", { data: { a: "2" } });
    await eventually(async () => expect(dataOf(await live(map))).toEqual({ a: "1", b: "1" }));
    await edit(map, "somebody", { metadata: { annotations: { window: "open" } }, data: { a: "3" } });
    await seen(map);
    expect(drift(map)).toBeUndefined();
    // Neither a revision nor drift elsewhere in the object takes it from them.
    await edit(map, "somebody", { data: { b: "3" } });
    await eventually(async () => expect(dataOf(await live(map))).toEqual({ a: "3", b: "1" }));
    await sync([site(namespace, { a: "1", b: "4" })], options("correct", OPEN));
    expect(dataOf(await live(map))).toEqual({ a: "3", b: "4" });
    await edit(map, "somebody", { metadata: { annotations: { window: null } } });
    await eventually(async () => expect(dataOf(await live(map))).toEqual({ a: "1", b: "4" }));
    expect(agent.bundle("a")?.failed).toBe(0);
  });

  it("that ends is told in mode report: what the fields are, and no more than they are", async () => {
    const { namespace, sync, take, edit, live, seen, drift } = await rig.setUp();
    const map = site(namespace, { a: "1" });
    await sync([map], options("report", OPEN));
    await edit(map, "somebody", { metadata: { annotations: { window: "open" } }, data: { a: "3" } });
    await seen(map);
    await take([site(namespace, { a: "1", b: "1" })], options("report", OPEN));
    await eventually(async () => expect(dataOf(await live(map))).toEqual({ a: "3", b: "1" }));
    await edit(map, "somebody", { metadata: { annotations: { window: null } } });
    await eventually(() => expect(drift(map)).toMatchObject({ paths: [".data.a"], fields: [{ wanted: '"1"', got: '"3"' }] }));
    await edit(map, "somebody", { data: { a: "1" } });
    await eventually(() => expect(drift(map)).toBeUndefined());
  });

  it("may be about managers, too: both must hold", async () => {
    const { namespace, sync, edit, live, seen, drift } = await rig.setUp();
    const web = deployment(namespace, { replicas: 2 });
    const rule = { kind: "Deployment", paths: ["/spec/replicas"], managers: ["scaler"], when: "object.spec.replicas > 1" };
    await sync([web], options("correct", rule));
    await edit(web, "scaler", { spec: { replicas: 5 } }, "scale");
    await seen(web);
    expect(drift(web)).toBeUndefined();
    await edit(web, "scaler", { spec: { replicas: 0 } }, "scale");
    await eventually(async () => expect((await live(web))["spec"]).toMatchObject({ replicas: 2 }));
  });

  it("that cannot be told does not count: what drifts is corrected, and the bundle says why", async () => {
    const { namespace, agent, sync, edit, live, failure } = await rig.setUp();
    const map = labelled(namespace, { a: "1" });
    await sync([map]);
    await edit(map, "somebody", { data: { a: "2" } });
    await eventually(async () => expect(dataOf(await live(map))).toEqual({ a: "1" }));
    const missing = { kind: "ConfigMap", paths: ["/data"], when: "object.status.ready" };
    await agent.take([{ name: "a", objects: [map], options: options("correct", missing) }]);
    await eventually(() =>
      expect(agent.bundle("a")).toMatchObject({
        state: "Synced",
        reason: "DRIFT_IGNORE_FAILED",
        message: expect.stringContaining("object.status.ready"),
      }),
    );
    expect(failure(map)).toMatchObject({ code: "DRIFT_IGNORE_FAILED" });
    await edit(map, "somebody", { data: { a: "2" } });
    await eventually(async () => expect(dataOf(await live(map))).toEqual({ a: "1" }));
    await agent.take([{ name: "a", objects: [map], options: options("correct", OPEN) }]);
    await eventually(() => expect(agent.bundle("a")).toMatchObject({ state: "Synced" }));
    await eventually(() => expect(agent.bundle("a")).not.toHaveProperty("reason"));
  });
});

describe("E032: the preset aggregatedClusterRoles", () => {
  const PRESET: DriftIgnore = {
    group: "rbac.authorization.k8s.io",
    kind: "ClusterRole",
    when: "has(object.aggregationRule)",
    paths: ["/rules"],
  };
  const role = (name: string, more: JsonObject, labels: JsonObject = {}): Manifest => ({
    apiVersion: "rbac.authorization.k8s.io/v1",
    kind: "ClusterRole",
    metadata: { name, labels },
    ...more,
  });
  const rule = (resource: string) => ({ apiGroups: [""], resources: [resource], verbs: ["get"] });

  it("leaves the rules of an aggregated role to whoever aggregates, and no other role's", async () => {
    const { sync, edit, live, seen, drift } = await rig.setUp();
    const sum = role("when-sum", { aggregationRule: { clusterRoleSelectors: [{ matchLabels: { sum: "1" } }] }, rules: [] });
    const part = role("when-part", { rules: [rule("pods")] }, { sum: "1" });
    await sync([sum, part], options("correct", PRESET));
    await edit(sum, "clusterrole-aggregation-controller", { rules: [rule("pods")] });
    await edit(part, "kubectl-edit", { rules: [rule("secrets")] });
    await eventually(async () => expect((await live(part))["rules"]).toEqual([rule("pods")]));
    await seen(sum);
    expect(drift(sum)).toBeUndefined();
    await sync([{ ...sum, metadata: { ...sum.metadata, labels: { a: "1" } } }, part], options("correct", PRESET));
    expect((await live(sum))["rules"]).toEqual([rule("pods")]);
  });
});

describe("E038: the preset webhookCaBundle", () => {
  const PRESET: readonly DriftIgnore[] = ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"].map((kind) => ({
    group: "admissionregistration.k8s.io",
    kind,
    paths: ["/webhooks/*/clientConfig/caBundle"],
  }));
  const CA = Buffer.from("-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n").toString("base64");
  const webhooks = (namespace: string, ca?: string, path = "/a"): Manifest => ({
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "ValidatingWebhookConfiguration",
    metadata: { name: `${namespace}-hooks` },
    webhooks: ["a.example.com", "b.example.com"].map((name) => ({
      name,
      admissionReviewVersions: ["v1"],
      sideEffects: "None",
      failurePolicy: "Ignore",
      clientConfig: { url: `https://example.com${path}`, ...(ca && { caBundle: ca }) },
      rules: [{ apiGroups: ["never.example.com"], apiVersions: ["*"], resources: ["*"], operations: ["CREATE"] }],
    })),
  });
  const casOf = (live: Manifest) => (live["webhooks"] as { clientConfig: { caBundle?: string } }[]).map((one) => one.clientConfig.caBundle);

  it.each([undefined, ""])(
    "leaves the injected CA where it is, whether Git has %j of it or not, and corrects what is beside it",
    async (ca) => {
      const { namespace, sync, edit, live, seen, drift } = await rig.setUp();
      const hooks = webhooks(namespace, ca);
      await sync([hooks], options("correct", ...PRESET));
      await edit(hooks, "cainjector", { webhooks: webhooks(namespace, CA)["webhooks"] } as JsonObject);
      await seen(hooks);
      expect(drift(hooks)).toBeUndefined();
      await sync([webhooks(namespace, ca, "/b")], options("correct", ...PRESET));
      expect(casOf(await live(hooks))).toEqual([CA, CA]);
      await edit(hooks, "kubectl-edit", { webhooks: webhooks(namespace, CA, "/evil")["webhooks"] } as JsonObject);
      await eventually(async () => expect(JSON.stringify((await live(hooks))["webhooks"])).not.toContain("/evil"));
      expect(casOf(await live(hooks))).toEqual([CA, CA]);
    },
  );
});
