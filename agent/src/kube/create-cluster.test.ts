import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { createTempFolder } from "../../../test/rig/temp-folder.ts";
import { listEach, type ResourceType } from "./cluster.ts";
import { createCluster } from "./create-cluster.ts";

const CONFIG_MAPS: ResourceType = { group: "", version: "v1", kind: "ConfigMap", plural: "configmaps", namespaced: true, verbs: [] };

const ends: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

/** An API server of which the first list expires after one page, and the second one has `x` no more. */
async function clusterThatForgets() {
  const pages = [
    { metadata: { resourceVersion: "5", continue: "half" }, items: [{ metadata: { name: "x" } }, { metadata: { name: "y" } }] },
    { code: 410, message: "The provided continue parameter is too old", reason: "Expired", kind: "Status", apiVersion: "v1" },
    { metadata: { resourceVersion: "9", continue: "more" }, items: [{ metadata: { name: "y" } }] },
    { metadata: { resourceVersion: "9" }, items: [{ metadata: { name: "z" } }] },
  ];
  const asked: (string | null)[] = [];
  const server = createServer((request, answer) => {
    asked.push(new URL(request.url ?? "", "http://x").searchParams.get("continue"));
    const page = pages[asked.length - 1] ?? {};
    answer.writeHead("code" in page ? 410 : 200, { "content-type": "application/json" }).end(JSON.stringify(page));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const folder = createTempFolder("kubeconfig");
  const kubeconfig = join(folder.path, "kubeconfig");
  const { port } = server.address() as AddressInfo;
  const config = {
    clusters: [{ name: "c", cluster: { server: `http://127.0.0.1:${port}` } }],
    users: [{ name: "u", user: { token: "t" } }],
    contexts: [{ name: "c", context: { cluster: "c", user: "u" } }],
    "current-context": "c",
  };
  writeFileSync(kubeconfig, JSON.stringify({ apiVersion: "v1", kind: "Config", ...config }));
  const cluster = createCluster({ kubeconfig, userAgent: "test" });
  ends.push(
    () => cluster.close(),
    () => new Promise((resolve) => server.close(resolve)),
    async () => folder.remove(),
  );
  return { cluster, asked };
}

describe("a list that the API server makes begin anew", () => {
  it("E266: has what there was at the second go, each object once, and nothing of the first", async () => {
    const { cluster, asked } = await clusterThatForgets();
    const { items, resourceVersion } = await cluster.list(CONFIG_MAPS, {});
    expect(items.map(({ metadata }) => metadata.name)).toEqual(["y", "z"]);
    expect([resourceVersion, asked]).toEqual(["9", [null, "half", null, "more"]]);
  });

  it("E266: says so to who hears it page by page, before the first page comes again", async () => {
    const { cluster } = await clusterThatForgets();
    const heard: string[] = [];
    await listEach(cluster, CONFIG_MAPS, { onRestart: () => void heard.push("anew") }, ({ metadata }) => void heard.push(metadata.name));
    expect(heard).toEqual(["x", "y", "anew", "y", "z"]);
  });
});
