import { spawnSync } from "node:child_process";
import { createHmac } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Agent } from "undici";
import { resolveBinary } from "./binaries.ts";
import { builtPrograms } from "./built-programs.ts";
import { type Part, startPart } from "./child-process-part.ts";
import { type Clusters, startClusters } from "./clusters.ts";
import { type DeletionReport, startDeleteOracle } from "./delete-oracle.ts";
import { freePort } from "./free-port.ts";
import { type GitRepository, type GitServer, startGitServer } from "./git-server.ts";
import type { KubeApiserver } from "./kube-apiserver.ts";
import { type NatsServer, startNatsServer } from "./nats-server.ts";
import { createTempFolder } from "./temp-folder.ts";

const ROOT = join(import.meta.dirname, "../..");

/** How to run our own two programs. */
export interface Programs {
  readonly hub: string;
  readonly agent: string;
  /** Flags of Node for each. Default: none. */
  readonly nodeArgs?: { readonly hub: readonly string[]; readonly agent: readonly string[] };
  /** Environment of each, as its image sets it. Default: none. */
  readonly imageEnv?: { readonly hub: Readonly<Record<string, string>>; readonly agent: Readonly<Record<string, string>> };
}

async function defaultPrograms(): Promise<Programs> {
  const { hub, agent, env } = await builtPrograms();
  return { hub, agent, imageEnv: { hub: env, agent: env } };
}

/** Options of {@link startMuster}. */
export interface MusterOptions {
  /** Names of the clusters. */
  readonly clusters: readonly string[];
  /** First content of the fleet repository. */
  readonly files: Readonly<Record<string, string>>;
  /** Default: built for this run, without the flags that save memory. */
  readonly programs?: Programs;
  /** More hub configuration, merged over the rig's. */
  readonly hub?: Readonly<Record<string, Record<string, unknown>>>;
  /** More environment for every agent. */
  readonly agent?: Readonly<Record<string, string>>;
  /** false: API servers run as they come, to measure; see `KubeApiserverOptions`, also for the default. */
  readonly lowMemory?: boolean;
  /** Start the agents too. Default true. */
  readonly startAgents?: boolean;
  /** Called with what is being started, for people. */
  readonly progress?: (what: string) => void;
  /** Lets something stand between two parts: gets the port of the one that listens, gives the port that the other one is told. */
  readonly link?: (link: LinkName, port: number) => Promise<number>;
  /** Default: agents have all rights in their cluster. */
  readonly agentKubeconfig?: (cluster: KubeApiserver) => Promise<string>;
}

/** Who connects to whom. */
export const LINKS = ["hub-git", "hub-nats", "agent-nats", "agent-hub", "agent-api"] as const;
export type LinkName = (typeof LINKS)[number];

/** The user name of the agent in the audit log. */
export const AGENT_USER = "system:serviceaccount:muster-system:muster-agent";

/** Answer of the hub's API. */
export interface ApiAnswer<T> {
  readonly status: number;
  readonly body: T;
}

/** Everything real: NATS, API servers, Git, one hub and an agent per cluster. */
export interface Muster {
  readonly nats: NatsServer;
  readonly clusters: Clusters;
  readonly git: GitServer;
  readonly repository: GitRepository;
  readonly hub: Part;
  readonly agents: ReadonlyMap<string, Part>;
  readonly hubUrl: string;
  readonly tokenFile: string;
  /** host:port at which agents enrol. */
  readonly enrolAddress: string;
  readonly folder: string;
  /** Asks the hub's API as an operator. */
  api<T>(path: string, options?: { readonly method?: string; readonly body?: unknown }): Promise<ApiAnswer<T>>;
  /** Tells the hub by its webhook that there is something new. */
  webhook(): Promise<void>;
  /** Commits, pushes and tells the hub. */
  push(message: string, files: Readonly<Record<string, string | null>>): Promise<string>;
  agent(cluster: string): Part;
  /** What the agents' deletions were, by the audit logs and the slices that were published; see {@link DeleteOracle}. */
  deletions(): Promise<DeletionReport>;
  startAgent(cluster: string): Promise<Part>;
  stop(): Promise<void>;
}

export async function startMuster(options: MusterOptions): Promise<Muster> {
  const { programs = await defaultPrograms(), progress = () => {}, link = async (_: LinkName, port: number) => port } = options;
  const folder = createTempFolder("muster");
  const stops: (() => Promise<void> | void)[] = [() => folder.remove()];
  const started = <T extends { stop(): Promise<void> }>(part: T): T => {
    stops.push(() => part.stop());
    return part;
  };
  const stop = async () => {
    for (const end of stops.splice(0).reverse()) await end();
  };
  try {
    const [helm, kustomize] = [await resolveBinary("helm"), await resolveBinary("kustomize")];
    const [grpcPort, enrolPort, httpPort, natsPort] = [await freePort(), await freePort(), await freePort(), await freePort()];
    const dataDir = join(folder.path, "hub");
    mkdirSync(dataDir);
    progress("Git server, API servers");
    const git = started(await startGitServer());
    const [repository, clusters] = await Promise.all([
      (async () => {
        const made = await git.createRepository("fleet");
        await made.commit("Start the fleet", options.files);
        return made;
      })(),
      startClusters(options.clusters, options.lowMemory === undefined ? {} : { lowMemory: options.lowMemory }).then(started),
    ]);
    const config = {
      dataDir,
      sources: [
        {
          name: "fleet",
          url: await through(repository.url, (port) => link("hub-git", port)),
          ref: "main",
          pollIntervalMs: 30_000,
          ...options.hub?.["source"],
        },
      ],
      nats: { url: `nats://127.0.0.1:${await link("hub-nats", natsPort)}` },
      grpc: {
        listen: `127.0.0.1:${grpcPort}`,
        enrolListen: `127.0.0.1:${enrolPort}`,
        serverNames: ["localhost", "127.0.0.1"],
        ...options.hub?.["grpc"],
      },
      http: { listen: `127.0.0.1:${httpPort}`, ...options.hub?.["http"] },
      render: { helm, kustomize, ...options.hub?.["render"] },
      publish: { auditIntervalMs: 2_000, ...options.hub?.["publish"] },
      log: { level: "info", ...options.hub?.["log"] },
    };
    const configPath = join(folder.path, "hub.yaml");
    writeFileSync(configPath, JSON.stringify(config));
    const hubCommand = (...args: string[]) => {
      const result = spawnSync(process.execPath, [programs.hub, ...args, "--config", configPath], { encoding: "utf8", cwd: ROOT });
      if (result.status !== 0) throw new Error(`muster-hub ${args[0]}: ${result.stderr}`);
      return result.stdout;
    };

    progress("NATS, hub");
    const nats = started(await startNatsServer({ port: natsPort, config: hubCommand("nats-config") }));
    const hubUrl = `http://127.0.0.1:${httpPort}`;
    const hub = started(
      await startPart({
        name: "muster-hub",
        command: process.execPath,
        args: [...(programs.nodeArgs?.hub ?? []), programs.hub, "--config", configPath],
        cwd: ROOT,
        env: {
          PATH: process.env["PATH"] ?? "",
          ...programs.imageEnv?.hub,
          ...(options.hub?.["env"] as Record<string, string> | undefined),
        },
        logPath: join(folder.path, "hub.log"),
        ports: [grpcPort, enrolPort, httpPort],
        ready: async () => {
          const answer = await fetch(`${hubUrl}/readyz`);
          if (!answer.ok) throw new Error(await answer.text());
        },
      }),
    );

    // Before the first agent, so that it hears every slice that one may act upon.
    const oracle = started(
      await startDeleteOracle({ natsUrl: nats.url, hubDataDir: dataDir, clusters, isAgent: (user) => user === AGENT_USER }),
    );
    const agents = new Map<string, Part>();
    const tokenFile = join(dataDir, "api-token");
    const askHub = async <T>(path: string, { method = "GET", body }: { method?: string; body?: unknown } = {}): Promise<ApiAnswer<T>> => {
      const answer = await fetch(`${hubUrl}/api/v1${path}`, {
        method,
        headers: {
          authorization: `Bearer ${readFileSync(tokenFile, "utf8").trim()}`,
          ...(body === undefined ? {} : { "content-type": "application/json" }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      return { status: answer.status, body: (await answer.json()) as T };
    };
    /** What an operator hands to a new cluster, as files. */
    const invite = async (name: string) => {
      const { status, body } = await askHub<Record<"token" | "ca" | "signingKeys", string>>(`/agents/${name}/token`, {
        method: "POST",
        body: {},
      });
      if (status !== 201) throw new Error(`no token for ${name}: ${status} ${JSON.stringify(body)}`);
      const file = (kind: "token" | "ca" | "signingKeys") => {
        const path = join(folder.path, `agent-${name}-${kind}`);
        writeFileSync(path, body[kind], { mode: 0o600 });
        return path;
      };
      return { token: file("token"), ca: file("ca"), signingKeys: file("signingKeys") };
    };
    const startAgent = async (name: string): Promise<Part> => {
      const files = await invite(name);
      const cluster = clusters.get(name);
      if (!(await cluster.admin.get("/api/v1/namespaces/muster-system"))) {
        await cluster.admin.request("POST", "/api/v1/namespaces", { metadata: { name: "muster-system" } });
      }
      const token = options.agentKubeconfig ? undefined : await fullRights(cluster);
      const apiUrl = await through(cluster.url, (port) => link("agent-api", port));
      const kubeconfig = options.agentKubeconfig
        ? await options.agentKubeconfig(cluster)
        : cluster.writeKubeconfig("agent", token ?? "", apiUrl);
      const port = await freePort();
      const agent = started(
        await startPart({
          name: `muster-agent ${name}`,
          command: process.execPath,
          args: [...(programs.nodeArgs?.agent ?? []), programs.agent],
          cwd: ROOT,
          env: {
            MUSTER_CLUSTER: name,
            MUSTER_NAMESPACE: "muster-system",
            MUSTER_NATS_URL: `nats://127.0.0.1:${await link("agent-nats", natsPort)}`,
            MUSTER_HUB_ADDRESS: `localhost:${await link("agent-hub", grpcPort)}`,
            MUSTER_HUB_CA_FILE: files.ca,
            MUSTER_ENROL_ADDRESS: `localhost:${enrolPort}`,
            MUSTER_ENROL_TOKEN_FILE: files.token,
            MUSTER_SIGNING_KEYS_FILE: files.signingKeys,
            MUSTER_METRICS_LISTEN: `127.0.0.1:${port}`,
            MUSTER_WORK_DIR: folder.path,
            KUBECONFIG: kubeconfig,
            ...programs.imageEnv?.agent,
            ...options.agent,
          },
          logPath: join(folder.path, `agent-${name}.log`),
          ready: async () => {
            const answer = await fetch(`http://127.0.0.1:${port}/readyz`);
            if (!answer.ok) throw new Error(await answer.text());
          },
        }),
      );
      agents.set(name, agent);
      return agent;
    };
    if (options.startAgents !== false) {
      progress("agents");
      for (const name of options.clusters) await startAgent(name);
    }

    const dispatcher = new Agent({ connections: 4 });
    stops.push(() => dispatcher.close());
    const muster: Muster = {
      nats,
      clusters,
      git,
      repository,
      hub,
      agents,
      hubUrl,
      tokenFile,
      enrolAddress: `localhost:${enrolPort}`,
      startAgent,
      folder: folder.path,
      api: askHub,
      async webhook() {
        const body = JSON.stringify({ ref: "refs/heads/main" });
        const signature = createHmac("sha256", readFileSync(join(dataDir, "webhook-secret"), "utf8").trim())
          .update(body)
          .digest("hex");
        const answer = await fetch(`${hubUrl}/api/v1/hooks/git`, {
          method: "POST",
          body,
          headers: { "content-type": "application/json", "x-hub-signature-256": `sha256=${signature}` },
        });
        if (answer.status !== 202) throw new Error(`webhook: ${answer.status} ${await answer.text()}`);
      },
      async push(message, files) {
        const commit = await repository.commit(message, files);
        await muster.webhook();
        return commit;
      },
      agent(name) {
        const found = agents.get(name);
        if (!found) throw new Error(`no agent ${name}`);
        return found;
      },
      deletions: () => oracle.report(),
      stop,
    };
    return muster;
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The same address at another port. */
async function through(address: string, link: (port: number) => Promise<number>): Promise<string> {
  const url = new URL(address);
  url.port = String(await link(Number(url.port)));
  return url.href.replace(/\/$/, "");
}

/** A token of a ServiceAccount that may do everything; its own user name keeps it apart from the test in the audit log. */
export async function fullRights(cluster: KubeApiserver): Promise<string> {
  const token = await cluster.serviceAccountToken("muster-system", "muster-agent", 86_400);
  const path = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
  if (!(await cluster.admin.get(`${path}/muster-agent`))) {
    await cluster.admin.request("POST", path, {
      metadata: { name: "muster-agent" },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "cluster-admin" },
      subjects: [{ kind: "ServiceAccount", name: "muster-agent", namespace: "muster-system" }],
    });
  }
  return token;
}
