import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { zstdDecompressSync } from "node:zlib";
import type { Manifest, Slice } from "@muster/shared/model";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type AuditEntry, deletions, isMutating } from "../../test/rig/audit-log.ts";
import { builtPrograms } from "../../test/rig/built-programs.ts";
import { type Part, startPart } from "../../test/rig/child-process-part.ts";
import { type Clusters, startClusters } from "../../test/rig/clusters.ts";
import { eventually } from "../../test/rig/eventually.ts";
import { freePort } from "../../test/rig/free-port.ts";
import type { KubeApiserver } from "../../test/rig/kube-apiserver.ts";
import { type NatsServer, startNatsServer } from "../../test/rig/nats-server.ts";
import { type Inventory, parseInventory } from "./plan/inventory.ts";
import { createPublisher, type Publisher } from "./pull/testing/publisher.ts";
import { configMap, createSliceMaker, type MadeBundle } from "./pull/testing/slice-maker.ts";

let clusters: Clusters;
let api: KubeApiserver;
let nats: NatsServer;
let publisher: Publisher;
const folder = mkdtempSync(join(tmpdir(), "muster-agent-"));
const running: Part[] = [];
let count = 0;

beforeAll(async () => {
  [clusters, nats] = await Promise.all([startClusters(["agent"]), startNatsServer()]);
  api = clusters.get("agent");
  publisher = await createPublisher(nats.url);
});
afterEach(async () => {
  await Promise.all(running.splice(0).map((agent) => agent.stop()));
});
afterAll(async () => {
  await publisher?.close();
  await Promise.all([clusters?.stop(), nats?.stop()]);
  rmSync(folder, { recursive: true, force: true });
});

/** A cluster of its own for one test: namespaces, identity, signing key and rights, all on the one API server. */
async function newCluster() {
  const name = `c${++count}`;
  const maker = createSliceMaker(name);
  const state = `${name}-muster`;
  const namespace = `${name}-web`;
  for (const created of [state, namespace])
    await api.admin.request("POST", "/api/v1/namespaces", { apiVersion: "v1", kind: "Namespace", metadata: { name: created } });
  const token = await api.serviceAccountToken(state, "agent");
  await api.admin.request("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", {
    metadata: { name: `${name}-agent` },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "cluster-admin" },
    subjects: [{ kind: "ServiceAccount", namespace: state, name: "agent" }],
  });
  const keys = join(folder, `${name}.pem`);
  writeFileSync(keys, maker.publicKey.export({ type: "spki", format: "pem" }));
  const user = `system:serviceaccount:${state}:agent`;
  const map = (object: string, value = "1") => configMap(object, value, namespace);

  async function start(more: { failpoints?: string; natsUrl?: string; env?: Record<string, string> } = {}): Promise<Part> {
    const port = await freePort();
    const programs = await builtPrograms();
    const agent = await startPart({
      name: `agent ${name}`,
      command: process.execPath,
      args: [programs.agent],
      env: {
        ...programs.env,
        MUSTER_CLUSTER: name,
        MUSTER_NAMESPACE: state,
        MUSTER_NATS_URL: more.natsUrl ?? nats.url,
        MUSTER_HUB_ADDRESS: "localhost:1",
        MUSTER_HUB_CA_FILE: keys,
        MUSTER_CERT_FILE: keys,
        MUSTER_KEY_FILE: keys,
        MUSTER_SIGNING_KEYS_FILE: keys,
        MUSTER_POLL_INTERVAL_MS: "500",
        MUSTER_METRICS_LISTEN: `127.0.0.1:${port}`,
        MUSTER_LOG_LEVEL: "debug",
        KUBECONFIG: api.writeKubeconfig(`${name}-agent`, token),
        ...(more.failpoints && { MUSTER_FAILPOINTS: more.failpoints }),
        ...more.env,
      },
      logPath: join(folder, `${name}.log`),
      ports: [port],
      ready: async () => {
        // With a failpoint it may be gone before it was ready.
        if (more.failpoints) return;
        const answer = await fetch(`http://127.0.0.1:${port}/readyz`);
        if (!answer.ok) throw new Error(await answer.text());
      },
    });
    running.push(agent);
    return agent;
  }
  const publish = async (bundles: readonly MadeBundle[], more: Partial<Slice> = {}) => {
    const made = maker.make(bundles, more);
    // Again, if NATS was away a moment ago: the same slice twice is no news to an agent.
    await eventually(() => publisher.publish(maker, made), { timeoutMs: 20_000 });
  };
  const live = async (): Promise<Record<string, string>> => {
    const { items } = await api.admin.request<{ items: Manifest[] }>(
      "GET",
      `/api/v1/namespaces/${namespace}/configmaps?labelSelector=muster.dev/bundle`,
    );
    return Object.fromEntries(items.map((item) => [item.metadata.name, (item["data"] as { value: string }).value]));
  };
  const inventory = async (): Promise<Inventory> => {
    const secret = await api.admin.get<{ data: Record<string, string> }>(`/api/v1/namespaces/${state}/secrets/muster-state-inventory`);
    return parseInventory(zstdDecompressSync(Buffer.from(secret?.data["value"] ?? "", "base64")).toString());
  };
  const owned = async () => [...(await inventory()).entries.values()].map((entry) => entry.ref.split("_")[1]).sort();
  const mine = (entries: readonly AuditEntry[]) => entries.filter((entry) => entry.user === user && !entry.dryRun);
  /** Names of the ConfigMaps that the agent has deleted in the test's namespace: the audit log as the oracle (I3). */
  const deleted = () =>
    deletions(mine(api.audit())).flatMap((text) => (text.startsWith(`${namespace}/configmaps/`) ? [text.split("/")[2] ?? ""] : []));
  /** Everything of the slice was applied and recorded. */
  const settled = (...objects: string[]) =>
    converged(async () => {
      expect(Object.keys(await live()).sort()).toEqual([...objects].sort());
      const { entries } = await inventory();
      expect([...entries.values()].map((entry) => (entry.uid === undefined ? "" : entry.ref.split("_")[1])).sort()).toEqual(
        [...objects].sort(),
      );
    });
  const path = (object: string) => `/api/v1/namespaces/${namespace}/configmaps/${object}`;
  return { name, maker, namespace, state, start, publish, live, owned, settled, inventory, mine, deleted, map, path };
}
const converged = (check: () => Promise<void>) => eventually(check, { timeoutMs: 20_000 });

describe("the agent, on a real API server and a real NATS", () => {
  it("applies a slice, then only what a newer one changes, and prunes what left it", async () => {
    const { start, publish, live, settled, mine, map, namespace } = await newCluster();
    await publish([{ name: "a", objects: [map("keep"), map("change"), map("remove")] }]);
    await start();
    await settled("keep", "change", "remove");
    const mark = api.auditMark();
    await publish([{ name: "a", objects: [map("keep"), map("change", "2"), map("add")] }]);
    await converged(async () => expect(await live()).toEqual({ keep: "1", change: "2", add: "1" }));
    await settled("add", "change", "keep");
    const writes = mine(api.audit(mark)).filter((entry) => isMutating(entry) && entry.namespace === namespace);
    expect(writes.map((entry) => `${entry.verb} ${entry.name}`).sort()).toEqual(["delete remove", "patch add", "patch change"]);
  });

  it("E078: moving an object to another bundle deletes nothing", async () => {
    const { start, publish, settled, inventory, deleted, map, path, namespace } = await newCluster();
    await publish([
      { name: "a", objects: [map("x")] },
      { name: "b", objects: [map("y")] },
    ]);
    await start();
    await settled("x", "y");
    const before = await api.admin.get<Manifest>(path("x"));
    await publish([{ name: "b", objects: [map("x"), map("y")] }]);
    await converged(async () => expect((await inventory()).entries.get(`${namespace}_x__ConfigMap`)?.bundle).toBe("b"));
    await converged(async () =>
      expect((await api.admin.get<Manifest>(path("x")))?.metadata["labels"]).toEqual({ "muster.dev/bundle": "b" }),
    );
    expect((await api.admin.get<Manifest>(path("x")))?.metadata["uid"]).toBe(before?.metadata["uid"]);
    expect(deleted()).toEqual([]);
  });

  it("E053: an object that the hub took for a namespaced one stays the same object when the hub knows better", async () => {
    const { start, publish, inventory, mine, namespace } = await newCluster();
    const name = `${namespace}-class`;
    const path = `/apis/scheduling.k8s.io/v1/priorityclasses/${name}`;
    const priority = (metadata: { namespace?: string }): Manifest => ({
      apiVersion: "scheduling.k8s.io/v1",
      kind: "PriorityClass",
      metadata: { name, ...metadata },
      value: 7,
    });
    const refs = async () => [...(await inventory()).entries.values()].map(({ ref, uid }) => `${ref} ${uid}`);
    await publish([{ name: "a", objects: [priority({ namespace })] }]);
    await start();
    await converged(async () => expect(await api.admin.get(path)).toMatchObject({ value: 7 }));
    const uid = (await api.admin.get<Manifest>(path))?.metadata["uid"];
    for (const metadata of [{}, { namespace }, { namespace: "default" }]) {
      await publish([{ name: "a", objects: [priority(metadata)] }]);
      const ref = `${metadata.namespace ?? ""}_${name}_scheduling.k8s.io_PriorityClass`;
      await converged(async () => expect(await refs()).toEqual([`${ref} ${uid}`]));
    }
    expect(deletions(mine(api.audit())).filter((text) => text.endsWith(name))).toEqual([]);
    expect((await api.admin.get<Manifest>(path))?.metadata["uid"]).toBe(uid);
  });

  it("E001: a CRD and its custom resource arrive in one slice", async () => {
    const { start, publish, namespace } = await newCluster();
    const crd: Manifest = {
      apiVersion: "apiextensions.k8s.io/v1",
      kind: "CustomResourceDefinition",
      metadata: { name: "gadgets.agent.example.com" },
      spec: {
        group: "agent.example.com",
        scope: "Namespaced",
        names: { plural: "gadgets", singular: "gadget", kind: "Gadget" },
        versions: [
          {
            name: "v1",
            served: true,
            storage: true,
            schema: {
              openAPIV3Schema: { type: "object", properties: { spec: { type: "object", "x-kubernetes-preserve-unknown-fields": true } } },
            },
          },
        ],
      },
    };
    const gadget: Manifest = { apiVersion: "agent.example.com/v1", kind: "Gadget", metadata: { name: "g", namespace }, spec: { size: 1 } };
    await start();
    await publish([{ name: "a", objects: [gadget, crd] }]);
    await converged(async () =>
      expect(await api.admin.get(`/apis/agent.example.com/v1/namespaces/${namespace}/gadgets/g`)).toMatchObject({ spec: { size: 1 } }),
    );
  });

  it("drift of every kind is put back at once, and a quiet agent writes nothing", async () => {
    const { start, publish, live, settled, mine, map, path } = await newCluster();
    await publish([{ name: "a", objects: [map("x"), map("y")] }]);
    await start();
    await settled("x", "y");
    await api.admin.request(
      "PATCH",
      `${path("x")}?fieldManager=kubectl-edit`,
      { data: { value: "edited" } },
      "application/merge-patch+json",
    );
    await api.admin.request("DELETE", path("y"));
    await eventually(async () => expect(await live()).toEqual({ x: "1", y: "1" }), { timeoutMs: 2_000 });
    await api.admin.request(
      "PATCH",
      `${path("x")}?fieldManager=kubectl-label`,
      { metadata: { labels: { "muster.dev/bundle": null } } },
      "application/merge-patch+json",
    );
    await eventually(async () => expect(await live()).toEqual({ x: "1", y: "1" }), { timeoutMs: 2_000 });
    await settled("x", "y");
    const mark = api.auditMark();
    const until = performance.now() + 3_000;
    await eventually(() => expect(performance.now()).toBeGreaterThan(until));
    expect(mine(api.audit(mark)).filter(isMutating)).toEqual([]);
  });

  it("E024: an ignored field keeps its live value through changes in Git, and a deleted object comes back whole", async () => {
    const { start, publish, namespace } = await newCluster();
    const deployment = (image: string): Manifest => ({
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: { name: "d", namespace },
      spec: {
        replicas: 3,
        selector: { matchLabels: { app: "d" } },
        template: { metadata: { labels: { app: "d" } }, spec: { containers: [{ name: "c", image }] } },
      },
    });
    const options = { drift: { mode: "correct" as const, ignore: [{ kind: "Deployment", paths: ["/spec/replicas"] }] } };
    const path = `/apis/apps/v1/namespaces/${namespace}/deployments/d`;
    const now = async () => {
      const spec = (await api.admin.get<{ spec: { replicas: number; template: { spec: { containers: { image: string }[] } } } }>(path))
        ?.spec;
      return `${spec?.template.spec.containers[0]?.image} ${spec?.replicas}`;
    };
    await start();
    await publish([{ name: "a", objects: [deployment("one")], options }]);
    await converged(async () => expect(await now()).toBe("one 3"));
    await publish([{ name: "a", objects: [deployment("two")], options }]);
    await converged(async () => expect(await now()).toBe("two 3"));
    await api.admin.request("PATCH", `${path}/scale?fieldManager=hpa`, { spec: { replicas: 7 } }, "application/merge-patch+json");
    await publish([{ name: "a", objects: [deployment("three")], options }]);
    await converged(async () => expect(await now()).toBe("three 7"));
    await api.admin.request("DELETE", path);
    await converged(async () => expect(await now()).toBe("three 3"));
  });

  it("E102: too many deletions are held, and go when just they are approved in Git", async () => {
    const { start, publish, live, deleted, map } = await newCluster();
    const all = Array.from({ length: 30 }, (_, index) => map(`m${index}`));
    const agent = await start();
    await publish([{ name: "a", objects: all }]);
    await converged(async () => expect(Object.keys(await live())).toHaveLength(30));
    await publish([{ name: "a", objects: all.slice(0, 10) }]);
    const id = await eventually(() => {
      const found = /"code":"DELETION_HELD".*(del-[0-9a-f]+)/.exec(agent.logTail(50))?.[1];
      if (!found) throw new Error("nothing is held");
      return found;
    });
    expect(Object.keys(await live())).toHaveLength(30);
    await publish([{ name: "a", objects: all.slice(0, 10) }], { approvedDeletions: [id] });
    await converged(async () => expect(Object.keys(await live())).toHaveLength(10));
    expect(deleted()).toHaveLength(20);
  });

  it("P3: restarted with hub and NATS gone, it corrects what drifted meanwhile", async () => {
    const { start, publish, live, settled, map, path } = await newCluster();
    await publish([{ name: "a", objects: [map("x"), map("y")] }]);
    const first = await start();
    await settled("x", "y");
    await first.kill();
    await api.admin.request(
      "PATCH",
      `${path("x")}?fieldManager=kubectl-edit`,
      { data: { value: "edited" } },
      "application/merge-patch+json",
    );
    await api.admin.request("DELETE", path("y"));
    await start({ natsUrl: "nats://127.0.0.1:1" });
    await converged(async () => expect(await live()).toEqual({ x: "1", y: "1" }));
  });

  it("a manifest set that is not in JetStream is waited for; nothing of its slice is applied before", async () => {
    const { maker, start, publish, live, map } = await newCluster();
    await publish([{ name: "a", objects: [map("x")] }]);
    const agent = await start();
    await converged(async () => expect(await live()).toEqual({ x: "1" }));
    const made = maker.make([
      { name: "a", objects: [map("x", "2")] },
      { name: "b", objects: [map("y")] },
    ]);
    await publisher.publish(maker, made, { withoutBlobs: true });
    await eventually(() => expect(agent.logTail(20)).toContain("BLOB_MISSING"));
    expect(await live()).toEqual({ x: "1" });
    await publisher.publish(maker, made);
    await converged(async () => expect(await live()).toEqual({ x: "2", y: "1" }));
  });

  it("NATS that is restarted, or was not there at the start, is found again", async () => {
    const { start, publish, live, map } = await newCluster();
    await nats.kill();
    await start();
    await nats.restart();
    await publish([{ name: "a", objects: [map("x")] }]);
    await converged(async () => expect(await live()).toEqual({ x: "1" }));
    await nats.kill();
    await nats.restart();
    await publish([{ name: "a", objects: [map("x", "2")] }]);
    await converged(async () => expect(await live()).toEqual({ x: "2" }));
  });

  it("E121: what it was at when it died is known to the next process, and forgotten when that is past it", async () => {
    const { start, publish, live, map, name } = await newCluster();
    const env = { MUSTER_WORK_DIR: folder, MUSTER_RELIST_INTERVAL_MS: "3000" };
    const noted = (): unknown => JSON.parse(readFileSync(join(folder, `muster-agent-${name}.json`), "utf8"));
    await publish([{ name: "a", objects: [map("x")] }]);
    const doomed = await start({ env, failpoints: "agent.duringRelist=kill" });
    expect(await doomed.exited()).toBe(137);
    expect(noted()).toEqual({ deaths: {}, underWay: expect.arrayContaining([expect.stringMatching(/^list:/)]) });
    await start({ env });
    expect(readFileSync(join(folder, `${name}.log`), "utf8")).toContain("an agent has died while it was at this: list:");
    await converged(async () => expect(await live()).toEqual({ x: "1" }));
    await converged(async () => expect(noted()).toEqual({ deaths: {}, underWay: [] }));
  });

  it("E121: an object that it applied when it died is known by its name", async () => {
    const { start, publish, map, name } = await newCluster();
    const env = { MUSTER_WORK_DIR: folder };
    const late = map("x");
    late.metadata["namespace"] = `${name}-late`;
    await publish([{ name: "a", objects: [late], options: { createNamespace: true } }]);
    const doomed = await start({ env, failpoints: "agent.afterNamespace=kill" });
    expect(await doomed.exited()).toBe(137);
    const noted = JSON.parse(readFileSync(join(folder, `muster-agent-${name}.json`), "utf8"));
    expect(noted.underWay).toEqual([expect.stringMatching(new RegExp(`^apply:${name}-late_x__ConfigMap `))]);
  });
});

/** Later passings; the first one of every failpoint is in test/chaos/chaos.rig.test.ts, and all of them in `npm run chaos:agent`. */
const FAILPOINTS = ["agent.afterInventoryWrite@2", "agent.afterDelete@2"];

describe("P1, E260: killed in the middle of a revision, the agent loses nothing, deletes nothing wrongly, and converges", () => {
  it.each(FAILPOINTS)("%s", async (point) => {
    const { start, publish, live, owned, settled, deleted, map } = await newCluster();
    await publish([
      { name: "a", objects: [map("keep"), map("change"), map("move"), map("remove1")] },
      { name: "b", objects: [map("other"), map("remove2")] },
    ]);
    const first = await start();
    await settled("keep", "change", "move", "remove1", "other", "remove2");
    await first.kill();
    const [name, at] = point.split("@");
    const doomed = await start({ failpoints: `${name}=exit${at ? `@${at}` : ""}` });
    await publish([
      { name: "a", objects: [map("keep"), map("change", "2"), map("add")] },
      { name: "b", objects: [map("other"), map("move")] },
    ]);
    expect(await doomed.exited()).toBe(137);
    const early = new Set(Object.keys(await live()));
    for (const name of ["keep", "change", "move", "other"]) expect(early).toContain(name);
    for (const name of early) expect(await owned()).toContain(name);
    await start();
    await converged(async () => expect(await live()).toEqual({ keep: "1", change: "2", add: "1", other: "1", move: "1" }));
    await settled("add", "change", "keep", "move", "other");
    expect([...new Set(deleted())].sort()).toEqual(["remove1", "remove2"]);
  });
});
