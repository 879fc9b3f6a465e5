import { systemClock } from "@muster/shared/runtime";
import { silentLogger } from "@muster/shared/telemetry";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { isMutating } from "../../../test/rig/audit-log.ts";
import { type Clusters, startClusters } from "../../../test/rig/clusters.ts";
import { eventually } from "../../../test/rig/eventually.ts";
import type { KubeApiserver } from "../../../test/rig/kube-apiserver.ts";
import type { Cluster } from "../kube/cluster.ts";
import { createCluster } from "../kube/create-cluster.ts";
import { fencedCluster } from "./fenced-cluster.ts";
import { createWriterLease, type WriterLease } from "./writer-lease.ts";

let clusters: Clusters;
let api: KubeApiserver;
let cluster: Cluster;
let count = 0;
let namespace = "";
const stops: AbortController[] = [];

beforeAll(async () => {
  clusters = await startClusters(["lease"]);
  api = clusters.get("lease");
  cluster = createCluster({ kubeconfig: api.writeKubeconfig("lease", api.adminToken), userAgent: "muster-agent/test" });
});
afterEach(() => {
  for (const stop of stops.splice(0)) stop.abort();
});
afterAll(async () => {
  await cluster?.close();
  await clusters?.stop();
});

async function newNamespace(): Promise<void> {
  namespace = `lease-${++count}`;
  await api.admin.request("POST", "/api/v1/namespaces", { metadata: { name: namespace } });
}

/** An instance; `freeze` stops it as SIGSTOP stops a process, as far as the Lease goes. */
function instance(name: string, clock = systemClock): WriterLease & { readonly signal: AbortSignal; freeze(): void } {
  const stop = new AbortController();
  stops.push(stop);
  const base = { cluster, namespace, clock, random: () => 0, logger: silentLogger(), askEveryMs: 100, answerMs: 500 };
  return { ...createWriterLease({ ...base, instance: name }), signal: stop.signal, freeze: () => stop.abort() };
}

describe("the lease of the writer", () => {
  it("E186: whoever starts last writes, and the one before hears of it and writes no more", async () => {
    await newNamespace();
    const [first, second] = [instance("first"), instance("second")];
    await first.take(first.signal);
    await first.ensure();
    const lost = first.hold(first.signal);
    await second.take(second.signal);
    expect(await lost).toBe("second");
    await expect(first.ensure()).rejects.toMatchObject({ code: "AGENT_STANDBY", message: expect.stringContaining("second") });
    await second.ensure();
  });

  it("E186: who stands by waits while the writer answers, and takes over when it does not", async () => {
    await newNamespace();
    const [writer, other] = [instance("writer"), instance("other")];
    await writer.take(writer.signal);
    void writer.hold(writer.signal);
    let over = false;
    const waiting = other.standBy(other.signal).then(() => {
      over = true;
    });
    const lease = `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases/muster-agent`;
    const answers = new Set<string>();
    await eventually(async () => {
      const { metadata } = await api.admin.request<{ metadata: { annotations: Record<string, string> } }>("GET", lease);
      answers.add(metadata.annotations["muster.dev/answer"] ?? "");
      expect(answers.size).toBeGreaterThan(3);
    });
    expect(over).toBe(false);
    writer.freeze();
    await waiting;
    await other.take(other.signal);
    await other.ensure();
  });

  it("I9: a lone writer writes it once, and then no more", async () => {
    await newNamespace();
    const writer = instance("writer");
    await writer.take(writer.signal);
    void writer.hold(writer.signal);
    await eventually(() => writer.ensure());
    const mine = api.audit().filter((entry) => entry.namespace === namespace && entry.resource === "leases");
    expect(mine.filter(isMutating).map(({ verb }) => verb)).toEqual(["create"]);
  });

  it("E268: what was stopped for long looks at the lease before its next write, and does not write", async () => {
    await newNamespace();
    let aheadMs = 0;
    const writer = instance("writer", { ...systemClock, monotonicMs: () => systemClock.monotonicMs() + aheadMs });
    const fenced = fencedCluster(cluster, writer);
    const map = (name: string) => ({ apiVersion: "v1", kind: "ConfigMap", metadata: { name, namespace } });
    const type = { group: "", version: "v1", kind: "ConfigMap", plural: "configmaps", namespaced: true, verbs: [] };
    await writer.take(writer.signal);
    await fenced.apply(type, map("one"), { force: true });
    const other = instance("other");
    await other.take(other.signal);
    aheadMs = 60_000;
    await expect(fenced.apply(type, map("two"), { force: true })).rejects.toMatchObject({ code: "AGENT_STANDBY" });
    await expect(fenced.delete(type, namespace, "one", { uid: "x" })).rejects.toMatchObject({ code: "AGENT_STANDBY" });
    expect(await cluster.get(type, namespace, "two")).toBeUndefined();
    // Nobody is asked what would be.
    await fenced.apply(type, map("two"), { force: true, dryRun: true });
  });

  it("a lease that somebody has deleted is made again by who had it", async () => {
    await newNamespace();
    const writer = instance("writer");
    await writer.take(writer.signal);
    void writer.hold(writer.signal);
    const path = `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases/muster-agent`;
    await api.admin.request("DELETE", path);
    await eventually(async () => expect(await api.admin.get(path)).toMatchObject({ spec: { holderIdentity: "writer" } }));
    await writer.ensure();
  });

  it("two that start at the same time are one writer and one that stands by", async () => {
    await newNamespace();
    const both = [instance("a"), instance("b")];
    await Promise.all(both.map((one) => one.take(one.signal)));
    const states = await eventually(async () => {
      const held = both.map((one) => one.hold(one.signal));
      const lost = await Promise.race(held);
      return [lost, held.length];
    });
    expect(["a", "b"]).toContain(states[0]);
    const ensured = await Promise.allSettled(both.map((one) => one.ensure()));
    expect(ensured.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
  });
});
