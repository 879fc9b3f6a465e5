import type { JsonObject, Manifest } from "@muster/shared/model";
import { formatObjectRef, objectRefOf } from "@muster/shared/model";
import { systemClock } from "@muster/shared/runtime";
import { silentLogger } from "@muster/shared/telemetry";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { deletions } from "../../../test/rig/audit-log.ts";
import { type Clusters, startClusters } from "../../../test/rig/clusters.ts";
import { eventually } from "../../../test/rig/eventually.ts";
import { type FaultProxy, startFaultProxy } from "../../../test/rig/fault-proxy.ts";
import type { KubeApiserver } from "../../../test/rig/kube-apiserver.ts";
import type { Cluster } from "../kube/cluster.ts";
import { createCluster } from "../kube/create-cluster.ts";
import { createDiscoveryCache } from "../kube/discovery-cache.ts";
import { createObserver } from "../observe/create-observer.ts";
import { createPruner } from "./pruner.ts";

/** What an API server says, and does not say, of a kind while its definition or its server is in trouble. */

const GROUP = "prune.example.com";
const DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const API_SERVICES = "/apis/apiregistration.k8s.io/v1/apiservices";
const USER = "system:serviceaccount:default:pruner";
const { signal } = new AbortController();

let clusters: Clusters;
let api: KubeApiserver;
let proxy: FaultProxy;
let token: string;
const opened: Cluster[] = [];

beforeAll(async () => {
  clusters = await startClusters(["prune"]);
  api = clusters.get("prune");
  proxy = await startFaultProxy(api);
  token = await api.serviceAccountToken("default", "pruner", 86_400);
  await api.admin.request("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", {
    metadata: { name: "pruner" },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "cluster-admin" },
    subjects: [{ kind: "ServiceAccount", namespace: "default", name: "pruner" }],
  });
});
afterEach(async () => {
  proxy.setFaults(undefined);
  await Promise.all(opened.splice(0).map((cluster) => cluster.close()));
});
afterAll(async () => {
  await proxy?.stop();
  await clusters?.stop();
});

function open(kubeconfig = api.writeKubeconfig("pruner", token)): Cluster {
  const cluster = createCluster({ kubeconfig, userAgent: "muster-agent/test" });
  opened.push(cluster);
  return cluster;
}

/** A pruner that knows nothing yet, as after a start of the agent. */
function newPruner(cluster = open()) {
  const discovery = createDiscoveryCache(cluster, systemClock);
  const observer = createObserver({ cluster, clock: systemClock, random: () => 0, logger: silentLogger() });
  const prune = createPruner({ cluster, discovery, observer });
  const context = { isWanted: () => false, leaves: () => false, isKnown: () => true, accountOf: () => undefined, keep: false };
  return async (live: Manifest) =>
    (await prune({ ref: formatObjectRef(objectRefOf(live)), bundle: "a", uid: String(live.metadata["uid"]) }, context, signal)).outcome;
}

async function define(plural: string): Promise<string> {
  const name = `${plural}.${GROUP}`;
  const schema = { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } };
  await api.admin.request("POST", DEFINITIONS, {
    metadata: { name },
    spec: { group: GROUP, scope: "Namespaced", names: namesOf(plural), versions: [{ name: "v1", served: true, storage: true, schema }] },
  });
  return `${DEFINITIONS}/${name}`;
}
const namesOf = (plural: string) => ({ plural, singular: plural.slice(0, -1), kind: kindOf(plural) });
const kindOf = (plural: string) => `${plural.slice(0, 1).toUpperCase()}${plural.slice(1, -1)}`;
const path = (plural: string) => `/apis/${GROUP}/v1/namespaces/default/${plural}`;

/** An object of ours of a custom kind. */
const create = (plural: string, finalizers: string[] = []): Promise<Manifest> =>
  eventually(() =>
    api.admin.request<Manifest>("POST", path(plural), {
      apiVersion: `${GROUP}/v1`,
      kind: kindOf(plural),
      metadata: { name: "x", labels: { "muster.dev/bundle": "a" }, finalizers },
    }),
  );
const patch = (at: string, change: JsonObject | JsonObject[], kind = "merge-patch") =>
  api.admin.request("PATCH", at, change, `application/${kind}+json`);
const deleted = () => deletions(api.audit().filter((entry) => entry.user === USER));

describe("an object whose kind is in trouble, on a real API server", () => {
  it("E002, E006: is not taken for gone while the server of its group is away, and is deleted when it is back", async () => {
    await define("lamps");
    const live = await create("lamps");
    const service = `${API_SERVICES}/v1.${GROUP}`;
    const before = newPruner();
    expect(await before({ ...live, metadata: { ...live.metadata, uid: "another" } })).toBe("released");
    // Without this label the API server does not put it right again: from now on another server, which is not there, has the group.
    await patch(service, {
      metadata: { labels: { "kube-aggregator.kubernetes.io/automanaged": null } },
      spec: { service: { namespace: "default", name: "nowhere" }, insecureSkipTLSVerify: true },
    });
    await eventually(async () => await expect(before(live)).rejects.toMatchObject({ code: "KIND_UNAVAILABLE", data: { status: 503 } }));
    await expect(newPruner()(live)).rejects.toMatchObject({ code: "KIND_UNAVAILABLE", message: expect.stringContaining(GROUP) });
    expect(deleted()).toEqual([]);

    await api.admin.request("DELETE", service);
    await eventually(async () => expect(await before(live)).toBe("gone"));
    expect(deleted()).toEqual(["default/lamps/x"]);
  });

  it.each<[string, number, string]>([
    ["503", 503, "service unavailable"],
    ["404 in somebody else's words", 404, "404 page not found\n"],
    ["404 as of an object that is not there", 404, '{"kind":"Status","reason":"NotFound","message":"not found","code":404}'],
    ["200 and no group", 200, '{"kind":"APIGroupDiscoveryList","items":[]}'],
    ["200 and something else", 200, '{"kind":"Status","status":"Success"}'],
  ])("E002: is not taken for gone when discovery answers %s", async (what, status, body) => {
    const plural = `chairs${what.replaceAll(/[^a-z]/g, "")}s`;
    await define(plural);
    const live = await create(plural);
    const before = proxy.faults;
    proxy.setFaults((request) => (request.path === "/apis" ? { status, body } : undefined));
    await expect(newPruner(open(proxy.writeKubeconfig(token)))(live)).rejects.toMatchObject({
      code: expect.stringMatching(/^(KUBE_|PRUNE_BLOCKED)/),
    });
    expect(proxy.faults).toBeGreaterThan(before);
    expect(await api.admin.get(`${path(plural)}/x`)).toBeDefined();
  });

  it("I5: is not taken for gone while its definition is there and no version of it is served", async () => {
    const definition = await define("tables");
    const live = await create("tables");
    const prune = newPruner();
    await patch(definition, [{ op: "replace", path: "/spec/versions/0/served", value: false }], "json-patch");
    await eventually(async () => await expect(prune(live)).rejects.toMatchObject({ code: "PRUNE_BLOCKED" }));
    await patch(definition, [{ op: "replace", path: "/spec/versions/0/served", value: true }], "json-patch");
    await eventually(async () => expect(await prune(live)).toBe("gone"));
    expect(deleted()).toContain("default/tables/x");
  });

  it("E087: is gone when its definition was deleted, also for an agent that knew the kind", async () => {
    const definition = await define("clocks");
    const live = await create("clocks");
    const prune = newPruner();
    expect(await prune({ ...live, metadata: { ...live.metadata, uid: "another" } })).toBe("released");
    await api.admin.request("DELETE", definition);
    // Its objects go before it does; until then one of them is an object like any other.
    await eventually(async () => expect(await api.admin.get(definition)).toBeUndefined(), { timeoutMs: 30_000 });
    await eventually(async () => expect(await prune(live)).toBe("gone"), { timeoutMs: 30_000 });
    expect(await newPruner()(live)).toBe("gone");
    expect(deleted()).not.toContain("default/clocks/x");
  });

  it("I4: is not taken for gone by an API server that is starting and knows no custom kind yet", async () => {
    await define("plants");
    const live = await create("plants", ["example.com/hold"]);
    // With every right, so that no late RBAC hides what discovery says.
    const cluster = open(api.kubeconfigPath);
    const outcomes = new Set<string>();
    for (let round = 0; round < 2; round += 1) {
      await api.kill();
      let up = false;
      const restarted = api.restart().finally(() => {
        up = true;
      });
      while (!up) outcomes.add(await newPruner(cluster)(live).catch((error: { code: string }) => error.code));
      await restarted;
    }
    expect(outcomes).not.toContain("gone");
    await eventually(async () => expect(await newPruner(cluster)(live)).toBe("terminating"));
  });
});
