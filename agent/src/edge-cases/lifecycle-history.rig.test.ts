import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../../../test/rig/eventually.ts";
import { createTempFolder } from "../../../test/rig/temp-folder.ts";
import type { ResourceType } from "../kube/cluster.ts";
import { createCluster } from "../kube/create-cluster.ts";
import { type EdgeCluster, startEdgeCluster, synced } from "./testing/edge-cluster.ts";

/** What grows old under the agent: its token, and its place in history. Section 10 of the edge cases. */

const SECRETS: ResourceType = { group: "", version: "v1", kind: "Secret", plural: "secrets", namespaced: true, verbs: [] };

let edge: EdgeCluster;
const folder = createTempFolder("lifecycle");
beforeAll(async () => {
  edge = await startEdgeCluster("history");
});
afterEach(() => edge.endTest());
afterAll(async () => {
  await edge?.stop();
  folder.remove();
});

const edit = (path: string, value: string) =>
  edge.api.admin.request("PATCH", `${path}?fieldManager=somebody`, { data: { value } }, "application/merge-patch+json");

describe("the agent's token", () => {
  it("E262: is read again when the API server refuses it, and nothing is lost in between", async () => {
    const { start, map, live, path, state, token } = await edge.newTenant();
    const file = join(folder.path, "token");
    writeFileSync(file, token);
    // As a pod has it: the token is in a file, which the kubelet writes anew.
    const kubeconfig = join(folder.path, "kubeconfig");
    const config = {
      apiVersion: "v1",
      kind: "Config",
      clusters: [
        { name: "c", cluster: { server: edge.api.url, "certificate-authority-data": Buffer.from(edge.api.caPem).toString("base64") } },
      ],
      users: [{ name: "u", user: { "auth-provider": { name: "tokenFile", config: { tokenFile: file } } } }],
      contexts: [{ name: "c", context: { cluster: "c", user: "u" } }],
      "current-context": "c",
    };
    writeFileSync(kubeconfig, JSON.stringify(config));
    const cluster = createCluster({ kubeconfig, userAgent: "muster-agent/test" });
    const agent = start({ cluster });
    await agent.take([{ name: "a", objects: [map("x")] }]);
    await synced(agent, "a");
    // The account is another one now, and its old tokens are worth nothing.
    await edge.api.admin.request("DELETE", `/api/v1/namespaces/${state}/serviceaccounts/agent`);
    const second = await edge.api.serviceAccountToken(state, "agent");
    // The API server believes a token that it has seen for ten seconds more.
    await eventually(
      async () => await expect(cluster.list(SECRETS, { namespace: state })).rejects.toMatchObject({ code: "KUBE_UNAUTHORIZED" }),
      { timeoutMs: 20_000, intervalMs: 500 },
    );
    await edit(path("x"), "edited");
    await eventually(() => expect(agent.reconciler.exceptions()).toMatchObject([{ code: "KUBE_UNAUTHORIZED" }]));
    writeFileSync(file, second);
    await eventually(async () => expect(await live()).toEqual({ x: "1" }));
    await synced(agent, "a");
    await agent.take([{ name: "a", objects: [map("x", "2"), map("y")] }]);
    await synced(agent, "a");
    expect(await live()).toEqual({ x: "2", y: "1" });
    agent.stop();
    await cluster.close();
  });
});

describe("a watch", () => {
  it("E266: from a version that etcd has compacted away is answered with 410, and a list finds what was missed", async () => {
    const { start, map, live, path, token } = await edge.newTenant();
    const agent = start({ throughProxy: true });
    await agent.take([{ name: "a", objects: [map("x"), map("y")] }]);
    await synced(agent, "a");
    const asked: string[] = [];
    // It ends cleanly each time, so that the agent goes on from where it was.
    edge.proxy.setFaults(({ path: watched }) => {
      if (!watched.includes("/configmaps") || !watched.includes("watch=1")) return undefined;
      asked.push(/resourceVersion=(\d+)/.exec(watched)?.[1] ?? "");
      return { status: 200, body: "" };
    });
    await eventually(() => expect(asked.length).toBeGreaterThanOrEqual(2));
    const old = asked.at(-1) ?? "";
    await edge.api.admin.request("DELETE", path("x"));
    await compact(edge.clusters.etcd.url);
    await edge.api.kill();
    await edge.api.restart();
    expect(asked.at(-1)).toBe(old);
    const cluster = createCluster({ kubeconfig: edge.api.writeKubeconfig("compacted", token), userAgent: "muster-agent/test" });
    const configMaps = (await cluster.discover()).find("", "ConfigMap")!;
    const watch = cluster.watch(configMaps, { resourceVersion: old }, AbortSignal.timeout(10_000));
    await expect(watch[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: "KUBE_CONFLICT", data: { status: 410 } });
    await cluster.close();
    expect(await live()).toEqual({ y: "1" });
    edge.proxy.setFaults(undefined);
    await eventually(async () => expect(await live()).toEqual({ x: "1", y: "1" }), { timeoutMs: 40_000 });
  });
});

/** Forgets all history of etcd up to now. */
async function compact(url: string): Promise<void> {
  const post = async (path: string, body: object) => (await fetch(`${url}${path}`, { method: "POST", body: JSON.stringify(body) })).json();
  const { header } = (await post("/v3/kv/range", { key: "AA==" })) as { header: { revision: string } };
  await post("/v3/kv/compaction", { revision: header.revision, physical: true });
}
