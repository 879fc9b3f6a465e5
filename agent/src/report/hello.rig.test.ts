import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Server, ServerCredentials, type ServerDuplexStream } from "@grpc/grpc-js";
import { type AgentMessage__Output, type HubMessage, loadAgentService } from "@muster/shared/rpc";
import type { Lifecycle } from "@muster/shared/runtime";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Clusters, startClusters } from "../../../test/rig/clusters.ts";
import { eventually } from "../../../test/rig/eventually.ts";
import { type FaultProxy, startFaultProxy } from "../../../test/rig/fault-proxy.ts";
import type { KubeApiserver } from "../../../test/rig/kube-apiserver.ts";
import { createTempFolder } from "../../../test/rig/temp-folder.ts";
import { loadConfig } from "../config.ts";
import { createCluster } from "../kube/create-cluster.ts";
import { startAgent } from "../main.ts";
import { configMap, createSliceMaker } from "../pull/testing/slice-maker.ts";
import { composeAgent } from "../reconcile/testing/compose-agent.ts";

const maker = createSliceMaker();
const folder = createTempFolder("hello");
let clusters: Clusters;
let api: KubeApiserver;
let proxy: FaultProxy;
let hub: Server;
let port: number;
let heard: AgentMessage__Output[];
let agent: Lifecycle | undefined;

const file = (name: string, content: string | Buffer) => {
  const path = join(folder.path, name);
  writeFileSync(path, content, { mode: 0o600 });
  return path;
};

beforeAll(async () => {
  clusters = await startClusters(["hello"]);
  api = clusters.get("hello");
  proxy = await startFaultProxy(api);
  await api.admin.request("POST", "/api/v1/namespaces", { metadata: { name: "muster-system" } });
});
beforeEach(async () => {
  heard = [];
  // A certificate for this machine is at hand: the API server's own.
  const certificates = join(dirname(api.auditLogPath), "certs");
  const [cert, key] = ["crt", "key"].map((end) => readFileSync(join(certificates, `apiserver.${end}`))) as [Buffer, Buffer];
  file("hub.crt", cert);
  file("hub.key", key);
  hub = new Server();
  hub.addService(loadAgentService().service, {
    Connect(stream: ServerDuplexStream<AgentMessage__Output, HubMessage>) {
      stream.on("error", () => {});
      stream.on("data", (message: AgentMessage__Output) => {
        heard.push(message);
        if (message.hello) stream.write({ welcome: { hubVersion: "1", heartbeatIntervalMs: 10_000 } });
      });
    },
  });
  const credentials = ServerCredentials.createSsl(null, [{ cert_chain: cert, private_key: key }]);
  port = await new Promise((resolve, reject) =>
    hub.bindAsync("127.0.0.1:0", credentials, (error, bound) => (error ? reject(error) : resolve(bound))),
  );
});
afterEach(async () => {
  proxy.setFaults(undefined);
  await agent?.stop();
  hub.forceShutdown();
});
afterAll(async () => {
  await proxy?.stop();
  await clusters?.stop();
  folder.remove();
});

function start(): Promise<Lifecycle> {
  return startAgent(
    loadConfig({
      MUSTER_CLUSTER: "c1",
      MUSTER_NAMESPACE: "muster-system",
      MUSTER_NATS_URL: "nats://127.0.0.1:1",
      MUSTER_HUB_ADDRESS: `localhost:${port}`,
      MUSTER_HUB_SERVER_NAME: "kubernetes",
      MUSTER_HUB_CA_FILE: join(folder.path, "hub.crt"),
      MUSTER_CERT_FILE: join(folder.path, "hub.crt"),
      MUSTER_KEY_FILE: join(folder.path, "hub.key"),
      MUSTER_SIGNING_KEYS_FILE: file("keys.pem", maker.publicKey.export({ type: "spki", format: "pem" })),
      MUSTER_METRICS_LISTEN: "",
      MUSTER_LOG_LEVEL: "error",
      KUBECONFIG: proxy.writeKubeconfig(api.adminToken),
    }),
  );
}
const hellos = () => heard.flatMap((message) => message.hello ?? []);

describe("an agent's first words to the hub, on a real API server", () => {
  it.each(["/readyz", "/version", "/apis", "/api/v1/namespaces/muster-system/secrets"])(
    "D7, I4: tell what the cluster serves and how far it is; until %s answers nothing is said",
    async (path) => {
      await keepState();
      proxy.setFaults((request) => (request.path.startsWith(path) ? { status: 503, body: "starting" } : undefined));
      const before = proxy.faults;
      agent = await start();
      await eventually(() => expect(proxy.faults).toBeGreaterThan(before));
      expect(heard).toEqual([]);
      proxy.setFaults(undefined);
      await eventually(() => expect(hellos()).toHaveLength(1));
      expect(hellos()[0]).toMatchObject({
        highWater: { epoch: 1, generation: 1 },
        facts: {
          kubernetesVersion: expect.stringMatching(/^v1\./),
          apiVersions: expect.arrayContaining(["apps/v1", "apps/v1/Deployment"]),
        },
      });
      expect(hellos()[0]?.facts?.clusterScopedKinds).toContain("/Namespace");
      await eventually(() => expect(heard.some((message) => message.status?.full)).toBe(true));
    },
  );

  /** As an agent leaves it that has taken a slice. */
  async function keepState(): Promise<void> {
    const cluster = createCluster({ kubeconfig: api.kubeconfigPath, userAgent: "muster-agent/test" });
    const before = composeAgent(cluster, { maker });
    await before.take([{ name: "a", objects: [configMap("site", "1", "default")] }], { generation: 1 });
    before.stop();
    await cluster.close();
  }
});
