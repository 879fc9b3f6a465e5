import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { isMutating } from "../../../test/rig/audit-log.ts";
import { builtPrograms } from "../../../test/rig/built-programs.ts";
import { type Part, startPart } from "../../../test/rig/child-process-part.ts";
import { type Clusters, startClusters } from "../../../test/rig/clusters.ts";
import { eventually } from "../../../test/rig/eventually.ts";
import { freePort } from "../../../test/rig/free-port.ts";
import type { KubeApiserver } from "../../../test/rig/kube-apiserver.ts";
import { type NatsServer, startNatsServer } from "../../../test/rig/nats-server.ts";
import { refuseAll } from "../edge-cases/testing/refuse-all.ts";
import { ADMISSION_GROUP } from "../kube/admission.ts";
import { createPublisher, type Publisher } from "../pull/testing/publisher.ts";
import { configMap, createSliceMaker } from "../pull/testing/slice-maker.ts";

const STATE = "muster-agent";
const folder = mkdtempSync(join(tmpdir(), "muster-two-"));
const maker = createSliceMaker("c1");
const running: Part[] = [];
let clusters: Clusters;
let api: KubeApiserver;
let nats: NatsServer;
let publisher: Publisher;

beforeAll(async () => {
  [clusters, nats] = await Promise.all([startClusters(["two"]), startNatsServer()]);
  api = clusters.get("two");
  publisher = await createPublisher(nats.url);
  for (const name of [STATE, "web"]) await api.admin.request("POST", "/api/v1/namespaces", { metadata: { name } });
  writeFileSync(join(folder, "keys.pem"), maker.publicKey.export({ type: "spki", format: "pem" }));
});
afterEach(async () => {
  await Promise.all(running.splice(0).map((agent) => agent.stop()));
});
afterAll(async () => {
  await publisher?.close();
  await Promise.all([clusters?.stop(), nats?.stop()]);
  rmSync(folder, { recursive: true, force: true });
});

/** A real agent with an identity that all of them share, and an account of its own, by which the audit log tells them apart. */
async function start(account: string): Promise<Part & { readonly notReady: () => Promise<string> }> {
  const token = await api.serviceAccountToken(STATE, account);
  await api.admin.request("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", {
    metadata: { name: account },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "cluster-admin" },
    subjects: [{ kind: "ServiceAccount", namespace: STATE, name: account }],
  });
  const port = await freePort();
  const keys = join(folder, "keys.pem");
  const readyz = async () => (await fetch(`http://127.0.0.1:${port}/readyz`)).text();
  const programs = await builtPrograms();
  const part = await startPart({
    name: account,
    command: process.execPath,
    args: [programs.agent],
    env: {
      ...programs.env,
      MUSTER_CLUSTER: "c1",
      MUSTER_NAMESPACE: STATE,
      MUSTER_NATS_URL: nats.url,
      MUSTER_HUB_ADDRESS: "localhost:1",
      MUSTER_HUB_CA_FILE: keys,
      MUSTER_CERT_FILE: keys,
      MUSTER_KEY_FILE: keys,
      MUSTER_SIGNING_KEYS_FILE: keys,
      MUSTER_POLL_INTERVAL_MS: "500",
      MUSTER_METRICS_LISTEN: `127.0.0.1:${port}`,
      KUBECONFIG: api.writeKubeconfig(account, token),
    },
    logPath: join(folder, `${account}.log`),
    ports: [port],
    ready: async () => {
      if ((await readyz()) !== "ok\n") throw new Error("not ready");
    },
  });
  running.push(part);
  return Object.assign(part, { notReady: readyz });
}

const publish = (value: string) => publisher.publish(maker, maker.make([{ name: "a", objects: [configMap("x", value)] }]));
/** Somebody else's, which the agent would correct. */
const edit = () =>
  api.admin.request(
    "PATCH",
    "/api/v1/namespaces/web/configmaps/x",
    { data: { value: String(performance.now()) } },
    "application/merge-patch+json",
  );
const live = async () => (await api.admin.get<{ data: { value: string } }>("/api/v1/namespaces/web/configmaps/x"))?.data.value;
const writesOf = (account: string, mark: Parameters<KubeApiserver["audit"]>[0]) =>
  api
    .audit(mark)
    .filter((entry) => entry.user === `system:serviceaccount:${STATE}:${account}` && isMutating(entry) && entry.resource !== "leases");

describe("two agents with one identity", () => {
  it("E186, I16: only the one that started last writes, the other says why it is not ready, and takes over when that one is dead", async () => {
    await publish("1");
    const first = await start("first");
    await eventually(async () => expect(await live()).toBe("1"), { timeoutMs: 20_000 });
    const second = await start("second");
    await eventually(async () => expect(await first.notReady()).toContain("stands by"));
    const mark = api.auditMark();
    await publish("2");
    await eventually(async () => expect(await live()).toBe("2"));
    await eventually(() => expect(writesOf("second", mark).length).toBeGreaterThan(0));
    expect(writesOf("first", mark)).toEqual([]);

    await second.kill();
    await publish("3");
    await eventually(async () => expect(await live()).toBe("3"), { timeoutMs: 60_000 });
    expect(await first.notReady()).toBe("ok\n");
  });

  it("E268: one that was stopped for long and goes on changes nothing any more", async () => {
    const paused = await start("paused");
    await publish("4");
    await eventually(async () => expect(await live()).toBe("4"));
    paused.pause();
    await start("fresh");
    await publish("5");
    await eventually(async () => expect(await live()).toBe("5"));
    const mark = api.auditMark();
    paused.resume();
    await eventually(async () => expect(await paused.notReady()).toContain("stands by"));
    expect(writesOf("paused", mark)).toEqual([]);
    expect(await live()).toBe("5");
  });
});

describe("an agent that refuses itself everything by a policy, its lease included", () => {
  it("E014: started anew, it corrects the policy as Git says now, and then works on", async () => {
    const user = `system:serviceaccount:${STATE}:locked`;
    const withPolicy = (value: string, expression: string) =>
      publisher.publish(maker, maker.make([{ name: "a", objects: [configMap("x", value), ...refuseAll("lockout", user, expression)] }]));
    const first = await start("locked");
    await withPolicy("6", "false");
    await eventually(async () => expect(await live()).toBe("6"));
    // It takes the API server a moment to go by a policy.
    const refused = () => api.audit().some((entry) => entry.user === user && entry.code === 422);
    await eventually(
      async () => {
        await edit();
        expect(refused()).toBe(true);
      },
      { intervalMs: 500 },
    );
    await first.kill();
    const mark = api.auditMark();
    await first.restart();
    await eventually(() => {
      const leases = api.audit(mark).filter((entry) => entry.user === user && entry.resource === "leases" && isMutating(entry));
      expect(leases.map(({ code }) => code)).toContain(422);
    });
    await withPolicy("7", "true");
    await eventually(async () => expect(await live()).toBe("7"), { timeoutMs: 60_000 });
    const written = api.audit(mark).filter((entry) => entry.user === user && isMutating(entry) && entry.code < 400 && !entry.dryRun);
    // Before anything else could be written.
    expect(written[0]).toMatchObject({ group: ADMISSION_GROUP });
  });
});
