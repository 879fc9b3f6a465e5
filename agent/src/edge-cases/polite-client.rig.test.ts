import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { AuditEntry } from "../../../test/rig/audit-log.ts";
import { eventually } from "../../../test/rig/eventually.ts";
import type { Fault } from "../../../test/rig/fault-proxy.ts";
import { createSeededRandom } from "../../../test/rig/seeded-random.ts";
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

/** When each round began: a kept connection may have been closed, so one that is cut is tried once more at once. */
const roundsOf = (times: readonly number[]) => times.filter((at, index) => at - (times[index - 1] ?? 0) > 200);

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
    const agent = start({ throughProxy: true, random: () => 0.8 });
    await agent.take([{ name: "a", objects: [map("x")] }]);
    await eventually(() => expect(asked.length).toBeGreaterThanOrEqual(3), { timeoutMs: 20_000 });
    for (const gap of gaps(asked.slice(0, 3))) {
      // Two seconds, and 0.8 of a quarter of them.
      expect(gap).toBeGreaterThanOrEqual(2_390);
      expect(gap).toBeLessThan(5_000);
    }
    await synced(agent, "a");
  });
});

describe("an API server that comes back", () => {
  it("E265: finds an agent that has asked ever more rarely, and not all at once", async () => {
    const { start, map, namespace } = await edge.newTenant();
    const agent = start({ throughProxy: true, random: createSeededRandom(1).next });
    const account = { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "s", namespace } };
    const secret = { apiVersion: "v1", kind: "Secret", metadata: { name: "s", namespace } };
    const objects = [...Array.from({ length: 20 }, (_, index) => map(`x${index}`)), account, secret];
    await agent.take([{ name: "a", objects }]);
    await synced(agent, "a");
    let asked = 0;
    const lists = new Map<string, number[]>();
    const began = performance.now();
    edge.proxy.setFaults(({ path }) => {
      asked += 1;
      const [list = ""] = path.split("?");
      if (isList(path)) lists.set(list, [...(lists.get(list) ?? []), performance.now()]);
      return { cut: true };
    });
    await eventually(() => expect(performance.now() - began).toBeGreaterThan(6_000), { timeoutMs: 10_000 });
    const rounds = [...lists].map(([list, times]) => [list, roundsOf(times)] as const);
    expect(rounds.map(([list]) => list).sort()).toEqual(["/api/v1/configmaps", "/api/v1/secrets", "/api/v1/serviceaccounts"]);
    for (const [, times] of rounds) {
      // After waits of at most 0.25, 0.5, 1 and 2 s, and of at least half of that.
      expect([4, 5]).toContain(times.length);
      for (const [index, gap] of gaps(times).entries()) expect(gap).toBeGreaterThanOrEqual(250 * 2 ** index - 5);
    }
    const last = rounds.map(([, times]) => times.at(-1) ?? 0);
    expect(Math.max(...last) - Math.min(...last)).toBeGreaterThan(50);
    // The three of them, and the agent's own state, each twice in a round.
    expect(asked).toBeLessThanOrEqual(50);
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
      matchingPrecedence: 2,
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
        // Of the agent's concurrency, which is 4 here; the client would take four times as many.
        expect(mostAtOnce(asked.filter((entry) => entry.verb === "patch"))).toBeLessThanOrEqual(4);
        // Beside them, each of the types that it watches or looks for may be listed.
        expect(mostAtOnce(asked)).toBeLessThanOrEqual(8);
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
