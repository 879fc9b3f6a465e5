import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { createPublisher, type Publisher } from "../../agent/src/pull/testing/publisher.ts";
import { createSliceMaker, type MadeBundle, type MadeSlice, type SliceMaker } from "../../agent/src/pull/testing/slice-maker.ts";
import { type FakeHub, startFakeHub } from "../../agent/src/report/testing/fake-hub.ts";
import { IMAGE_ENV, NODE_ARGS } from "../build/bundle.ts";
import { type Part, startPart } from "../rig/child-process-part.ts";
import { type Clusters, startClusters } from "../rig/clusters.ts";
import { freePort } from "../rig/free-port.ts";
import type { KubeApiserver } from "../rig/kube-apiserver.ts";
import { fullRights } from "../rig/muster.ts";
import { startNatsServer } from "../rig/nats-server.ts";
import { createTempFolder } from "../rig/temp-folder.ts";
import { type HubView, viewOf } from "./hub-view.ts";

/** One agent with real parts around it; only the hub is none, since what it does is not measured here. */
export interface AgentRig {
  readonly api: KubeApiserver;
  readonly agent: Part;
  /** Process ids of the API server and of etcd, which share the cores with the agent. */
  readonly serverPids: readonly number[];
  readonly hub: HubView;
  /** Of the agent: where it tells that it lives. */
  readonly healthUrl: string;
  /** Of the slice that was published last; 0: none. */
  readonly generation: number;
  /** Makes a slice of the next generation and puts its manifest sets into JetStream. */
  prepare(bundles: readonly MadeBundle[]): Promise<MadeSlice>;
  /** Publishes the slice itself. */
  publish(made: MadeSlice): Promise<void>;
  stop(): Promise<void>;
}

/** Options of {@link startAgentRig}. */
export interface AgentRigOptions {
  readonly name: string;
  /** The agent's bundle. */
  readonly program: string;
  /** More flags for the agent's Node. */
  readonly nodeArgs?: readonly string[];
}

export async function startAgentRig({ name, program, nodeArgs = [] }: AgentRigOptions): Promise<AgentRig> {
  const folder = createTempFolder(`bench-${name}`);
  const stops: (() => Promise<void> | void)[] = [() => folder.remove()];
  const stop = async () => {
    for (const end of stops.splice(0).reverse()) await end();
  };
  try {
    // The audit log is read from marks on, so it must not be rotated away.
    const clusters: Clusters = await startClusters([name], { lowMemory: false, args: ["--audit-log-maxsize=100000"] });
    stops.push(() => clusters.stop());
    const api = clusters.get(name);
    const nats = await startNatsServer();
    stops.push(() => nats.stop());
    const publisher: Publisher = await createPublisher(nats.url);
    stops.push(() => publisher.close());
    const certificates = join(dirname(api.auditLogPath), "certs");
    const [certPath, keyPath] = [join(certificates, "apiserver.crt"), join(certificates, "apiserver.key")];
    const fake: FakeHub = await startFakeHub({ cert: readFileSync(certPath), key: readFileSync(keyPath) });
    stops.push(() => fake.stop());
    const maker: SliceMaker = createSliceMaker(name);
    const keys = join(folder.path, "keys.pem");
    writeFileSync(keys, maker.publicKey.export({ type: "spki", format: "pem" }));
    await api.admin.request("POST", "/api/v1/namespaces", { metadata: { name: "muster-system" } });
    const kubeconfig = api.writeKubeconfig("agent", await fullRights(api));
    const port = await freePort();
    const healthUrl = `http://127.0.0.1:${port}/healthz`;
    const agent = await startPart({
      name: `muster-agent ${name}`,
      command: process.execPath,
      args: [...NODE_ARGS.agent, ...nodeArgs, program],
      env: {
        ...IMAGE_ENV.agent,
        MUSTER_CLUSTER: name,
        MUSTER_NAMESPACE: "muster-system",
        MUSTER_NATS_URL: nats.url,
        MUSTER_HUB_ADDRESS: `localhost:${fake.port}`,
        MUSTER_HUB_SERVER_NAME: "kubernetes",
        MUSTER_HUB_CA_FILE: certPath,
        MUSTER_CERT_FILE: certPath,
        MUSTER_KEY_FILE: keyPath,
        MUSTER_SIGNING_KEYS_FILE: keys,
        MUSTER_METRICS_LISTEN: `127.0.0.1:${port}`,
        MUSTER_WORK_DIR: folder.path,
        KUBECONFIG: kubeconfig,
      },
      logPath: join(folder.path, "agent.log"),
      ready: async () => {
        const answer = await fetch(`http://127.0.0.1:${port}/readyz`);
        if (!answer.ok) throw new Error(await answer.text());
      },
    });
    stops.push(() => agent.stop());
    let generation = 0;
    return {
      api,
      agent,
      serverPids: [api.pid, clusters.etcd.pid],
      hub: viewOf(fake),
      healthUrl,
      async prepare(bundles) {
        const made = maker.make(bundles);
        await publisher.publishBlobs(maker);
        return made;
      },
      get generation() {
        return generation;
      },
      async publish(made) {
        generation = made.slice.generation;
        await publisher.publish(maker, made, { withoutBlobs: true });
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
