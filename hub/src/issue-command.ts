import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { CodedError } from "@muster/shared/errors";
import { stringify } from "yaml";
import type { HubConfig } from "./config.ts";
import { loadIdentity } from "./identity/identity.ts";
import { replacePrivateFile } from "./identity/private-files.ts";

/** What `muster-hub issue` was asked for. */
export interface IssueOptions {
  readonly cluster: string;
  /** helm-values: YAML for charts/agent on standard output. files: one file per credential in `out`. */
  readonly format: "helm-values" | "files";
  /** Folder for `files`. */
  readonly out?: string;
  /** host:port that agents use for the hub; default: the first server name with the port that the hub listens on. */
  readonly hubAddress?: string;
  /** NATS URL that agents use; default: the hub's own. */
  readonly natsUrl?: string;
}

/** Issues the credentials of one cluster's agent. Gives what is to be printed. Throws CONFIG_INVALID if the CA of NATS cannot be read. */
export async function issueAgentCredentials(config: HubConfig, options: IssueOptions): Promise<string> {
  const natsCa = readNatsCa(config.nats.caFile);
  const identity = await loadIdentity({ dataDir: config.dataDir, trustDomain: config.trustDomain, serverNames: config.grpc.serverNames });
  const credentials = await identity.issueAgent(options.cluster);
  if (options.format === "files") {
    const folder = options.out ?? options.cluster;
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const files = {
      "tls.crt": credentials.cert,
      "tls.key": credentials.key,
      "ca.crt": credentials.ca,
      "nats.creds": credentials.natsCreds,
      "signing-keys.pem": credentials.signingKeys,
      ...(natsCa !== undefined && { "nats-ca.crt": natsCa }),
    };
    for (const [name, content] of Object.entries(files)) replacePrivateFile(join(folder, name), content);
    return `${Object.keys(files)
      .map((name) => join(folder, name))
      .join("\n")}\n`;
  }
  const port = config.grpc.listen.slice(config.grpc.listen.lastIndexOf(":") + 1);
  const values = {
    cluster: { name: options.cluster },
    trustDomain: config.trustDomain,
    hub: { address: options.hubAddress ?? `${config.grpc.serverNames[0]}:${port}` },
    nats: { url: options.natsUrl ?? config.nats.url },
    credentials: {
      tls: { cert: credentials.cert, key: credentials.key, ca: credentials.ca },
      natsCreds: credentials.natsCreds,
      ...(natsCa !== undefined && { natsCa }),
      signingKeys: credentials.signingKeys,
    },
  };
  return `# Values of the Muster agent's chart for the cluster ${options.cluster}. Holds secrets: keep it as you keep passwords.\n${stringify(values)}`;
}

/** The agent dials the same NATS as the hub, whose CA no machine knows by itself. */
function readNatsCa(path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw new CodedError("CONFIG_INVALID", `nats.caFile ${path} cannot be read`, { cause, at: { file: path } });
  }
}
