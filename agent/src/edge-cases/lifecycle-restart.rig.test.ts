import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Manifest } from "@muster/shared/model";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { builtPrograms } from "../../../test/rig/built-programs.ts";
import { startPart } from "../../../test/rig/child-process-part.ts";
import { eventually } from "../../../test/rig/eventually.ts";
import { freePort } from "../../../test/rig/free-port.ts";
import { createTempFolder } from "../../../test/rig/temp-folder.ts";
import { createCluster } from "../kube/create-cluster.ts";
import { createStateStore } from "../pull/state-store.ts";
import { type EdgeCluster, startEdgeCluster, synced } from "./testing/edge-cluster.ts";

/** An agent that starts, starts again, is taken away or loses its ground. Section 10 of the edge cases. */

let edge: EdgeCluster;
const folder = createTempFolder("restart");
beforeAll(async () => {
  edge = await startEdgeCluster("restart");
});
afterEach(() => edge.endTest());
afterAll(async () => {
  await edge?.stop();
  folder.remove();
});

const edit = (path: string, value: string) =>
  edge.api.admin.request("PATCH", `${path}?fieldManager=somebody`, { data: { value } }, "application/merge-patch+json");

describe("an agent that starts anew", () => {
  it("E276: finds and puts back what drifted while it was away", async () => {
    const { start, map, live, path, deleted } = await edge.newTenant();
    const first = start();
    await first.take([{ name: "a", objects: [map("x"), map("y"), map("z")] }]);
    await synced(first, "a");
    first.stop();
    await edit(path("x"), "edited");
    await edge.api.admin.request("DELETE", path("y"));
    const second = start();
    second.reconciler.resume(first.reconciler.desired!);
    await eventually(async () => expect(await live()).toEqual({ x: "1", y: "1", z: "1" }));
    expect(deleted()).toEqual([]);
  });

  it("E272: after it was uninstalled goes on where it had stopped: workloads and inventory have stayed, and nothing is written", async () => {
    const { start, map, live, writes, namespace } = await edge.newTenant();
    const first = start();
    await first.take([{ name: "a", objects: [map("x"), map("y")] }]);
    await synced(first, "a");
    await eventually(async () => expect([...(await first.inventory()).entries.values()].every((entry) => entry.uid)).toBe(true));
    const before = await first.inventory();
    first.stop();
    const uids = async () => {
      const { items } = await edge.api.admin.request<{ items: Manifest[] }>("GET", `/api/v1/namespaces/${namespace}/configmaps`);
      return items.map(({ metadata }) => `${metadata.name} ${metadata["uid"]} ${metadata["resourceVersion"]}`);
    };
    const were = await uids();
    const second = start();
    second.reconciler.resume(first.reconciler.desired!);
    await synced(second, "a");
    expect(await uids()).toEqual(were);
    expect(await second.inventory()).toEqual(before);
    await second.take([{ name: "a", objects: [map("x")] }]);
    await eventually(async () => expect(await live()).toEqual({ x: "1" }));
    expect(writes().filter((write) => write.startsWith("delete"))).toEqual(["delete configmaps y"]);
  });

  it("E274: and finds an inventory of a later version deletes nothing by it", async () => {
    const { start, map, live, state, token, deleted } = await edge.newTenant();
    const first = start();
    await first.take([{ name: "a", objects: [map("x"), map("y")] }]);
    await synced(first, "a");
    first.stop();
    const cluster = createCluster({ kubeconfig: edge.api.writeKubeconfig("later", token), userAgent: "muster-agent/test" });
    const store = createStateStore({ cluster, namespace: state });
    const later = { ...JSON.parse(String(await store.read("inventory"))), version: 2, shape: "unknown to us" };
    await store.write("inventory", Buffer.from(JSON.stringify(later)));
    await cluster.close();
    const second = start();
    second.reconciler.resume(first.reconciler.desired!);
    await second.take([{ name: "a", objects: [map("x", "2")] }]);
    await eventually(async () => expect(await live()).toEqual({ x: "2", y: "1" }));
    await eventually(() => expect(second.told.map((event) => event.type)).toContain("InventoryLost"));
    await synced(second, "a");
    // Made anew by a full apply, it is the ground for deletions again: of what it knows.
    await second.take([{ name: "a", objects: [map("x", "2"), map("z")] }]);
    await synced(second, "a");
    await second.take([{ name: "a", objects: [map("x", "2")] }]);
    await eventually(() => expect(deleted().map((text) => text.split("/")[2])).toEqual(["z"]));
    expect(await live()).toEqual({ x: "2", y: "1" });
  });

  it("E261: while the API server is down waits alive and not ready, and goes on when it answers", async () => {
    const { maker, state, namespace, token } = await edge.newTenant();
    const keys = join(folder.path, "keys.pem");
    writeFileSync(keys, maker.publicKey.export({ type: "spki", format: "pem" }));
    const port = await freePort();
    const get = async (path: string) => (await fetch(`http://127.0.0.1:${port}${path}`)).status;
    await edge.api.kill();
    const programs = await builtPrograms();
    const agent = await startPart({
      name: "agent without an API server",
      command: process.execPath,
      args: [programs.agent],
      env: {
        ...programs.env,
        MUSTER_CLUSTER: "c1",
        MUSTER_NAMESPACE: state,
        MUSTER_NATS_URL: "nats://127.0.0.1:1",
        MUSTER_HUB_ADDRESS: "localhost:1",
        MUSTER_HUB_CA_FILE: keys,
        MUSTER_CERT_FILE: keys,
        MUSTER_KEY_FILE: keys,
        MUSTER_SIGNING_KEYS_FILE: keys,
        MUSTER_METRICS_LISTEN: `127.0.0.1:${port}`,
        KUBECONFIG: edge.api.writeKubeconfig(namespace, token),
      },
      logPath: join(folder.path, "agent.log"),
      ports: [port],
      ready: async () => {
        await get("/healthz");
      },
    });
    const log = () => readFileSync(join(folder.path, "agent.log"), "utf8");
    await eventually(() => expect(log().match(/KUBE_UNREACHABLE/g)?.length ?? 0).toBeGreaterThan(2));
    expect([await get("/healthz"), await get("/readyz")]).toEqual([200, 503]);
    await edge.api.restart();
    await eventually(async () => expect(await get("/readyz")).toBe(200), { timeoutMs: 30_000 });
    expect(await get("/healthz")).toBe(200);
    await agent.stop();
  });
});

describe("an agent that runs", () => {
  it("E269: leaves what it is made of to its own installation, whatever a slice says", async () => {
    const { start, map, state, live, writes } = await edge.newTenant();
    const agent = start();
    const helm = {
      labels: { "app.kubernetes.io/managed-by": "Helm" },
      annotations: { "meta.helm.sh/release-name": "muster-agent", "meta.helm.sh/release-namespace": state },
    };
    const own = `/api/v1/namespaces/${state}`;
    const account = (await edge.api.admin.get<Manifest>(`${own}/serviceaccounts/agent`))!;
    await edge.api.admin.request("PATCH", `${own}/serviceaccounts/agent`, { metadata: helm }, "application/merge-patch+json");
    const mark = edge.api.auditMark();
    await agent.take([
      {
        name: "a",
        objects: [
          map("x"),
          { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "agent", namespace: state, labels: { mine: "yes" } } },
          { apiVersion: "v1", kind: "Secret", metadata: { name: "muster-state-inventory", namespace: state }, stringData: { value: "" } },
        ],
      },
    ]);
    await eventually(() => expect(agent.bundle("a")).toMatchObject({ state: "Failed", failed: 2 }));
    expect(
      agent.reconciler
        .exceptions()
        .map((exception) => `${exception.ref.kind} ${exception.code}`)
        .sort(),
    ).toEqual(["Secret OBJECT_RESERVED", "ServiceAccount ADOPT_REFUSED"]);
    await eventually(async () => expect(await live()).toEqual({ x: "1" }));
    await agent.take([{ name: "a", objects: [map("x")] }]);
    await synced(agent, "a");
    await eventually(async () => expect((await agent.inventory()).applied.has("a")).toBe(true));
    expect(writes(mark)).toEqual(["patch configmaps x"]);
    expect((await edge.api.admin.get<Manifest>(`${own}/serviceaccounts/agent`))?.metadata["uid"]).toBe(account.metadata["uid"]);
  });

  it("E270: says clearly that its rights are gone, deletes nothing, and goes on when they are back", async () => {
    const { start, map, live, path, setRights, state, deleted } = await edge.newTenant();
    const agent = start();
    await agent.take([{ name: "a", objects: [map("x"), map("y")] }]);
    await synced(agent, "a");
    // What it had may be watched by now: this test is of rights that go while all works.
    await edit(path("x"), "edited before");
    await eventually(async () => expect(await live()).toEqual({ x: "1", y: "1" }));
    await setRights([]);
    const roles = `/apis/rbac.authorization.k8s.io/v1/namespaces/${state}/rolebindings`;
    const binding = (await edge.api.admin.get<Manifest>(`${roles}/state`))!;
    await edge.api.admin.request("DELETE", `${roles}/state`);
    await edit(path("x"), "edited");
    await eventually(() => expect(agent.bundle("a")).toMatchObject({ state: "Failed", reason: "KUBE_FORBIDDEN" }));
    await eventually(async () =>
      expect(agent.take([{ name: "a", objects: [map("x", "2")] }])).rejects.toMatchObject({
        code: "AGENT_STATE",
        message: expect.stringMatching(/cannot \w+ resource "secrets"/),
      }),
    );
    expect(deleted()).toEqual([]);
    await setRights("all");
    const { name } = binding.metadata;
    await edge.api.admin.request("POST", roles, { ...binding, metadata: { name } });
    await eventually(() => agent.take([{ name: "a", objects: [map("x", "2")] }]), { timeoutMs: 20_000, intervalMs: 500 });
    await synced(agent, "a", 60_000);
    await eventually(async () => expect(await live()).toEqual({ x: "2" }));
  });

  it("E278: puts back a storm of edits with no more requests at once than it may have, and tells of each", async () => {
    const { start, map, live, path } = await edge.newTenant();
    let running = 0;
    let most = 0;
    const agent = start({
      wrap: (inner) => ({
        ...inner,
        async apply(...call) {
          running += 1;
          most = Math.max(most, running);
          return inner.apply(...call).finally(() => {
            running -= 1;
          });
        },
      }),
    });
    const names = Array.from({ length: 200 }, (_, index) => `m${index}`);
    await agent.take([{ name: "a", objects: names.map((name) => map(name)) }]);
    await synced(agent, "a");
    await Promise.all(names.map((name) => edit(path(name), "edited")));
    await eventually(async () => expect(Object.values(await live()).filter((value) => value !== "1")).toEqual([]), { timeoutMs: 30_000 });
    await synced(agent, "a");
    expect(most).toBeLessThanOrEqual(4);
    const corrected = agent.told.filter((event) => event.type === "DriftCorrected").map((event) => event.object?.name);
    expect(new Set(corrected).size).toBe(200);
  });
});
