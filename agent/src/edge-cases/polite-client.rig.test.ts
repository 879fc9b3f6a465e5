import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { AuditEntry } from "../../../test/rig/audit-log.ts";
import { eventually } from "../../../test/rig/eventually.ts";
import type { Fault } from "../../../test/rig/fault-proxy.ts";
import { createCluster } from "../kube/create-cluster.ts";
import { type EdgeCluster, startEdgeCluster, synced } from "./testing/edge-cluster.ts";

/** What the agent is to its API server: one client of many, that waits when it is told to. */

let edge: EdgeCluster;
beforeAll(async () => {
  edge = await startEdgeCluster("polite");
});
afterAll(() => edge?.stop());
afterEach(() => edge.endTest());

const isWatch = (path: string) => path.includes("watch=1");
const isList = (path: string) => path.includes("limit=");
const slowDown: Fault = {
  status: 429,
  headers: { "retry-after": "2" },
  body: JSON.stringify({ kind: "Status", code: 429, reason: "TooManyRequests", message: "slow down" }),
};

/** Milliseconds between one and the next. */
const gaps = (times: readonly number[]) => times.slice(1).map((at, index) => at - (times[index] ?? 0));

describe("Retry-After", () => {
  it.each([
    ["an apply", (path: string, method: string) => method === "PATCH" && path.includes("/configmaps/")],
    ["a list", (path: string) => isList(path) && path.includes("/api/v1/configmaps?")],
    ["a watch", (path: string) => isWatch(path) && path.includes("/configmaps")],
  ])("E114: of %s is waited for, to the second, and a little longer by chance", async (_, isIt) => {
    const { start, map } = await edge.newTenant();
    const asked: number[] = [];
    edge.proxy.setFaults(({ path, method }) => {
      if (!isIt(path, method)) return undefined;
      asked.push(performance.now());
      return asked.length < 3 ? slowDown : undefined;
    });
    const agent = start({ throughProxy: true });
    await agent.take([{ name: "a", objects: [map("x")] }]);
    await eventually(() => expect(asked.length).toBeGreaterThanOrEqual(3), { timeoutMs: 20_000 });
    for (const gap of gaps(asked.slice(0, 3))) {
      expect(gap).toBeGreaterThanOrEqual(1_990);
      expect(gap).toBeLessThan(5_000);
    }
    await synced(agent, "a");
  });
});

describe("an API server that comes back", () => {
  it("E265: finds an agent that has asked ever more rarely, and not all at once", async () => {
    const { start, map, namespace } = await edge.newTenant();
    const agent = start({ throughProxy: true });
    const account = { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "s", namespace } };
    const secret = { apiVersion: "v1", kind: "Secret", metadata: { name: "s", namespace } };
    const objects = [...Array.from({ length: 20 }, (_, index) => map(`x${index}`)), account, secret];
    await agent.take([{ name: "a", objects }]);
    await synced(agent, "a");
    const asked: number[] = [];
    edge.proxy.setFaults(() => {
      asked.push(performance.now());
      return { cut: true };
    });
    const began = performance.now();
    await eventually(() => expect(performance.now() - began).toBeGreaterThan(6_000), { timeoutMs: 10_000 });
    // Three watches, each at about 0.25, 0.75, 1.75, 3.75 s; what is kept alive may be tried twice.
    expect(asked.length).toBeLessThanOrEqual(30);
    expect(asked.filter((at) => at - began > 3_000).length).toBeLessThanOrEqual(12);
    edge.proxy.setFaults(undefined);
    await synced(agent, "a");
  });
});

describe("API priority and fairness", () => {
  const FLOWS = "/apis/flowcontrol.apiserver.k8s.io/v1";
  /** Seats are shares of the server's 600: two or three. */
  const level = (name: string, limitResponse: object) => ({
    metadata: { name },
    spec: { type: "Limited", limited: { nominalConcurrencyShares: 1, lendablePercent: 0, borrowingLimitPercent: 0, limitResponse } },
  });
  const schema = (name: string, serviceAccount: { namespace: string; name: string }) => ({
    metadata: { name },
    spec: {
      matchingPrecedence: 1,
      priorityLevelConfiguration: { name },
      rules: [
        {
          subjects: [{ kind: "ServiceAccount", serviceAccount }],
          resourceRules: [{ verbs: ["*"], apiGroups: ["*"], resources: ["*"], namespaces: ["*"], clusterScope: true }],
          nonResourceRules: [{ verbs: ["*"], nonResourceURLs: ["*"] }],
        },
      ],
    },
  });

  it.each([
    ["queues", { type: "Queue", queuing: { queues: 1, handSize: 1, queueLengthLimit: 4 } }],
    ["refuses", { type: "Reject" }],
  ])(
    "E278: that %s what is beyond two requests at a time is lived with, and never asked for more than the concurrency",
    async (how, limit) => {
      const { start, map, state, token, user } = await edge.newTenant();
      await edge.api.admin.request("POST", `${FLOWS}/prioritylevelconfigurations`, level(how, limit));
      await edge.api.admin.request("POST", `${FLOWS}/flowschemas`, schema(how, { namespace: state, name: "agent" }));
      // The level counts from when the API server has taken notice of it.
      await eventually(async () => {
        const metrics = await edge.api.admin.request<string>("GET", "/metrics");
        expect(metrics).toMatch(new RegExp(`apiserver_flowcontrol_nominal_limit_seats{priority_level="${how}"} [1-4]\\n`));
      });
      const mark = edge.api.auditMark();
      const cluster = createCluster({ kubeconfig: edge.api.writeKubeconfig(how, token), userAgent: "muster-agent/test", connections: 16 });
      try {
        const agent = start({ cluster });
        await agent.take([{ name: "a", objects: Array.from({ length: 120 }, (_, index) => map(`x${index}`)) }]);
        await synced(agent, "a", 90_000);
        const asked = edge.api.audit(mark).filter((entry) => entry.user === user && entry.verb !== "watch");
        expect(mostAtOnce(asked)).toBeLessThanOrEqual(16);
        // It was really held up: otherwise this proves nothing.
        const waited = asked.filter((entry) => entry.code === 429 || Date.parse(entry.endedAt) - Date.parse(entry.at) > 20);
        expect(waited.length).toBeGreaterThan(0);
        // What is refused is tried again after the second that it was told to wait, not before: no storm.
        expect(asked.length).toBeLessThan(2_000);
      } finally {
        await cluster.close();
      }
    },
  );
});

/** How many requests were under way at once, at most. */
function mostAtOnce(entries: readonly AuditEntry[]): number {
  const changes = entries.flatMap(({ at, endedAt }) => [
    { atMs: Date.parse(at), by: 1 },
    { atMs: Date.parse(endedAt), by: -1 },
  ]);
  // Times are in whole milliseconds here: what ends in one makes room for what begins in it.
  changes.sort((a, b) => a.atMs - b.atMs || a.by - b.by);
  let [now, most] = [0, 0];
  for (const { by } of changes) {
    now += by;
    most = Math.max(most, now);
  }
  return most;
}
