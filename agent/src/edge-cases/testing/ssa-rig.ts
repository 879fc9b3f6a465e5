import {
  type DriftDetail,
  describeObjectRef,
  formatObjectRef,
  isJsonObject,
  type JsonObject,
  type Manifest,
  objectRefOf,
} from "@muster/shared/model";
import { expect } from "vitest";
import { type AuditEntry, isMutating } from "../../../../test/rig/audit-log.ts";
import { type Clusters, startClusters } from "../../../../test/rig/clusters.ts";
import { eventually } from "../../../../test/rig/eventually.ts";
import type { KubeApiserver } from "../../../../test/rig/kube-apiserver.ts";
import type { Cluster } from "../../kube/cluster.ts";
import { createCluster, resourcePath } from "../../kube/create-cluster.ts";
import { createSliceMaker, type MadeBundle } from "../../pull/testing/slice-maker.ts";
import { type ComposedAgent, type ComposeOptions, composeAgent } from "../../reconcile/testing/compose-agent.ts";

const AGENT = "system:serviceaccount:default:agent";

/** One API server, on which every test has a namespace and an agent of its own. */
export interface SsaRig {
  readonly api: KubeApiserver;
  /** As the agent sees it. */
  readonly cluster: Cluster;
  /** `options` are those of the first agent of the test. */
  setUp(options?: Pick<ComposeOptions, "failpoint" | "driftValues">): Promise<SsaTest>;
  /** Stops the agents of a test. */
  stopAgents(): void;
  stop(): Promise<void>;
}

/** What one test works with. */
export interface SsaTest {
  readonly agent: ComposedAgent;
  readonly namespace: string;
  /** Another process of the same agent, with the slice that the first one has kept. */
  restart(): ComposedAgent;
  /** A slice with one bundle `a` of these objects. */
  take(objects: readonly Manifest[], options?: MadeBundle["options"]): Promise<void>;
  /** The same, and waits until all of it is applied and seen so. */
  sync(objects: readonly Manifest[], options?: MadeBundle["options"]): Promise<void>;
  synced(): Promise<void>;
  live(object: Manifest): Promise<Manifest>;
  /** Somebody else's edit, as a merge patch. */
  edit(object: Manifest, manager: string, change: JsonObject, subresource?: string): Promise<Manifest>;
  /** As somebody else creates it. */
  create(object: Manifest, manager: string): Promise<Manifest>;
  /** Somebody else's server-side apply. */
  applyAs(object: Manifest, manager: string): Promise<Manifest>;
  drift(object: Manifest): DriftDetail | undefined;
  failure(object: Manifest): { readonly code?: string; readonly message?: string } | undefined;
  /** The agent has heard of the object's latest state. */
  seen(object: Manifest): Promise<void>;
  /** What the agent has asked the API server to change since the last call of this, `verb resource name`; its own state aside. */
  writes(): string[];
  /** The same as entries of the audit log. */
  entries(): AuditEntry[];
  /** From now on, whatever the agent does. */
  mark(): void;
}

export async function startSsaRig(name: string): Promise<SsaRig> {
  const clusters: Clusters = await startClusters([name]);
  const api = clusters.get(name);
  const token = await api.serviceAccountToken("default", "agent");
  await api.admin.request("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", {
    metadata: { name: "agent" },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "cluster-admin" },
    subjects: [{ kind: "ServiceAccount", namespace: "default", name: "agent" }],
  });
  const cluster = createCluster({ kubeconfig: api.writeKubeconfig("agent", token), userAgent: "muster-agent/test" });
  const running: ComposedAgent[] = [];
  let count = 0;

  async function pathOf(object: Manifest): Promise<string> {
    const { group, kind } = objectRefOf(object);
    const version = object.apiVersion.split("/").at(-1);
    const type = (await cluster.discover()).find(group, kind, version);
    if (!type) throw new Error(`the cluster does not serve ${object.apiVersion} ${kind}`);
    return resourcePath(type, objectRefOf(object).namespace, object.metadata.name);
  }

  return {
    api,
    cluster,
    stopAgents() {
      for (const agent of running.splice(0)) agent.stop();
    },
    async stop() {
      await cluster.close();
      await clusters.stop();
    },
    async setUp(options = {}) {
      const namespace = `${name}-${++count}`;
      const state = `${namespace}-muster`;
      for (const one of [namespace, state]) await api.admin.request("POST", "/api/v1/namespaces", { metadata: { name: one } });
      const maker = createSliceMaker();
      const start = (more: Partial<ComposeOptions> = {}) => {
        const agent = composeAgent(cluster, { maker, namespace: state, ...more });
        running.push(agent);
        return agent;
      };
      const first = start(options);
      let agent = first;
      let from = api.auditMark();
      const entries = () =>
        api
          .audit(from)
          .filter((entry) => entry.user === AGENT && ["", namespace].includes(entry.namespace) && isMutating(entry) && entry.code < 400);
      const refOf = (object: Manifest) => formatObjectRef(objectRefOf(object));
      const live = async (object: Manifest) => api.admin.request<Manifest>("GET", await pathOf(object));
      const take: SsaTest["take"] = (objects, options) => agent.take([{ name: "a", objects, ...(options && { options }) }]);
      const synced = async () => {
        await eventually(() => {
          const { state, message } = agent.bundle("a") ?? {};
          expect([state, message]).toEqual(["Synced", undefined]);
        });
        await eventually(async () => {
          for (const entry of (await agent.inventory()).entries.values()) expect(entry.uid).toBeDefined();
        });
      };
      return {
        agent: first,
        namespace,
        restart() {
          const { desired } = agent.reconciler;
          agent.stop();
          agent = start();
          if (desired) agent.reconciler.resume(desired);
          return agent;
        },
        take,
        async sync(objects, options) {
          await take(objects, options);
          await synced();
        },
        synced,
        live,
        edit: async (object, manager, change, subresource = "") =>
          api.admin.request(
            "PATCH",
            `${await pathOf(object)}${subresource && `/${subresource}`}?fieldManager=${manager}`,
            change,
            "application/merge-patch+json",
          ),
        create: async (object, manager) =>
          api.admin.request("POST", `${(await pathOf(object)).replace(/\/[^/]*$/, "")}?fieldManager=${manager}`, object),
        applyAs: async (object, manager) =>
          api.admin.request("PATCH", `${await pathOf(object)}?fieldManager=${manager}&force=true`, object, "application/apply-patch+yaml"),
        drift: (object) => agent.observer.get(refOf(object))?.drift,
        failure: (object) =>
          agent.reconciler.exceptions().find((one) => describeObjectRef(one.ref) === describeObjectRef(objectRefOf(object)) && one.code),
        async seen(object) {
          const version = (await live(object)).metadata["resourceVersion"];
          await eventually(() => expect(agent.observer.get(refOf(object))?.resourceVersion).toBe(version));
        },
        entries,
        writes: () => {
          const found = entries().map((entry) => `${entry.verb} ${entry.resource} ${entry.name}`);
          from = api.auditMark();
          return found;
        },
        mark: () => {
          from = api.auditMark();
        },
      };
    },
  };
}

/** Field managers of an object, `manager/operation`. */
export function managersOf(live: Manifest): string[] {
  const entries = live.metadata["managedFields"];
  return (Array.isArray(entries) ? entries.filter(isJsonObject) : []).map((entry) => `${entry["manager"]}/${entry["operation"]}`).sort();
}

/** A Deployment `web` of one container. */
export function deployment(namespace: string, spec: JsonObject = {}, container: JsonObject = {}): Manifest {
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "web", namespace },
    spec: {
      ...spec,
      selector: { matchLabels: { app: "web" } },
      template: { metadata: { labels: { app: "web" } }, spec: { containers: [{ name: "web", image: "web:1", ...container }] } },
    },
  };
}

/** A ConfigMap `site`. */
export function site(namespace: string, data: JsonObject, metadata: JsonObject = {}): Manifest {
  return { apiVersion: "v1", kind: "ConfigMap", metadata: { ...metadata, name: "site", namespace }, data };
}

/** A CustomResourceDefinition of `example.com`; its kind is the name with a capital. */
export const customResource = (name: string, versions: JsonObject[]): Manifest => ({
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: `${name}s.example.com` },
  spec: { group: "example.com", scope: "Namespaced", names: { plural: `${name}s`, kind: kindOf(name) }, versions },
});
/** One version of it, with the properties of its spec. */
export const version = (name: string, spec: JsonObject, storage = true): JsonObject => ({
  name,
  storage,
  served: true,
  schema: { openAPIV3Schema: { type: "object", properties: { spec: { type: "object", properties: spec } } } },
});
const kindOf = (name: string) => name[0]?.toUpperCase() + name.slice(1);
/** An object `x` of it. */
export const custom = (name: string, namespace: string, spec: JsonObject, of = "v1"): Manifest => ({
  apiVersion: `example.com/${of}`,
  kind: kindOf(name),
  metadata: { name: "x", namespace },
  spec,
});
