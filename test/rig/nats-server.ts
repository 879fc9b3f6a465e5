import { rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { resolveBinary } from "./binaries.ts";
import { type Part, startPart } from "./child-process-part.ts";
import { freePort } from "./free-port.ts";
import { createTempFolder } from "./temp-folder.ts";

/** Options of {@link startNatsServer}. */
export interface NatsServerOptions {
  /** More configuration text: operator, resolver, users. Goes into a file, never into the argument list. */
  readonly config?: string;
  /** Default: a free one. */
  readonly port?: number;
}

/** A real nats-server with JetStream. */
export interface NatsServer extends Part {
  readonly url: string;
  readonly port: number;
  readonly storeDir: string;
  /** Stops it, deletes all of its data, and starts it again. */
  wipe(): Promise<void>;
}

export async function startNatsServer(options: NatsServerOptions = {}): Promise<NatsServer> {
  const folder = createTempFolder("nats");
  const port = options.port ?? (await freePort());
  const storeDir = join(folder.path, "store");
  const configPath = join(folder.path, "nats.conf");
  const config = [
    `listen: "127.0.0.1:${port}"`,
    `server_name: rig-${port}`,
    "max_payload: 1MB",
    `jetstream { store_dir: ${JSON.stringify(storeDir)}, max_file_store: 4GB }`,
    options.config ?? "",
  ];
  writeFileSync(configPath, config.join("\n"), { mode: 0o600 });
  const part = await startPart({
    name: "nats-server",
    command: await resolveBinary("nats-server"),
    args: ["-c", configPath],
    cwd: folder.path,
    logPath: join(folder.path, "nats.log"),
    ports: [port],
    ready: () => answersInfo(port),
  });
  return Object.assign(Object.create(part) as Part, {
    url: `nats://127.0.0.1:${port}`,
    port,
    storeDir,
    async wipe() {
      await part.kill();
      rmSync(storeDir, { recursive: true, force: true });
      await part.restart();
    },
    async stop() {
      await part.stop();
      folder.remove();
    },
  });
}

/** A NATS server greets with INFO; that JetStream is in it says that it is up. */
function answersInfo(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1");
    socket.setTimeout(1_000, () => socket.destroy(new Error("no INFO in a second")));
    socket.once("data", (data) => {
      socket.destroy();
      if (data.toString().startsWith("INFO ")) resolve();
      else reject(new Error("not a NATS server"));
    });
    socket.once("error", reject);
  });
}
