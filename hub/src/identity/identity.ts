import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { CodedError } from "@muster/shared/errors";
import { isClusterName } from "@muster/shared/model";
import type { AgentPublicKeys } from "@muster/shared/wire";
import type { AgentGrant } from "../enrolment/enrolments.ts";
import {
  certifyClient,
  createAuthority,
  isIssuedBy,
  issueServerCertificate,
  type KeyedCertificate,
  parseAuthority,
  parseKeyedCertificate,
  readCertificate,
} from "./certificates.ts";
import {
  type AgentAccount,
  accountClaims,
  agentJwt,
  createAccountSeed,
  createNatsSeeds,
  hubCreds,
  natsServerConfig,
  parseAccountSeed,
  parseNatsSeeds,
  type Revocations,
  systemCreds,
} from "./nats-accounts.ts";
import { createPrivateFile, readPrivateFile, replacePrivateFile } from "./private-files.ts";

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
  /** Certificate and JWT for keys that the agent has made. */
  grant(cluster: string, keys: AgentPublicKeys): Promise<{ readonly grant: AgentGrant; readonly endsAtMs: number }>;
  /** Path of the credentials with which it replaces the claims of accounts. */
  readonly natsSystemCredsFile: string;
  natsConfig(options?: { readonly jwtDir?: string; readonly revocations?: Revocations }): Promise<string>;
  /** JWTs of both accounts. */
  natsClaims(revocations: Revocations): Promise<readonly string[]>;
}

/** Options of {@link loadIdentity}. */
export interface IdentityOptions {
  readonly dataDir: string;
  readonly trustDomain: string;
  /** DNS names and IP addresses of the hub's gRPC endpoint. */
  readonly serverNames: readonly string[];
  /** Days for which an agent's certificate is good. Default 30. */
  readonly certificateDays?: number;
  /** Hours for which an agent's NATS JWT is good. Default 24: it cannot be taken back everywhere. */
  readonly natsHours?: number;
  /** The agents' account in a NATS that this hub's operator has not set up. Default: the one that the hub has made. */
  readonly agentAccount?: AgentAccount;
}

/** A server certificate with less than this left is replaced at the next start, in milliseconds. */
const RENEW_BEFORE_MS = 30 * 86_400_000;

/** Stands in the data folder while a backup is put back. */
export const UNFINISHED_RESTORE = "restore-unfinished";

/** Where nats-server keeps the claims of accounts, if nothing else is said. */
const DEFAULT_JWT_DIR = "./muster-jwt";

/** The identity of a cluster's agent as it stands in its certificate. */
export function agentUri(trustDomain: string, cluster: string): string {
  return `spiffe://${trustDomain}/cluster/${cluster}`;
}

/** Loads the identity, or makes what is missing of it. */
export async function loadIdentity(options: IdentityOptions): Promise<HubIdentity> {
  const { dataDir, trustDomain, serverNames } = options;
  const path = (name: string) => join(dataDir, name);
  if (existsSync(path(UNFINISHED_RESTORE)))
    throw new CodedError("CONFIG_INVALID", `A restore into ${dataDir} did not come to its end: run it again`, {
      at: { file: path(UNFINISHED_RESTORE) },
    });
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
  replacePrivateFile(path("nats/system.creds"), await systemCreds(seeds));

  return {
    trustDomain,
    signingKey,
    signingPublicPem,
    ca: authority.cert,
    server,
    apiToken: await keep("api-token", secret, parseSecret),
    webhookSecret: await keep("webhook-secret", secret, parseSecret),
    natsCredsFile: path("nats/hub.creds"),
    natsSystemCredsFile: path("nats/system.creds"),
    natsConfig: ({ jwtDir = DEFAULT_JWT_DIR, revocations = {} } = {}) => natsServerConfig(seeds, jwtDir, revocations),
    natsClaims: async (revocations) => Object.values(await accountClaims(seeds, revocations)),
    async grant(cluster, keys) {
      // The name becomes part of subjects and of a URI.
      if (!isClusterName(cluster)) throw new RangeError(`${JSON.stringify(cluster)} is no cluster name`);
      const { cert, notAfterMs } = await certifyClient(authority, {
        uri: agentUri(trustDomain, cluster),
        spki: keys.tls,
        days: options.certificateDays ?? 30,
      });
      const endsAtMs = Date.now() + (options.natsHours ?? 24) * 3_600_000;
      const natsJwt = await agentJwt(options.agentAccount ?? { seed: seeds.account }, { cluster, publicKey: keys.nats, endsAtMs });
      return { grant: { certificate: cert, natsJwt }, endsAtMs: notAfterMs };
    },
  };
}

/** Reads the seed of an account that somebody else has made. Throws CONFIG_INVALID. */
export function readAgentAccount({ seedFile, account }: { readonly seedFile: string; readonly account?: string }): AgentAccount {
  try {
    return { seed: parseAccountSeed(readPrivateFile(seedFile)), ...(account !== undefined && { account }) };
  } catch (cause) {
    throw new CodedError("CONFIG_INVALID", `nats.agentAccount.seedFile ${seedFile} holds no seed of an account`, {
      cause,
      at: { file: seedFile },
    });
  }
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
