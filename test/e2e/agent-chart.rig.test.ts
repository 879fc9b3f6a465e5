import { join } from "node:path";
import type { Manifest } from "@muster/shared/model";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type HubIdentity, loadIdentity } from "../../hub/src/identity/identity.ts";
import { buildBundles, NODE_ARGS } from "../build/bundle.ts";
import { deletions } from "../rig/audit-log.ts";
import { type Clusters, startClusters } from "../rig/clusters.ts";
import { type DeleteOracle, startDeleteOracle } from "../rig/delete-oracle.ts";
import { eventually } from "../rig/eventually.ts";
import { freePort } from "../rig/free-port.ts";
import type { KubeApiserver } from "../rig/kube-apiserver.ts";
import { type NatsServer, startNatsServer } from "../rig/nats-server.ts";
import { createTempFolder } from "../rig/temp-folder.ts";
import { type EnrolmentDesk, startEnrolmentDesk } from "./enrolment-desk.ts";
import { createRestrictedNamespace, type InstalledChart, installChart } from "./installed-chart.ts";
import { createSlicePublisher, type SlicePublisher } from "./publish-slice.ts";
import { type PreparedContainer, prepareContainer, type RunningContainer, runContainer } from "./run-container.ts";

const CLUSTER = "eu-1";
const TRUST_DOMAIN = "muster.test";
const folder = createTempFolder("agent-chart");

let clusters: Clusters;
let apiserver: KubeApiserver;
let nats: NatsServer;
let identity: HubIdentity;
let publisher: SlicePublisher;
let bundle: string;
let oracle: DeleteOracle;
let desk: EnrolmentDesk;

beforeAll(async () => {
  identity = await loadIdentity({ dataDir: join(folder.path, "hub"), trustDomain: TRUST_DOMAIN, serverNames: ["localhost"] });
  [clusters, nats, { agent: bundle }] = await Promise.all([
    startClusters([CLUSTER]),
    startNatsServer({ config: await identity.natsConfig() }),
    buildBundles({ outDir: join(folder.path, "dist"), programs: ["agent"] }),
  ]);
  apiserver = clusters.get(CLUSTER);
  desk = await startEnrolmentDesk({ identity, dataDir: join(folder.path, "hub"), clusters: [CLUSTER] });
  for (const name of ["muster-system", "muster-cluster", "muster-secret", "web", "db"]) await createRestrictedNamespace(apiserver, name);
  publisher = await createSlicePublisher({
    url: nats.url,
    credsFile: identity.natsCredsFile,
    signingKey: identity.signingKey,
    cluster: CLUSTER,
    trustDomain: TRUST_DOMAIN,
  });
  oracle = await startDeleteOracle({
    natsUrl: nats.url,
    hubDataDir: join(folder.path, "hub"),
    clusters,
    isAgent: (user) => user.startsWith("system:serviceaccount:muster-"),
  });
});

afterAll(async () => {
  await oracle?.stop();
  await desk?.stop();
  await publisher?.close();
  await nats?.stop();
  await clusters?.stop();
  folder.remove();
});

/**
 * Values in the shape that `muster cluster join` prints. The hub only lets agents enrol, and nobody listens where they report: an agent must do
 * its job all the same.
 */
async function joinValues({ token = desk.invite(CLUSTER) }: { token?: string } = {}): Promise<Record<string, unknown>> {
  return {
    cluster: { name: CLUSTER },
    trustDomain: TRUST_DOMAIN,
    hub: { address: `127.0.0.1:${await freePort()}`, enrolAddress: desk.address, serverName: "localhost" },
    nats: { url: nats.url },
    trust: { ca: identity.ca, signingKeys: identity.signingPublicPem },
    enrolment: { token },
  };
}

const configMap = (namespace: string, name: string, value: string): Manifest => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, namespace },
  data: { value },
});

async function contentOf(namespace: string, name: string): Promise<string | undefined> {
  const found = await apiserver.admin.get<{ data: { value: string } }>(`/api/v1/namespaces/${namespace}/configmaps/${name}`);
  return found?.data.value;
}

describe("the agent chart in the profile namespaced", () => {
  let installed: InstalledChart;
  let container: PreparedContainer;
  let metricsPort: number;

  beforeAll(async () => {
    metricsPort = await freePort();
    const values = {
      ...(await joinValues()),
      rbac: { namespaces: ["web", "db"] },
      metrics: { port: metricsPort },
      networkPolicy: { enabled: true },
    };
    installed = await installChart({ apiserver, chart: "agent", release: "agent", namespace: "muster-system", values });
    container = await prepareContainer(installed);
  });
  afterAll(() => container?.remove());

  it("makes a pod that Pod Security admission lets into a restricted namespace", async () => {
    await installed.admit();
  });

  it("would be told if it did not: the same pod without its security contexts is refused", async () => {
    const plain = installed.admit(({ securityContext: _, ...pod }) => ({
      ...pod,
      containers: pod.containers.map(({ securityContext, ...each }) => each),
    }));
    await expect(plain).rejects.toThrow(/violates PodSecurity \\"restricted:latest\\"/);
  });

  it("gives the agent paths of secrets, never secrets, in its environment", () => {
    expect(Object.keys(container.env).sort()).toEqual([
      "KUBECONFIG",
      "MUSTER_CLUSTER",
      "MUSTER_CONCURRENCY",
      "MUSTER_DRIFT_VALUES",
      "MUSTER_ENROL_ADDRESS",
      "MUSTER_ENROL_TOKEN_FILE",
      "MUSTER_HUB_ADDRESS",
      "MUSTER_HUB_CA_FILE",
      "MUSTER_HUB_SERVER_NAME",
      "MUSTER_LOG_LEVEL",
      "MUSTER_METRICS_LISTEN",
      "MUSTER_NAMESPACE",
      "MUSTER_NATS_URL",
      "MUSTER_POLICY_FILE",
      "MUSTER_POLL_INTERVAL_MS",
      "MUSTER_RELIST_INTERVAL_MS",
      "MUSTER_SIGNING_KEYS_FILE",
      "MUSTER_TRUST_DOMAIN",
      "MUSTER_WATCH_NAMESPACES",
      "MUSTER_WORK_DIR",
    ]);
    expect(container.env["MUSTER_WATCH_NAMESPACES"]).toBe("web,db");
    expect(JSON.stringify(container.env)).not.toMatch(/BEGIN|muster_join_/);
    expect(container.files.get("/etc/muster/enrolment/token")).toMatch(/^muster_join_/);
    expect(container.files.get("/etc/muster/trust/ca.crt")).toContain("BEGIN CERTIFICATE");
  });

  it.each([
    ["create", "deployments", { group: "apps", namespace: "web" }],
    ["patch", "configmaps", { namespace: "db" }],
    ["watch", "secrets", { namespace: "web" }],
    ["delete", "jobs", { group: "batch", namespace: "db" }],
    ["create", "secrets", { namespace: "muster-system" }],
    ["update", "secrets", { namespace: "muster-system" }],
  ])("lets the agent %s %s in %j", async (verb, resource, target) => {
    expect(await installed.may(verb, resource, target)).toBe(true);
  });

  it.each([
    ["list", "secrets", {}],
    ["get", "secrets", { namespace: "default" }],
    ["create", "configmaps", { namespace: "muster-system" }],
    ["patch", "deployments", { group: "apps", namespace: "muster-system" }],
    ["get", "namespaces", { namespace: "web", name: "web" }],
    ["create", "namespaces", {}],
    ["create", "roles", { group: "rbac.authorization.k8s.io", namespace: "web" }],
    ["create", "clusterrolebindings", { group: "rbac.authorization.k8s.io" }],
    ["create", "pods/exec", { namespace: "web" }],
    ["deletecollection", "configmaps", { namespace: "web" }],
    ["impersonate", "users", {}],
  ])("does not let the agent %s %s in %j", async (verb, resource, target) => {
    expect(await installed.may(verb, resource, target)).toBe(false);
  });

  it("says where the agent may act, and where an inline token ends up", () => {
    expect(installed.notes).toContain("in these namespaces only: web, db.");
    expect(installed.notes).toContain("Helm's release Secret");
    expect(installed.notes).not.toContain("WARNING");
  });

  describe("run from the bundle with what the chart rendered", () => {
    let agent: RunningContainer;

    beforeAll(async () => {
      agent = await runContainer(container, { bundle, nodeArgs: NODE_ARGS.agent, probe: `http://127.0.0.1:${metricsPort}/readyz` });
    });
    afterAll(() => agent?.stop());

    it("applies a published slice, corrects drift and prunes, under just that RBAC and with no hub", async () => {
      await publisher.publish([configMap("web", "one", "1"), configMap("db", "two", "2")]);
      await eventually(async () => expect([await contentOf("web", "one"), await contentOf("db", "two")]).toEqual(["1", "2"]));

      const edit = { data: { value: "edited" } };
      await apiserver.admin.request(
        "PATCH",
        "/api/v1/namespaces/web/configmaps/one?fieldManager=person",
        edit,
        "application/merge-patch+json",
      );
      await eventually(async () => expect(await contentOf("web", "one")).toBe("1"));

      await publisher.publish([configMap("web", "one", "1")]);
      await eventually(async () => expect(await contentOf("db", "two")).toBeUndefined());
      expect(await contentOf("web", "one")).toBe("1");
    });

    it("goes on with the other objects when one is outside of its namespaces, and says so", async () => {
      await publisher.publish([configMap("web", "one", "3"), configMap("default", "outside", "x")]);
      await eventually(async () => expect(await contentOf("web", "one")).toBe("3"));
      expect(await contentOf("default", "outside")).toBeUndefined();
      await eventually(() => expect(agent.logTail(50)).toContain("NAMESPACE_NOT_WATCHED"));
    });

    it("asks for nothing that it may not do", () => {
      const refused = apiserver
        .audit()
        .filter((entry) => entry.code === 403 && entry.user === "system:serviceaccount:muster-system:agent-muster-agent");
      expect(refused.map((entry) => `${entry.verb} ${entry.requestUri}`)).toEqual([]);
    });

    it("keeps what it must remember in its own namespace, and starts again from it", async () => {
      const names = async () => {
        const list = await apiserver.admin.request<{ items: { metadata: { name: string } }[] }>(
          "GET",
          "/api/v1/namespaces/muster-system/secrets",
        );
        return list.items.map((item) => item.metadata.name).filter((name) => name.startsWith("muster-state-"));
      };
      expect((await names()).length).toBeGreaterThan(0);
      nats.pause();
      try {
        await agent.restart();
        await apiserver.admin.request("DELETE", "/api/v1/namespaces/web/configmaps/one");
        await eventually(async () => expect(await contentOf("web", "one")).toBe("3"));
      } finally {
        nats.resume();
      }
    });

    it("ends at once and cleanly when Kubernetes asks it to", async () => {
      await agent.stop();
      expect(await agent.exited()).toBe(0);
    });
  });

  it("E272: helm uninstall leaves all that the agent manages, and its memory; installed again, it goes on from there", async () => {
    const api = apiserver.admin;
    const identities = async (path: string) => {
      const { items } = await api.request<{ items: Manifest[] }>("GET", path);
      return items.map(({ metadata }) => `${metadata.name} ${metadata["uid"]} ${metadata["resourceVersion"]}`);
    };
    const workloads = () => identities("/api/v1/namespaces/web/configmaps?labelSelector=muster.dev/bundle");
    const memory = () => identities("/api/v1/namespaces/muster-system/secrets?labelSelector=muster.dev/state");
    const before = { workloads: await workloads(), memory: await memory() };
    expect(before.workloads).toHaveLength(1);
    const mark = apiserver.auditMark();
    await installed.helm.uninstall();
    expect({ workloads: await workloads(), memory: await memory() }).toEqual(before);
    // No hook and no finalizer: only what the chart had made is gone, and with it every right.
    const gone = deletions(apiserver.audit(mark));
    expect(gone.filter((text) => !/agent-muster-agent|sh\.helm\.release/.test(text))).toEqual([]);
    expect(await installed.may("create", "secrets", { namespace: "muster-system" })).toBe(false);

    // The token that it was installed with, and which was used long ago: it knows itself by its keys.
    const values = { ...(await joinValues({ token: "" })), rbac: { namespaces: ["web", "db"] }, metrics: { port: metricsPort } };
    const again = await installChart({ apiserver, chart: "agent", release: "agent", namespace: "muster-system", values });
    const next = await prepareContainer(again);
    const agent = await runContainer(next, { bundle, nodeArgs: NODE_ARGS.agent, probe: `http://127.0.0.1:${metricsPort}/readyz` });
    try {
      await publisher.publish([configMap("web", "later", "1")]);
      await eventually(async () => expect([await contentOf("web", "later"), await contentOf("web", "one")]).toEqual(["1", undefined]));
      expect(agent.logTail(100)).not.toContain("the inventory is");
    } finally {
      await agent.stop();
      next.remove();
    }
  });
});

describe("the agent chart in the profile cluster", () => {
  let installed: InstalledChart;
  let metricsPort: number;

  beforeAll(async () => {
    metricsPort = await freePort();
    const values = { ...(await joinValues()), rbac: { profile: "cluster" }, metrics: { port: metricsPort } };
    installed = await installChart({ apiserver, chart: "agent", release: "wide", namespace: "muster-cluster", values });
  });

  it("makes a pod that Pod Security admission lets into a restricted namespace", async () => {
    await installed.admit();
  });

  it("warns what that means", () => {
    expect(installed.notes).toContain("WARNING: rbac.profile=cluster");
  });

  it("lets the agent manage everything, but neither escalate nor impersonate", async () => {
    expect(await installed.may("create", "namespaces")).toBe(true);
    expect(await installed.may("patch", "customresourcedefinitions", { group: "apiextensions.k8s.io" })).toBe(true);
    expect(await installed.may("delete", "widgets", { group: "example.com", namespace: "web" })).toBe(true);
    expect(await installed.may("update", "secrets", { namespace: "muster-cluster" })).toBe(true);
    expect(await installed.may("escalate", "clusterroles", { group: "rbac.authorization.k8s.io" })).toBe(false);
    expect(await installed.may("impersonate", "users")).toBe(false);
  });

  it("runs from the bundle and manages namespaces and kinds of its own, under just that RBAC", async () => {
    const container = await prepareContainer(installed);
    const agent = await runContainer(container, { bundle, nodeArgs: NODE_ARGS.agent, probe: `http://127.0.0.1:${metricsPort}/readyz` });
    try {
      const names = { plural: "widgets", singular: "widget", kind: "Widget", listKind: "WidgetList" };
      const schema = { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } };
      await publisher.publish([
        { apiVersion: "v1", kind: "Namespace", metadata: { name: "team" } },
        configMap("team", "one", "1"),
        {
          apiVersion: "apiextensions.k8s.io/v1",
          kind: "CustomResourceDefinition",
          metadata: { name: "widgets.example.com" },
          spec: { group: "example.com", names, scope: "Namespaced", versions: [{ name: "v1", served: true, storage: true, schema }] },
        },
        { apiVersion: "example.com/v1", kind: "Widget", metadata: { name: "first", namespace: "team" }, spec: { size: 1 } },
        // As the charts of operators have it.
        {
          apiVersion: "rbac.authorization.k8s.io/v1",
          kind: "ClusterRole",
          metadata: { name: "operator" },
          rules: [
            { apiGroups: ["", "example.com"], resources: ["*"], verbs: ["get", "list", "watch", "create", "update", "patch", "delete"] },
          ],
        },
      ]);
      await eventually(async () => expect(await contentOf("team", "one")).toBe("1"), { timeoutMs: 45_000 });
      const widget = "/apis/example.com/v1/namespaces/team/widgets/first";
      await eventually(async () => expect(await apiserver.admin.get(widget)).toMatchObject({ spec: { size: 1 } }), { timeoutMs: 45_000 });
      const role = "/apis/rbac.authorization.k8s.io/v1/clusterroles/operator";
      await eventually(async () => expect(await apiserver.admin.get(role)).toBeDefined(), { timeoutMs: 45_000 });
      const refused = apiserver
        .audit()
        .filter((entry) => entry.code === 403 && entry.user.startsWith("system:serviceaccount:muster-cluster:"));
      expect(refused.map((entry) => `${entry.verb} ${entry.requestUri}`)).toEqual([]);
    } catch (error) {
      // What the agent said is what explains it.
      throw new Error(`${String(error)}\n${agent.logTail(30)}`, { cause: error });
    } finally {
      await agent.stop();
      container.remove();
    }
  });

  it("lets it escalate when that is chosen, and warns again", async () => {
    const notes = await installed.helm.upgrade({ ...(await joinValues()), rbac: { profile: "cluster", escalate: true } });
    expect(notes).toContain("WARNING: rbac.escalate=true");
    expect(await installed.may("escalate", "clusterroles", { group: "rbac.authorization.k8s.io" })).toBe(true);
  });

  it("leaves no right behind when it is uninstalled", async () => {
    await installed.helm.uninstall();
    expect(await installed.may("create", "namespaces")).toBe(false);
  });
});

describe("agents under the chart's RBAC", () => {
  it("I2: have deleted nothing but what they had applied and what left a signed slice, by the audit log", async () => {
    const { total, unexplained } = await oracle.report();
    expect(unexplained).toEqual([]);
    expect(total).toBeGreaterThan(0);
  });
});

describe("the agent chart with a token in a Secret of its own", () => {
  it("mounts the same file, and puts no token into Helm's release", async () => {
    const token = desk.invite(CLUSTER);
    const stringData = { "one-time": token };
    await apiserver.admin.request("POST", "/api/v1/namespaces/muster-secret/secrets", { metadata: { name: "mine" }, stringData });
    const installed = await installChart({
      apiserver,
      chart: "agent",
      release: "agent",
      namespace: "muster-secret",
      values: {
        ...(await joinValues({ token: "" })),
        enrolment: { existingSecret: "mine", key: "one-time" },
        rbac: { create: false },
        watchNamespaces: ["web"],
      },
    });
    await installed.admit();
    const container = await prepareContainer(installed);
    expect(container.files.get("/etc/muster/enrolment/token")).toBe(token);
    expect(installed.notes).not.toContain("release Secret");
    expect(installed.notes).toContain("rbac.create=false");
    container.remove();
  });
});
