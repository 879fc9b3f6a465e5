import { type JsonObject, type Manifest, type ObjectRefText, type SliceBundle, SyncState } from "@muster/shared/model";
import { expect } from "vitest";
import { deletions, isMutating } from "../../../../test/rig/audit-log.ts";
import { type Clusters, startClusters } from "../../../../test/rig/clusters.ts";
import { eventually } from "../../../../test/rig/eventually.ts";
import { type FaultProxy, startFaultProxy } from "../../../../test/rig/fault-proxy.ts";
import type { AuditMark, KubeApiserver, KubeApiserverOptions } from "../../../../test/rig/kube-apiserver.ts";
import type { Cluster } from "../../kube/cluster.ts";
import { createCluster } from "../../kube/create-cluster.ts";
import { configMap, createSliceMaker, type SliceMaker } from "../../pull/testing/slice-maker.ts";
import { type ComposedAgent, type ComposeOptions, composeAgent } from "../../reconcile/testing/compose-agent.ts";

/** One real API server for the tests of a file. */
export interface EdgeCluster {
  readonly clusters: Clusters;
  readonly api: KubeApiserver;
  /** Stands before the API server for agents that are started with `throughProxy`. */
  readonly proxy: FaultProxy;
  /** Namespaces, an identity and rights of its own for one test. */
  newTenant(rights?: Rights): Promise<Tenant>;
  /** Stops the agents of a test, and forgets its faults. */
  endTest(): Promise<void>;
  stop(): Promise<void>;
}

/** `all`: cluster-admin. Otherwise the rules of a ClusterRole, beside what the agent needs for its own state. */
export type Rights = "all" | readonly JsonObject[];

/** What one test works with. */
export interface Tenant {
  /** Where its objects live. */
  readonly namespace: string;
  /** Where its agent lives. */
  readonly state: string;
  readonly user: string;
  readonly token: string;
  readonly maker: SliceMaker;
  /** An agent that runs. */
  start(options?: Partial<ComposeOptions> & StartOptions): ComposedAgent;
  /** A ConfigMap in the namespace of the test. */
  map(name: string, value?: string): Manifest;
  ref(name: string): ObjectRefText;
  path(name: string): string;
  /** Names and values of the ConfigMaps that are ours. */
  live(): Promise<Record<string, string>>;
  /** The agent's writes, by the audit log, as `verb resource name`; its own state is left out. */
  writes(mark?: AuditMark): string[];
  deleted(mark?: AuditMark): string[];
  setRights(rights: Rights): Promise<void>;
}

/** How a test's agent reaches the API server. */
export interface StartOptions {
  readonly throughProxy?: boolean;
  /** Default: one with the tenant's token. */
  readonly cluster?: Cluster;
  /** Stands between the agent and its client. */
  readonly wrap?: (cluster: Cluster) => Cluster;
}

const RBAC = "/apis/rbac.authorization.k8s.io/v1";

/** What every agent needs beside the rights on its objects: its own state, and namespaces. */
const OWN_RULES: readonly JsonObject[] = [
  { apiGroups: [""], resources: ["secrets"], verbs: ["get", "list", "create", "update", "delete"] },
];

export async function startEdgeCluster(name: string, options: Pick<KubeApiserverOptions, "minor"> = {}): Promise<EdgeCluster> {
  const clusters = await startClusters([name], options);
  const api = clusters.get(name);
  const proxy = await startFaultProxy(api);
  const agents: ComposedAgent[] = [];
  const opened: Cluster[] = [];
  let count = 0;

  async function newTenant(rights: Rights = "all"): Promise<Tenant> {
    const namespace = `${name}-${++count}`;
    const state = `${namespace}-muster`;
    for (const created of [namespace, state]) await api.admin.request("POST", "/api/v1/namespaces", { metadata: { name: created } });
    const token = await api.serviceAccountToken(state, "agent");
    const subject = { kind: "ServiceAccount", namespace: state, name: "agent" };
    const user = `system:serviceaccount:${state}:agent`;
    const maker = createSliceMaker();
    await api.admin.request("POST", `${RBAC}/namespaces/${state}/roles`, { metadata: { name: "state" }, rules: OWN_RULES });
    await api.admin.request("POST", `${RBAC}/namespaces/${state}/rolebindings`, {
      metadata: { name: "state" },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: "state" },
      subjects: [subject],
    });
    async function setRights(next: Rights): Promise<void> {
      for (const kind of ["clusterrolebindings", "clusterroles"])
        if (await api.admin.get(`${RBAC}/${kind}/${namespace}`)) await api.admin.request("DELETE", `${RBAC}/${kind}/${namespace}`);
      if (next !== "all") await api.admin.request("POST", `${RBAC}/clusterroles`, { metadata: { name: namespace }, rules: next });
      await api.admin.request("POST", `${RBAC}/clusterrolebindings`, {
        metadata: { name: namespace },
        roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: next === "all" ? "cluster-admin" : namespace },
        subjects: [subject],
      });
    }
    await setRights(rights);
    const mine = (mark?: AuditMark) => api.audit(mark).filter((entry) => entry.user === user && !entry.dryRun);
    const isState = (text: string) => text.includes("muster-state-");
    return {
      namespace,
      state,
      user,
      token,
      maker,
      setRights,
      start({ throughProxy = false, cluster, wrap = (inner: Cluster) => inner, ...options } = {}) {
        const kubeconfig = throughProxy ? proxy.writeKubeconfig(token) : api.writeKubeconfig(namespace, token);
        const own = cluster ?? createCluster({ kubeconfig, userAgent: "muster-agent/test" });
        if (!cluster) opened.push(own);
        const agent = composeAgent(wrap(own), { maker, namespace: state, ...options });
        agents.push(agent);
        return agent;
      },
      map: (object, value = "1") => configMap(object, value, namespace),
      ref: (object) => `${namespace}_${object}__ConfigMap`,
      path: (object) => `/api/v1/namespaces/${namespace}/configmaps/${object}`,
      async live() {
        const path = `/api/v1/namespaces/${namespace}/configmaps?labelSelector=muster.dev/bundle`;
        const { items } = await api.admin.request<{ items: Manifest[] }>("GET", path);
        return Object.fromEntries(items.map((item) => [item.metadata.name, (item["data"] as { value: string }).value]));
      },
      writes: (mark) =>
        mine(mark)
          .filter((entry) => isMutating(entry) && !isState(entry.name))
          .map((entry) => `${entry.verb} ${entry.resource} ${entry.name}`),
      deleted: (mark) => deletions(mine(mark)).filter((text) => !isState(text)),
    };
  }

  return {
    clusters,
    api,
    proxy,
    newTenant,
    async endTest() {
      for (const agent of agents.splice(0)) agent.stop();
      proxy.setFaults(undefined);
      await Promise.all(opened.splice(0).map((cluster) => cluster.close()));
    },
    async stop() {
      await proxy.stop();
      await clusters.stop();
    },
  };
}

/** Until a bundle is in sync. */
export function synced(agent: ComposedAgent, bundle: SliceBundle["name"], timeoutMs = 20_000): Promise<void> {
  return eventually(() => expect(agent.bundle(bundle)).toMatchObject({ state: SyncState.Synced }), { timeoutMs });
}

/** A CustomResourceDefinition of `<plural>.<group>` that takes anything. */
export function definition(group: string, plural: string, more: JsonObject = {}): Manifest {
  const kind = kindOf(plural);
  const schema = { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } };
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${plural}.${group}` },
    spec: {
      group,
      scope: "Namespaced",
      names: { plural, singular: plural.slice(0, -1), kind },
      versions: [{ name: "v1", served: true, storage: true, schema, subresources: { status: {} } }],
      ...more,
    },
  };
}

/** `widgets` is of the kind `Widget`. */
export function kindOf(plural: string): string {
  return `${plural.slice(0, 1).toUpperCase()}${plural.slice(1, -1)}`;
}

export const DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
