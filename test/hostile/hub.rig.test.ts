import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Manifest } from "@muster/shared/model";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createPublisher, type Publisher } from "../../agent/src/pull/testing/publisher.ts";
import { configMap, createSliceMaker, type MadeBundle, type SliceMaker } from "../../agent/src/pull/testing/slice-maker.ts";
import { isMutating } from "../rig/audit-log.ts";
import { builtPrograms } from "../rig/built-programs.ts";
import { type Part, startPart } from "../rig/child-process-part.ts";
import { type Clusters, startClusters } from "../rig/clusters.ts";
import { eventually } from "../rig/eventually.ts";
import { freePort } from "../rig/free-port.ts";
import type { AuditMark, KubeApiserver } from "../rig/kube-apiserver.ts";
import { AGENT_USER, fullRights } from "../rig/muster.ts";
import { type NatsServer, startNatsServer } from "../rig/nats-server.ts";
import { createTempFolder } from "../rig/temp-folder.ts";

/**
 * A hub that is wholly hostile: it has the signing key, and the agent all rights in its cluster. What bounds it is the policy that the
 * cluster's owner gave to the agent; the audit log of the API server is the witness (security.md, S6).
 */
const POLICY = {
  namespaces: { allow: ["*"], deny: ["kube-*", "db"] },
  kinds: { deny: ["Secret", "*.rbac.authorization.k8s.io", "Node"] },
  maxObjects: 60,
  deletions: { max: 5, windowMinutes: 60 },
};
const STATE = "muster-system";

/** What the agent keeps for itself, and which of several writes. */
const OWN_STATE = /\/namespaces\/muster-system\/(secrets(\/muster-state-[a-z0-9-]+)?|leases(\/muster-agent)?)(\?|$)/;

const folder = createTempFolder("hostile-hub");
let clusters: Clusters;
let api: KubeApiserver;
let nats: NatsServer;
let publisher: Publisher;
let maker: SliceMaker;
let agent: Part;
let mark: AuditMark;

beforeAll(async () => {
  [clusters, nats] = await Promise.all([startClusters(["target"]), startNatsServer()]);
  api = clusters.get("target");
  publisher = await createPublisher(nats.url);
  for (const name of [STATE, "web", "db"]) await api.admin.request("POST", "/api/v1/namespaces", { metadata: { name } });
  maker = createSliceMaker("target");
  const keys = join(folder.path, "keys.pem");
  writeFileSync(keys, maker.publicKey.export({ type: "spki", format: "pem" }));
  const policy = join(folder.path, "policy.json");
  writeFileSync(policy, JSON.stringify(POLICY));
  const [port, programs] = [await freePort(), await builtPrograms()];
  agent = await startPart({
    name: "muster-agent target",
    command: process.execPath,
    args: [programs.agent],
    env: {
      ...programs.env,
      MUSTER_CLUSTER: "target",
      MUSTER_NAMESPACE: STATE,
      MUSTER_NATS_URL: nats.url,
      MUSTER_HUB_ADDRESS: "localhost:1",
      MUSTER_HUB_CA_FILE: keys,
      MUSTER_CERT_FILE: keys,
      MUSTER_KEY_FILE: keys,
      MUSTER_SIGNING_KEYS_FILE: keys,
      MUSTER_POLICY_FILE: policy,
      MUSTER_POLL_INTERVAL_MS: "500",
      MUSTER_METRICS_LISTEN: `127.0.0.1:${port}`,
      KUBECONFIG: api.writeKubeconfig("agent", await fullRights(api)),
    },
    logPath: join(folder.path, "agent.log"),
    ports: [port],
    ready: async () => {
      const answer = await fetch(`http://127.0.0.1:${port}/readyz`);
      if (!answer.ok) throw new Error(await answer.text());
    },
  });
});
afterAll(async () => {
  await agent?.stop();
  await publisher?.close();
  await Promise.all([clusters?.stop(), nats?.stop()]);
  folder.remove();
});
beforeEach(() => {
  mark = api.auditMark();
});
// Whatever a test was about: by the audit log nothing was written outside of what the policy allows.
afterEach(() => {
  const isAllowed = ({ uri }: { readonly uri: string }) => /\/namespaces\/web\/(?!secrets)/.test(uri) || OWN_STATE.test(uri);
  const outside = writes().filter((write) => !isAllowed(write));
  expect(outside).toEqual([]);
});

const MORE = { deletionBudget: { objects: 100_000, percent: 100 } };
const publish = async (bundles: readonly MadeBundle[]) => {
  const made = maker.make(bundles, MORE);
  await eventually(() => publisher.publish(maker, made), { timeoutMs: 20_000 });
};
const map = (name: string, namespace = "web", value = "1"): Manifest => configMap(name, value, namespace);
const many = (count: number, prefix = "x") => Array.from({ length: count }, (_, index) => map(`${prefix}${index}`));
const bundle = (...objects: Manifest[]): MadeBundle => ({ name: "app", objects });

/** What the agent has written, dry runs aside. */
function writes() {
  return api
    .audit(mark)
    .filter((entry) => entry.user === AGENT_USER && !entry.dryRun && isMutating(entry) && entry.code < 300)
    .map((entry) => ({ verb: entry.verb, uri: entry.requestUri }));
}
async function mapsIn(namespace: string): Promise<Record<string, string>> {
  const path = `/api/v1/namespaces/${namespace}/configmaps?labelSelector=muster.dev/bundle`;
  const { items } = await api.admin.request<{ items: (Manifest & { data: { value: string } })[] }>("GET", path);
  return Object.fromEntries(items.map((item) => [item.metadata.name, item.data.value]));
}
const soon = (check: () => Promise<void>) => eventually(check, { timeoutMs: 30_000 });

describe("a hub that is hostile", () => {
  it("S6: gets nothing into namespaces and kinds that the policy does not allow; what it does allow goes on", async () => {
    await publish([
      bundle(
        map("good"),
        map("stray", "db"),
        map("system", "kube-system"),
        map("state", STATE),
        { apiVersion: "v1", kind: "Secret", metadata: { name: "s", namespace: "web" } },
        {
          apiVersion: "rbac.authorization.k8s.io/v1",
          kind: "ClusterRoleBinding",
          metadata: { name: "takeover" },
          roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "cluster-admin" },
          subjects: [{ kind: "Group", apiGroup: "rbac.authorization.k8s.io", name: "system:authenticated" }],
        },
        {
          ...map("owned"),
          metadata: { ...map("owned").metadata, ownerReferences: [{ apiVersion: "v1", kind: "ConfigMap", name: "n", uid: "u" }] },
        },
        { apiVersion: "v1", kind: "Namespace", metadata: { name: "new", labels: { "pod-security.kubernetes.io/enforce": "privileged" } } },
      ),
    ]);
    await soon(async () => expect(await mapsIn("web")).toEqual({ good: "1" }));
    await soon(async () => expect(agent.logTail(200).match(/POLICY_FORBIDDEN/g)?.length ?? 0).toBeGreaterThanOrEqual(4));
    expect([await mapsIn("db"), await mapsIn("kube-system"), await mapsIn(STATE)]).toEqual([{}, {}, {}]);
  });

  it("S6: makes the agent hold no more objects than the policy says: the slice before stays in force", async () => {
    await publish([bundle(map("good", "web", "2"))]);
    await soon(async () => expect(await mapsIn("web")).toEqual({ good: "2" }));
    await publish([bundle(map("good", "web", "3"), ...many(60))]);
    await soon(async () => expect(agent.logTail(50)).toContain("POLICY_OBJECTS"));
    expect(await mapsIn("web")).toEqual({ good: "2" });
    // Nor by parts: what is kept of earlier slices counts too.
    await publish([bundle(map("good", "web", "2")), { name: "more", objects: many(40) }]);
    await soon(async () => expect(Object.keys(await mapsIn("web"))).toHaveLength(41));
    await publish([bundle(map("good", "web", "2")), { name: "more" }, { name: "rest", objects: many(90).slice(50) }]);
    await soon(async () => expect(agent.logTail(20)).toMatch(/has 81 objects/));
    expect(Object.keys(await mapsIn("web"))).toHaveLength(41);
    await api.admin.request(
      "PATCH",
      "/api/v1/namespaces/web/configmaps/good",
      { data: { value: "edited" } },
      "application/merge-patch+json",
    );
    await soon(async () => expect((await mapsIn("web"))["good"]).toBe("2"));
  });

  it("S6: has no more objects deleted in a window than the policy says, though the agent is killed again and again", async () => {
    await publish([bundle(...many(30, "y"))]);
    await soon(async () => expect(Object.keys(await mapsIn("web")).filter((name) => name.startsWith("y"))).toHaveLength(30));
    await publish([bundle(map("y0"))]);
    for (let life = 0; life < 3; life += 1) {
      await soon(async () => expect(agent.logTail(60)).toContain("POLICY_DELETIONS"));
      await agent.kill();
      await agent.restart();
    }
    const deleted = writes().filter(({ verb, uri }) => verb === "delete" && uri.includes("/configmaps/"));
    expect(deleted.length).toBeGreaterThan(0);
    expect(deleted.length).toBeLessThanOrEqual(POLICY.deletions.max);
    // 30 of this test, 41 of the one before.
    expect(Object.keys(await mapsIn("web")).length).toBeGreaterThanOrEqual(71 - POLICY.deletions.max);
  });

  it("S6: is stopped by a person of the cluster with one annotation, and goes on when it is taken off", async () => {
    const lease = `/apis/coordination.k8s.io/v1/namespaces/${STATE}/leases/muster-agent`;
    const annotate = (value: string | null) =>
      api.admin.request("PATCH", lease, { metadata: { annotations: { "muster.dev/paused": value } } }, "application/merge-patch+json");
    await annotate("true");
    await publish([bundle(map("paused", "web", "2"))]);
    await soon(async () => expect(agent.logTail(100)).toContain("AGENT_PAUSED"));
    expect((await mapsIn("web"))["paused"]).toBeUndefined();
    await annotate(null);
    await soon(async () => expect((await mapsIn("web"))["paused"]).toBe("2"));
  });
});
