import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { FleetView, TargetDetailView } from "../../hub/src/status/views.ts";
import { eventually } from "../rig/eventually.ts";
import { type Fault, type FaultProxy, startFaultProxy } from "../rig/fault-proxy.ts";
import { fullRights, type Muster, startMuster } from "../rig/muster.ts";

/** An API server that answers wrongly, late or not at all: the agent says so, waits, and deletes nothing. */

const bundle = (name: string) =>
  `apiVersion: muster.dev/v1alpha1\nkind: Bundle\nmetadata: { name: ${name} }\nspec:\n  targets: [{ all: true }]\n  namespace: apps\n  createNamespace: ifAbsent\n`;
const configMap = (name: string, value: string) =>
  `apiVersion: v1\nkind: ConfigMap\nmetadata: { name: ${name} }\ndata: { value: "${value}" }\n`;
const WRITES = (method: string, path: string) => method === "PATCH" && path.includes("/configmaps/web");

let muster: Muster;
let proxy: FaultProxy;
let counter = 0;

const liveValue = async (name: string) =>
  (await muster.clusters.get("one").admin.get<{ data: { value: string } }>(`/api/v1/namespaces/apps/configmaps/${name}`))?.data.value;
const target = async (name: string) => (await muster.api<TargetDetailView>(`/targets/${name}/one`)).body;
const healthy = () =>
  eventually(async () => expect((await muster.api<FleetView>("/fleet")).body).toMatchObject({ healthy: true }), { timeoutMs: 60_000 });

beforeAll(async () => {
  muster = await startMuster({
    clusters: ["one"],
    files: {
      "clusters/one.yaml": "apiVersion: muster.dev/v1alpha1\nkind: Cluster\nmetadata: { name: one, labels: { env: prod } }\n",
      "web/bundle.yaml": bundle("web"),
      "web/map.yaml": configMap("web", "0"),
      "other/bundle.yaml": bundle("other"),
      "other/map.yaml": configMap("other", "0"),
    },
    agent: { MUSTER_POLL_INTERVAL_MS: "2000", MUSTER_RELIST_INTERVAL_MS: "2000" },
    agentKubeconfig: async (apiserver) => {
      proxy = await startFaultProxy(apiserver);
      return proxy.writeKubeconfig(await fullRights(apiserver));
    },
  });
  await healthy();
});
afterEach(async () => {
  proxy.setFaults(undefined);
  await healthy();
  expect(await muster.deletions()).toEqual({ total: 0, unexplained: [] });
});
afterAll(async () => {
  await muster?.stop();
  await proxy?.stop();
});

const status = (code: number, reason: string, message: string): Fault => ({
  status: code,
  body: JSON.stringify({ kind: "Status", apiVersion: "v1", status: "Failure", reason, message, code }),
});

describe("an apply that the API server answers with", () => {
  it.each<[string, Fault, string]>([
    ["403", status(403, "Forbidden", 'configmaps "web" is forbidden: User "x" cannot patch resource "configmaps"'), "KUBE_FORBIDDEN"],
    ["404", { status: 404, body: "404 page not found\n" }, "KUBE_SERVER"],
    ["409", status(409, "Conflict", "the object has been modified"), "KUBE_CONFLICT"],
    ["410", status(410, "Expired", "too old"), "KUBE_CONFLICT"],
    ["422", status(422, "Invalid", "data: Invalid value"), "KUBE_INVALID"],
    ["429", { ...status(429, "TooManyRequests", "slow down"), headers: { "retry-after": "1" } } as Fault, "KUBE_THROTTLED"],
    ["500", status(500, "InternalError", "etcdserver: request timed out"), "KUBE_SERVER"],
    ["503", { status: 503, body: "no healthy upstream" }, "KUBE_SERVER"],
    ["a cut connection", { cut: true }, "KUBE_UNREACHABLE"],
  ])("%s is shown with its code, stops nothing else, and is done when it can be", async (_, fault, code) => {
    const value = String(++counter);
    proxy.setFaults(({ method, path }) => (WRITES(method, path) ? fault : undefined));
    await muster.push("Change both", { "web/map.yaml": configMap("web", value), "other/map.yaml": configMap("other", value) });
    await eventually(async () => expect(await liveValue("other")).toBe(value), { timeoutMs: 20_000 });
    await eventually(async () => expect((await target("web")).exceptions.map((one) => one.code)).toEqual([code]), { timeoutMs: 20_000 });
    expect(await target("web")).toMatchObject({ sync: "Failed", health: "Current" });
    expect(await liveValue("web")).not.toBe(value);
    proxy.setFaults(undefined);
    await eventually(async () => expect(await liveValue("web")).toBe(value), { timeoutMs: 60_000 });
  });

  it("nothing, although it was done, is asked again and known to be done", async () => {
    const value = String(++counter);
    proxy.setFaults(({ method, path }) => (WRITES(method, path) ? { cut: true, forwarded: true } : undefined));
    await muster.push("Change the web", { "web/map.yaml": configMap("web", value) });
    await eventually(async () => expect(await liveValue("web")).toBe(value), { timeoutMs: 20_000 });
    proxy.setFaults(undefined);
    await eventually(async () => expect(await target("web")).toMatchObject({ sync: "Synced" }), { timeoutMs: 60_000 });
  });

  it("an answer that is late is waited for", async () => {
    const value = String(++counter);
    proxy.setFaults(({ method, path }) => (WRITES(method, path) ? { delayMs: 1_500 } : undefined));
    await muster.push("Change the web", { "web/map.yaml": configMap("web", value) });
    await eventually(async () => expect(await liveValue("web")).toBe(value), { timeoutMs: 20_000 });
  });
});

describe("reads that the API server answers with", () => {
  it.each<[string, Fault]>([
    ["403", status(403, "Forbidden", 'User "x" cannot list resource "configmaps"')],
    ["404 of something in between", { status: 404, body: "<html>no such host</html>" }],
    ["410", status(410, "Expired", "too old resource version")],
    ["429", status(429, "TooManyRequests", "slow down")],
    ["500", status(500, "InternalError", "x")],
    ["200 and no JSON", { status: 200, body: "<html>login</html>" }],
    [
      "200 and an empty list",
      { status: 200, body: JSON.stringify({ kind: "ConfigMapList", apiVersion: "v1", metadata: { resourceVersion: "1" }, items: [] }) },
    ],
    ["a cut connection", { cut: true }],
  ])("%s prove nothing: what is there stays, also through a restart, and drift is put back afterwards", async (_, fault) => {
    const before = proxy.faults;
    proxy.setFaults(({ method, path }) => (method === "GET" && path.includes("/configmaps") ? fault : undefined));
    await eventually(() => expect(proxy.faults).toBeGreaterThan(before + 1), { timeoutMs: 20_000 });
    await muster.agent("one").restart();
    await muster.clusters
      .get("one")
      .admin.request(
        "PATCH",
        "/api/v1/namespaces/apps/configmaps/web?fieldManager=somebody",
        { data: { value: "foreign" } },
        "application/merge-patch+json",
      );
    await eventually(() => expect(proxy.faults).toBeGreaterThan(before + 3), { timeoutMs: 20_000 });
    expect(await liveValue("other")).toBeDefined();
    proxy.setFaults(undefined);
    await eventually(async () => expect(await liveValue("web")).toBe(String(counter)), { timeoutMs: 60_000 });
  });

  it.each<[string, Fault]>([
    ["404 of something in between", { status: 404, body: "404 page not found\n" }],
    ["403", status(403, "Forbidden", 'User "x" cannot get resource "secrets"')],
    ["503", { status: 503, body: "" }],
  ])("%s to the agent's own state: it never starts as if it had none", async (_, fault) => {
    proxy.setFaults(({ method, path }) => (method === "GET" && path.includes("/secrets") ? fault : undefined));
    const before = proxy.faults;
    await muster.agent("one").kill();
    const restarted = muster
      .agent("one")
      .restart()
      .catch(() => {});
    await eventually(() => expect(proxy.faults).toBeGreaterThan(before), { timeoutMs: 20_000 });
    await muster.push("Remove the other", { "other/map.yaml": configMap("other", "kept"), "README.md": String(++counter) });
    proxy.setFaults(undefined);
    await restarted;
    await muster.push("Bring it back", {
      "other/map.yaml": configMap("other", String(counter)),
      "web/map.yaml": configMap("web", String(counter)),
    });
    await eventually(async () => expect(await liveValue("other")).toBe(String(counter)), { timeoutMs: 60_000 });
  });
});
