import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { CodedError } from "@muster/shared/errors";
import { isClusterName } from "@muster/shared/model";
import {
  createAuthority,
  isIssuedBy,
  issueClientCertificate,
  issueServerCertificate,
  type KeyedCertificate,
  parseAuthority,
  parseKeyedCertificate,
  readCertificate,
} from "./certificates.ts";
import {
  agentCreds,
  createAccountSeed,
  createNatsSeeds,
  hubCreds,
  natsServerConfig,
  parseAccountSeed,
  parseNatsSeeds,
} from "./nats-accounts.ts";
import { createPrivateFile, readPrivateFile, replacePrivateFile } from "./private-files.ts";

/** What one agent needs to be known, everywhere. */
export interface AgentCredentials {
  readonly cert: string;
  readonly key: string;
  /** CA of the hub's gRPC certificate. */
  readonly ca: string;
  readonly natsCreds: string;
  /** Public keys that sign slices, PEM. */
  readonly signingKeys: string;
}

/** Everything that makes this hub this hub. Made once, kept in files of mode 0600 below `dataDir`. */
export interface HubIdentity {
  readonly trustDomain: string;
  readonly signingKey: KeyObject;
  readonly signingPublicPem: string;
  readonly ca: string;
  readonly server: KeyedCertificate;
  readonly apiToken: string;
  readonly webhookSecret: string;
  /** Path of the hub's own NATS credentials. */
  readonly natsCredsFile: string;
  issueAgent(cluster: string): Promise<AgentCredentials>;
  natsConfig(): Promise<string>;
}

/** Options of {@link loadIdentity}. */
export interface IdentityOptions {
  readonly dataDir: string;
  readonly trustDomain: string;
  /** DNS names and IP addresses of the hub's gRPC endpoint. */
  readonly serverNames: readonly string[];
}

/** A server certificate with less than this left is replaced at the next start, in milliseconds. */
const RENEW_BEFORE_MS = 30 * 86_400_000;

/** The identity of a cluster's agent as it stands in its certificate. */
export function agentUri(trustDomain: string, cluster: string): string {
  return `spiffe://${trustDomain}/cluster/${cluster}`;
}

/** Loads the identity, or makes what is missing of it. */
export async function loadIdentity(options: IdentityOptions): Promise<HubIdentity> {
  const { dataDir, trustDomain, serverNames } = options;
  const path = (name: string) => join(dataDir, name);
  const keep = async <T>(name: string, make: () => string | Promise<string>, parse: (text: string) => T): Promise<T> => {
    if (!existsSync(path(name))) createPrivateFile(path(name), await make());
    return parseKept(path(name), parse);
  };
  const secret = () => randomBytes(32).toString("base64url");

  const signingKey = await keep(
    "signing-key.pem",
    () => generateKeyPairSync("ed25519").privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    createPrivateKey,
  );
  const signingPublicPem = createPublicKey(signingKey).export({ type: "spki", format: "pem" }).toString();
  replacePrivateFile(path("signing-key.pub.pem"), signingPublicPem);
  const authority = await keep("ca.json", async () => JSON.stringify(await createAuthority(trustDomain)), parseAuthority);
  replacePrivateFile(path("ca.pem"), authority.cert);
  const server = await serverCertificate(path("server.json"), authority, serverNames);
  const seeds = {
    ...(await keep("nats/seeds.json", () => JSON.stringify(createNatsSeeds()), parseNatsSeeds)),
    hubAccount: await keep("nats/hub-account.seed", createAccountSeed, parseAccountSeed),
  };
  // Made anew at every start: what the hub may do follows the version that runs, not the one that was installed first.
  replacePrivateFile(path("nats/hub.creds"), await hubCreds(seeds));

  return {
    trustDomain,
    signingKey,
    signingPublicPem,
    ca: authority.cert,
    server,
    apiToken: await keep("api-token", secret, parseSecret),
    webhookSecret: await keep("webhook-secret", secret, parseSecret),
    natsCredsFile: path("nats/hub.creds"),
    natsConfig: () => natsServerConfig(seeds),
    async issueAgent(cluster) {
      if (!isClusterName(cluster))
        throw new CodedError("CLI_USAGE", `${JSON.stringify(cluster)} is no cluster name: lower case letters, digits and -, at most 63`);
      const { cert, key } = await issueClientCertificate(authority, agentUri(trustDomain, cluster));
      return { cert, key, ca: authority.cert, natsCreds: await agentCreds(seeds, cluster), signingKeys: signingPublicPem };
    },
  };
}

/** The certificate that is kept, if it can still be used; it is the one thing that can be made anew without anybody noticing. */
async function serverCertificate(path: string, authority: KeyedCertificate, names: readonly string[]): Promise<KeyedCertificate> {
  const kept = keptCertificate(path);
  if (kept) {
    const certificate = readCertificate(kept.cert);
    const sameNames = names.length === certificate.names.length && names.every((name) => certificate.names.includes(name));
    if (sameNames && certificate.notAfterMs - Date.now() > RENEW_BEFORE_MS && isIssuedBy(kept.cert, authority)) return kept;
  }
  const made = await issueServerCertificate(authority, names);
  replacePrivateFile(path, JSON.stringify(made));
  return made;
}

function keptCertificate(path: string): KeyedCertificate | undefined {
  if (!existsSync(path)) return undefined;
  try {
    return parseKeyedCertificate(readPrivateFile(path));
  } catch {
    return undefined;
  }
}

/**
 * Reads what was made once. A damaged file stops the hub: a new key in its place would be one that no agent, no NATS server and
 * no operator knows.
 */
function parseKept<T>(path: string, parse: (text: string) => T): T {
  try {
    return parse(readPrivateFile(path));
  } catch (cause) {
    throw new CodedError("CONFIG_INVALID", `${path} is damaged; restore it from your backup of the hub's data folder`, {
      cause,
      at: { file: path },
    });
  }
}

function parseSecret(text: string): string {
  const secret = text.trim();
  if (secret === "") throw new RangeError("an empty secret");
  return secret;
}
