import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { createPublisher, type Publisher } from "../../agent/src/pull/testing/publisher.ts";
import { type FakeHub, startFakeHub } from "../../agent/src/report/testing/fake-hub.ts";
import { type BuiltPrograms, builtPrograms } from "../rig/built-programs.ts";
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
  readonly programs: BuiltPrograms;
  /** Certificate of the API server, which is the fake hub's too. */
  readonly certPath: string;
  readonly keyPath: string;
  readonly folder: string;
  stop(): Promise<void>;
}

export async function startChaosRig(): Promise<ChaosRig> {
  const folder = createTempFolder("chaos");
  const [clusters, nats, programs] = (await Promise.all([
    // The oracle reads it from marks on, so it must not be rotated away.
    startClusters(["chaos"], { args: ["--audit-log-maxsize=100000"], lowMemory: false }),
    startNatsServer(),
    builtPrograms(),
  ])) as [Clusters, NatsServer, BuiltPrograms];
  const api = clusters.get("chaos");
  const certificates = join(dirname(api.auditLogPath), "certs");
  const [certPath, keyPath] = [join(certificates, "apiserver.crt"), join(certificates, "apiserver.key")];
  const hub = await startFakeHub({ cert: readFileSync(certPath), key: readFileSync(keyPath) });
  const publisher = await createPublisher(nats.url);
  return {
    api,
    nats,
    publisher,
    hub,
    programs,
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
