import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { KubeConfig } from "@kubernetes/client-node/dist/config.js";
import { CodedError } from "@muster/shared/errors";
import type { Clock } from "@muster/shared/runtime";
import type { AgentFailpoint } from "../failpoints.ts";

/** How long a token that was read is used before the file is read again, in milliseconds (E262; client-go does the same). */
const TOKEN_LIFETIME_MS = 60_000;

/** TLS material of a connection. The server's certificate is always verified. */
export interface KubeTls {
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
  readonly servername?: string;
}

/** Where the API server is and how to be known there. */
export interface KubeCredentials {
  readonly server: string;
  readonly tls: KubeTls;
  /** `Authorization` header, or undefined if a client certificate says who we are. `fresh` skips the cache, after a 401. */
  authorization(fresh?: boolean): Promise<string | undefined>;
}

/** Options of {@link loadCredentials}. */
export interface CredentialOptions {
  /** Path of a kubeconfig; in-cluster configuration if absent. */
  readonly kubeconfig?: string;
  readonly clock: Clock;
  /** Put before the paths of what a pod is given. Default none. */
  readonly root?: string;
  /** Default: none. */
  readonly failpoint?: AgentFailpoint;
}

/** Loads a kubeconfig or the in-cluster configuration. Throws CONFIG_INVALID. */
export function loadCredentials(options: CredentialOptions): KubeCredentials {
  const config = new KubeConfig();
  try {
    if (options.kubeconfig) config.loadFromFile(options.kubeconfig);
    else config.loadFromCluster(options.root);
  } catch (cause) {
    const where = options.kubeconfig ? `the kubeconfig ${options.kubeconfig}` : "the in-cluster configuration";
    throw new CodedError("CONFIG_INVALID", `Cannot load ${where}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
  const cluster = config.getCurrentCluster();
  const user = config.getCurrentUser();
  if (!cluster) throw new CodedError("CONFIG_INVALID", "The kubeconfig's current context names no cluster");
  const tokenFile = tokenFileOf(user);
  let cached: { value: string; at: number } | undefined;

  return {
    server: cluster.server.replace(/\/+$/, ""),
    tls: tlsOptions(config),
    async authorization(fresh = false) {
      if (user?.token) return `Bearer ${user.token}`;
      const now = options.clock.monotonicMs();
      if (!fresh && cached && now - cached.at < TOKEN_LIFETIME_MS) return cached.value;
      const value = tokenFile ? `Bearer ${(await readFile(tokenFile, "utf8")).trim()}` : await fromPlugin(config);
      options.failpoint?.("agent.duringTokenReload");
      cached = value === undefined ? undefined : { value, at: now };
      return value;
    },
  };
}

function tokenFileOf(user: ReturnType<KubeConfig["getCurrentUser"]>): string | undefined {
  const provider = user?.authProvider as { config?: { tokenFile?: unknown } } | undefined;
  const file = provider?.config?.tokenFile;
  return typeof file === "string" ? file : undefined;
}

/** exec plugins and cloud providers, as client-node runs them. */
async function fromPlugin(config: KubeConfig): Promise<string | undefined> {
  const options: { headers: Record<string, string> } = { headers: {} };
  await config.applyToHTTPSOptions(options);
  return options.headers["Authorization"];
}

function tlsOptions(config: KubeConfig): KubeTls {
  const cluster = config.getCurrentCluster();
  const user = config.getCurrentUser();
  const text = (data: string | undefined) => (data ? Buffer.from(data, "base64") : undefined);
  const ca = text(cluster?.caData) ?? read(cluster?.caFile);
  const cert = text(user?.certData) ?? read(user?.certFile);
  const key = text(user?.keyData) ?? read(user?.keyFile);
  return {
    ...(ca && { ca }),
    ...(cert && { cert }),
    ...(key && { key }),
    ...(cluster?.tlsServerName && { servername: cluster.tlsServerName }),
  };
}

function read(path: string | undefined): Buffer | undefined {
  if (!path) return undefined;
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new CodedError("CONFIG_INVALID", `Cannot read ${path}, which the connection to the API server needs`, { cause });
  }
}
