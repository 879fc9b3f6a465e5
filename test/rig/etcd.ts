import { cpSync, rmSync } from "node:fs";
import { join } from "node:path";
import { resolveBinary } from "./binaries.ts";
import { type Part, startPart } from "./child-process-part.ts";
import { freePort } from "./free-port.ts";
import { createTempFolder } from "./temp-folder.ts";

/** A real etcd; serves any number of API servers, each with its own prefix. */
export interface Etcd extends Part {
  readonly url: string;
  /** Stops it, deletes all of its data, and starts it again. API servers on it must be restarted to make their own objects anew. */
  wipe(): Promise<void>;
  /**
   * Keeps its data as they are now, and gives what puts them back, as a restore from a backup does. Both stop it and start it again; after
   * a restore API servers must be restarted, for they remember what never was.
   */
  snapshot(): Promise<() => Promise<void>>;
}

/** Options of {@link startEtcd}. */
export interface EtcdOptions {
  /** true: every write reaches the disk. Needed where a test kills etcd. Default false. */
  readonly durable?: boolean;
}

export async function startEtcd(options: EtcdOptions = {}): Promise<Etcd> {
  const folder = createTempFolder("etcd");
  const client = await freePort();
  const peer = await freePort();
  const url = `http://127.0.0.1:${client}`;
  const peerUrl = `http://127.0.0.1:${peer}`;
  const dataDir = join(folder.path, "data");
  let snapshots = 0;
  const part = await startPart({
    name: "etcd",
    command: await resolveBinary("etcd"),
    args: [
      "--name=rig",
      `--data-dir=${dataDir}`,
      `--listen-client-urls=${url}`,
      `--advertise-client-urls=${url}`,
      `--listen-peer-urls=${peerUrl}`,
      `--initial-advertise-peer-urls=${peerUrl}`,
      `--initial-cluster=rig=${peerUrl}`,
      "--log-level=warn",
      "--snapshot-count=10000",
      "--auto-compaction-mode=periodic",
      "--auto-compaction-retention=5m",
      ...(options.durable ? [] : ["--unsafe-no-fsync"]),
    ],
    cwd: folder.path,
    logPath: join(folder.path, "etcd.log"),
    ports: [client, peer],
    ready: async () => {
      const answer = await fetch(`${url}/health`);
      if (!answer.ok) throw new Error(`etcd answers ${answer.status}`);
    },
  });
  return Object.assign(Object.create(part) as Part, {
    url,
    async wipe() {
      await part.kill();
      rmSync(dataDir, { recursive: true, force: true });
      await part.restart();
    },
    async snapshot() {
      const saved = join(folder.path, `snapshot-${++snapshots}`);
      await part.stop();
      cpSync(dataDir, saved, { recursive: true });
      await part.restart();
      return async () => {
        await part.kill();
        rmSync(dataDir, { recursive: true, force: true });
        cpSync(saved, dataDir, { recursive: true });
        await part.restart();
      };
    },
    async stop() {
      await part.stop();
      folder.remove();
    },
  });
}
