import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { createPublisher, type Publisher } from "../../agent/src/pull/testing/publisher.ts";
import { type FakeHub, startFakeHub } from "../../agent/src/report/testing/fake-hub.ts";
import { buildBundles } from "../build/bundle.ts";
import { type Clusters, startClusters } from "../rig/clusters.ts";
import type { KubeApiserver } from "../rig/kube-apiserver.ts";
import { type NatsServer, startNatsServer } from "../rig/nats-server.ts";
import { createTempFolder } from "../rig/temp-folder.ts";

/** The real parts around the agents that are killed. Only the hub is not one: what it does is not under test here. */
export interface ChaosRig {
  readonly api: KubeApiserver;
  readonly nats: NatsServer;
  readonly publisher: Publisher;
  readonly hub: FakeHub;
  /**
   * The agent as images carry it, without the flags that save memory and with its code compiled before: it starts ten times as fast as
   * its sources, and starts are what takes the time here.
   */
  readonly program: string;
  /** What Node has to be told for it. */
  readonly programEnv: Readonly<Record<string, string>>;
  /** Certificate of the API server, which is the fake hub's too. */
  readonly certPath: string;
  readonly keyPath: string;
  readonly folder: string;
  stop(): Promise<void>;
}

export async function startChaosRig(): Promise<ChaosRig> {
  const folder = createTempFolder("chaos");
  const [clusters, nats, built] = (await Promise.all([
    // The oracle reads it from marks on, so it must not be rotated away.
    startClusters(["chaos"], { args: ["--audit-log-maxsize=100000"], lowMemory: false }),
    startNatsServer(),
    buildBundles({ outDir: join(folder.path, "program"), programs: ["agent"] }),
  ])) as [Clusters, NatsServer, { readonly agent: string }];
  const api = clusters.get("chaos");
  const programEnv = { NODE_COMPILE_CACHE: join(folder.path, "compiled") };
  // Only who ends by itself leaves compiled code behind: here with a complaint about its settings. Those who are killed do not.
  spawnSync(process.execPath, [built.agent], { env: programEnv });
  const certificates = join(dirname(api.auditLogPath), "certs");
  const [certPath, keyPath] = [join(certificates, "apiserver.crt"), join(certificates, "apiserver.key")];
  const hub = await startFakeHub({ cert: readFileSync(certPath), key: readFileSync(keyPath) });
  const publisher = await createPublisher(nats.url);
  return {
    api,
    nats,
    publisher,
    hub,
    program: built.agent,
    programEnv,
    certPath,
    keyPath,
    folder: folder.path,
    async stop() {
      hub.stop();
      await publisher.close();
      await Promise.all([clusters.stop(), nats.stop()]);
      folder.remove();
    },
  };
}
