import { createHmac } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { builtPrograms } from "../../../test/rig/built-programs.ts";
import { type Part, startPart } from "../../../test/rig/child-process-part.ts";
import { freePort } from "../../../test/rig/free-port.ts";
import { type GitRepository, type GitServer, startGitServer } from "../../../test/rig/git-server.ts";
import { type NatsServer, startNatsServer } from "../../../test/rig/nats-server.ts";
import { createTempFolder } from "../../../test/rig/temp-folder.ts";
import { type HubIdentity, loadIdentity } from "../identity/identity.ts";

/** A hub with real NATS and Git, and no cluster. */
export interface HubRig {
  readonly nats: NatsServer;
  readonly git: GitServer;
  readonly repository: GitRepository;
  readonly identity: HubIdentity;
  readonly folder: string;
  readonly grpcPort: number;
  /** Starts the hub as a process. `until: "running"` does not wait for its API, for one that shall die. */
  startHub(options?: { readonly env?: Readonly<Record<string, string>>; readonly until?: "ready" | "up" | "running" }): Promise<Part>;
  api<T>(path: string): Promise<T>;
  /** The body of an unauthenticated path, with its status. */
  probe(path: string): Promise<{ readonly status: number; readonly text: string }>;
  /** Commits, pushes and tells the hub by its webhook. */
  push(message: string, files: Readonly<Record<string, string | null>>): Promise<string>;
  stop(): Promise<void>;
}

const ROOT = join(import.meta.dirname, "../../..");

export async function startHubRig(
  files: Readonly<Record<string, string>>,
  settings: Readonly<Record<string, object>> = {},
): Promise<HubRig> {
  const folder = createTempFolder("hub");
  const stops: (() => Promise<void> | void)[] = [() => folder.remove()];
  const started = <T extends { stop(): Promise<void> }>(part: T): T => {
    stops.push(() => part.stop());
    return part;
  };
  const dataDir = join(folder.path, "data");
  const [grpcPort, enrolPort, httpPort, natsPort] = [await freePort(), await freePort(), await freePort(), await freePort()];
  const identity = await loadIdentity({ dataDir, trustDomain: "muster.local", serverNames: ["localhost", "127.0.0.1"] });
  const [git, nats] = await Promise.all([
    startGitServer().then(started),
    startNatsServer({ port: natsPort, config: await identity.natsConfig() }).then(started),
  ]);
  const repository = await git.createRepository("fleet");
  await repository.commit("Start the fleet", files);
  const configPath = join(folder.path, "hub.yaml");
  const config = {
    dataDir,
    sources: [{ name: "fleet", url: repository.url }],
    nats: { url: nats.url },
    grpc: { listen: `127.0.0.1:${grpcPort}`, enrolListen: `127.0.0.1:${enrolPort}`, serverNames: ["localhost", "127.0.0.1"] },
    http: { listen: `127.0.0.1:${httpPort}` },
    publish: { auditIntervalMs: 500 },
    log: { level: "debug" },
  };
  writeFileSync(configPath, JSON.stringify({ ...config, ...settings }));
  const url = `http://127.0.0.1:${httpPort}`;
  let running: Part | undefined;
  const probe: HubRig["probe"] = async (path) => {
    const answer = await fetch(`${url}${path}`);
    return { status: answer.status, text: await answer.text() };
  };
  const webhook = async (): Promise<void> => {
    const body = "{}";
    const signature = createHmac("sha256", readFileSync(join(dataDir, "webhook-secret"), "utf8").trim())
      .update(body)
      .digest("hex");
    const answer = await fetch(`${url}/api/v1/hooks/git`, {
      method: "POST",
      body,
      headers: { "content-type": "application/json", "x-hub-signature-256": `sha256=${signature}` },
    });
    if (!answer.ok) throw new Error(`the webhook was answered with ${answer.status}`);
  };
  return {
    nats,
    git,
    repository,
    identity,
    folder: folder.path,
    grpcPort,
    probe,
    async startHub({ env = {}, until = "ready" } = {}) {
      const programs = await builtPrograms();
      running = await startPart({
        name: "muster-hub",
        command: process.execPath,
        args: [programs.hub, "--config", configPath],
        cwd: ROOT,
        env: { ...programs.env, ...env },
        logPath: join(folder.path, "hub.log"),
        ports: [grpcPort, httpPort],
        ready: async () => {
          if (until === "running") return;
          const { status, text } = await probe(until === "ready" ? "/readyz" : "/healthz");
          if (status !== 200) throw new Error(text);
        },
      });
      return started(running);
    },
    async api<T>(path: string): Promise<T> {
      const answer = await fetch(`${url}/api/v1${path}`, { headers: { authorization: `Bearer ${identity.apiToken}` } });
      if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
      return (await answer.json()) as T;
    },
    async push(message, changes) {
      const commit = await repository.commit(message, changes);
      if (running?.running) await webhook();
      return commit;
    },
    async stop() {
      for (const end of stops.splice(0).reverse()) await end();
    },
  };
}
