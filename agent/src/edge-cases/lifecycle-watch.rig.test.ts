import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../../../test/rig/eventually.ts";
import { type FaultProxy, type FaultRule, startFaultProxy } from "../../../test/rig/fault-proxy.ts";
import { createCluster } from "../kube/create-cluster.ts";
import { type EdgeCluster, startEdgeCluster, synced } from "./testing/edge-cluster.ts";

/** How the agent listens: watches that are silent, cut or healthy. Section 10 of the edge cases. */

let edge: EdgeCluster;
/** One agent is left alone from the beginning of the file on; only its requests are counted. */
let quiet: { readonly proxy: FaultProxy; readonly watches: string[]; readonly sinceMs: number; stop(): Promise<void> };

const isWatch = (path: string) => path.includes("watch=1");
const edit = (path: string, value: string) =>
  edge.api.admin.request("PATCH", `${path}?fieldManager=somebody`, { data: { value } }, "application/merge-patch+json");

beforeAll(async () => {
  edge = await startEdgeCluster("lifecycle");
  const { start, map, token, namespace } = await edge.newTenant();
  const proxy = await startFaultProxy(edge.api);
  const watches: string[] = [];
  proxy.setFaults(({ path }) => {
    if (isWatch(path)) watches.push(path.replace(/\?.*/, ""));
    return undefined;
  });
  const cluster = createCluster({ kubeconfig: proxy.writeKubeconfig(token), userAgent: "muster-agent/test" });
  const agent = start({ cluster });
  await agent.take([
    {
      name: "a",
      objects: [map("x"), { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "s", namespace } }],
    },
  ]);
  await synced(agent, "a");
  await eventually(() => expect(watches).toHaveLength(2));
  quiet = {
    proxy,
    watches,
    sinceMs: performance.now(),
    async stop() {
      agent.stop();
      await cluster.close();
      await proxy.stop();
    },
  };
});
afterAll(async () => {
  await quiet?.stop();
  await edge?.stop();
});

describe("a watch", () => {
  afterEach(() => edge.endTest());
  const answering =
    (rule: FaultRule): FaultRule =>
    (request) =>
      request.path.includes("/configmaps") && isWatch(request.path) ? rule(request) : undefined;

  it("E263: that has gone silent delays what it would have told until the next list, and no longer", async () => {
    const { start, map, live, path } = await edge.newTenant();
    edge.proxy.setFaults(answering(() => ({ silent: true })));
    const agent = start({ throughProxy: true, relistIntervalMs: 3_000 });
    await agent.take([{ name: "a", objects: [map("x"), map("y")] }]);
    await synced(agent, "a");
    await eventually(() => expect(edge.proxy.faults).toBeGreaterThan(0));
    const began = performance.now();
    await edit(path("x"), "edited");
    await edge.api.admin.request("DELETE", path("y"));
    await eventually(async () => expect(await live()).toEqual({ x: "1", y: "1" }));
    expect(performance.now() - began).toBeLessThan(3_600 + 1_000);
    await synced(agent, "a");
  });

  it("E267: that was cut while an object was deleted does not hide the deletion", async () => {
    const { start, map, live, path } = await edge.newTenant();
    const agent = start({ throughProxy: true });
    await agent.take([{ name: "a", objects: [map("x"), map("y")] }]);
    await synced(agent, "a");
    edge.proxy.setFaults(() => ({ cut: true }));
    await edge.api.admin.request("DELETE", path("x"));
    await edit(path("y"), "edited");
    await eventually(() => expect(edge.proxy.faults).toBeGreaterThan(3));
    edge.proxy.setFaults(undefined);
    await eventually(async () => expect(await live()).toEqual({ x: "1", y: "1" }), { timeoutMs: 20_000 });
    await eventually(() => expect(agent.told.filter((event) => event.type === "DriftCorrected")).toHaveLength(2));
  });

  it("E265: that is cut again and again is opened less than once a second, and at once useful when it lasts", async () => {
    const { start, map, live, path } = await edge.newTenant();
    const opened: number[] = [];
    edge.proxy.setFaults(
      answering(() => {
        opened.push(performance.now());
        return { cut: true };
      }),
    );
    const agent = start({ throughProxy: true });
    const began = performance.now();
    await agent.take([{ name: "a", objects: [map("x")] }]);
    await synced(agent, "a");
    await eventually(() => expect(performance.now() - began).toBeGreaterThan(7_000), { timeoutMs: 10_000 });
    expect(opened.length).toBeLessThanOrEqual(7);
    const gaps = opened.slice(1).map((at, index) => at - (opened[index] ?? 0));
    expect(gaps.at(-1)).toBeGreaterThan((gaps[0] ?? 0) * 4);
    edge.proxy.setFaults(undefined);
    await edit(path("x"), "edited");
    await eventually(async () => expect(await live()).toEqual({ x: "1" }), { timeoutMs: 20_000 });
  });

  it("E264: that is healthy is left open: less than one is opened anew in a minute", async () => {
    await eventually(() => expect(performance.now() - quiet.sinceMs).toBeGreaterThan(40_000), { timeoutMs: 45_000 });
    expect(quiet.watches.sort()).toEqual(["/api/v1/configmaps", "/api/v1/serviceaccounts"]);
  });
});
