import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Manifest } from "@muster/shared/model";
import { createLifecycle, type Lifecycle } from "@muster/shared/runtime";
import { createMetrics, silentLogger } from "@muster/shared/telemetry";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isMutating } from "../../test/rig/audit-log.ts";
import { type Clusters, startClusters } from "../../test/rig/clusters.ts";
import { eventually } from "../../test/rig/eventually.ts";
import type { KubeApiserver } from "../../test/rig/kube-apiserver.ts";
import { ManualClock } from "../../test/rig/manual-clock.ts";
import { type NatsServer, startNatsServer } from "../../test/rig/nats-server.ts";
import { startTcpFaultProxy, type TcpFaultProxy } from "../../test/rig/tcp-fault-proxy.ts";
import { createTempFolder } from "../../test/rig/temp-folder.ts";
import { loadConfig } from "./config.ts";
import type { Cluster } from "./kube/cluster.ts";
import { createCluster } from "./kube/create-cluster.ts";
import { createPublisher, type Publisher } from "./pull/testing/publisher.ts";
import { configMap, createSliceMaker, type SliceMaker } from "./pull/testing/slice-maker.ts";
import { startWriter, type Writer } from "./start-writer.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const STATE = "muster-agent";
const folder = createTempFolder("offline");
const maker: SliceMaker = createSliceMaker("c1");
const NAMES = ["one", "two", "three"] as const;

let clusters: Clusters;
let api: KubeApiserver;
let nats: NatsServer;
/** The agent's way to NATS. */
let way: TcpFaultProxy;
let publisher: Publisher;
let user = "";
let kubeconfig = "";

beforeAll(async () => {
  [clusters, nats] = await Promise.all([startClusters(["offline"]), startNatsServer()]);
  api = clusters.get("offline");
  way = await startTcpFaultProxy({ to: nats.port });
  publisher = await createPublisher(nats.url);
  for (const name of [STATE, "web"]) await api.admin.request("POST", "/api/v1/namespaces", { metadata: { name } });
  const token = await api.serviceAccountToken(STATE, "agent");
  user = `system:serviceaccount:${STATE}:agent`;
  await api.admin.request("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", {
    metadata: { name: "agent" },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "cluster-admin" },
    subjects: [{ kind: "ServiceAccount", namespace: STATE, name: "agent" }],
  });
  kubeconfig = api.writeKubeconfig("agent", token);
  writeFileSync(join(folder.path, "keys.pem"), maker.publicKey.export({ type: "spki", format: "pem" }));
});
afterAll(async () => {
  await publisher?.close();
  await way?.stop();
  await Promise.all([clusters?.stop(), nats?.stop()]);
  folder.remove();
});

interface Agent extends Writer {
  readonly lifecycle: Lifecycle;
  readonly cluster: Cluster;
}

/** All of an agent but its lease, with a clock that goes as the test says. There is no hub, and there never was one. */
function start(clock: ManualClock): Agent {
  const file = join(folder.path, "keys.pem");
  const config = loadConfig({
    MUSTER_CLUSTER: "c1",
    MUSTER_NAMESPACE: STATE,
    MUSTER_NATS_URL: `nats://127.0.0.1:${way.port}`,
    MUSTER_HUB_ADDRESS: "localhost:1",
    MUSTER_HUB_CA_FILE: file,
    MUSTER_CERT_FILE: file,
    MUSTER_KEY_FILE: file,
    MUSTER_SIGNING_KEYS_FILE: file,
    MUSTER_POLL_INTERVAL_MS: "500",
    KUBECONFIG: kubeconfig,
  });
  const logger = silentLogger();
  const lifecycle = createLifecycle({ logger });
  const cluster = createCluster({ kubeconfig, userAgent: "muster-agent/test" });
  const base = { clock, random: () => 0.5, logger, metrics: createMetrics(), failpoint: () => {} };
  const writer = startWriter({ ...base, config, cluster, lifecycle, pinned: [maker.publicKey], instance: "offline" });
  return Object.assign(Object.create(writer) as Writer, { lifecycle, cluster });
}

async function end({ lifecycle, cluster }: Agent): Promise<void> {
  await lifecycle.stop();
  await cluster.close();
}

const publish = (value: string) =>
  publisher.publish(maker, maker.make([{ name: "a", objects: NAMES.map((name) => configMap(name, value)) }]));
const path = (name: string) => `/api/v1/namespaces/web/configmaps/${name}`;
const values = async () =>
  Promise.all(NAMES.map(async (name) => (await api.admin.get<Manifest & { data: { value: string } }>(path(name)))?.data.value));
const edit = (name: string) =>
  api.admin.request("PATCH", `${path(name)}?fieldManager=somebody`, { data: { value: "foreign" } }, "application/merge-patch+json");
const mine = (mark: ReturnType<KubeApiserver["auditMark"]>) => api.audit(mark).filter((entry) => entry.user === user);

/** Time goes on by a few minutes at a time, as often as it takes. */
async function untilTrue(clock: ManualClock, look: () => Promise<void> | void): Promise<void> {
  await eventually(
    async () => {
      await clock.advance(60_000);
      await look();
    },
    { timeoutMs: 30_000 },
  );
}

describe("hub, NATS and Git are gone", () => {
  it("P3, E276: a replaced agent corrects drift for 30 days from the last verified slice, and goes straight to the newest when they are back", async () => {
    const before = new ManualClock(Date.parse("2026-01-01T00:00:00Z"));
    const first = start(before);
    await publish("good");
    await untilTrue(before, async () => expect(await values()).toEqual(["good", "good", "good"]));
    await untilTrue(before, () => expect(first.sumOf("drifted") + first.sumOf("failed")).toBe(0));

    way.setFault({ connect: "refuse" });
    way.cut("rst");
    await end(first);
    // Somebody uses the time in which nobody looks.
    await edit("two");
    await api.admin.request("DELETE", path("three"));

    const clock = new ManualClock(Date.parse("2026-01-01T01:00:00Z"));
    const startMs = clock.wallMs();
    const second = start(clock);
    await untilTrue(clock, async () => expect(await values()).toEqual(["good", "good", "good"]));
    expect(second).toMatchObject({ generation: 1, natsConnected: false, hubConnected: false });

    for (let day = 1; day <= 30; day++) {
      const name = NAMES[day % NAMES.length] ?? "one";
      if (day % 2 === 0) await edit(name);
      else await api.admin.request("DELETE", path(name));
      await untilTrue(clock, async () => expect(await values()).toEqual(["good", "good", "good"]));
      while (clock.wallMs() < startMs + day * DAY_MS) await clock.advance(HOUR_MS);
    }
    expect(clock.wallMs() - startMs).toBeGreaterThanOrEqual(30 * DAY_MS);
    // Of a month without anybody, nothing is left to do: a quiet agent writes nothing (I9).
    await untilTrue(clock, () => expect(second.sumOf("drifted") + second.sumOf("failed")).toBe(0));
    const quiet = api.auditMark();
    for (let hour = 0; hour < 12; hour++) await clock.advance(HOUR_MS);
    await eventually(() => expect(mine(quiet).some(({ verb }) => verb === "list")).toBe(true));
    expect(mine(quiet).filter(isMutating)).toEqual([]);

    // Meanwhile Git has gone on, and the hub has published all of it.
    for (const value of ["worse", "bad", "newest"]) await publish(value);
    const mark = api.auditMark();
    way.setFault(undefined);
    const backMs = performance.now();
    await untilTrue(clock, async () => expect(await values()).toEqual(["newest", "newest", "newest"]));
    expect(performance.now() - backMs).toBeLessThan(30_000);
    expect(second.generation).toBe(4);
    const applied = mine(mark).filter(({ verb, resource }) => verb === "patch" && resource === "configmaps");
    expect(applied.map(({ name }) => name).sort()).toEqual(["one", "three", "two"]);
    await end(second);
  });
});
