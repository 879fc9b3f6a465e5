import { agentPermissions, BLOB_STREAM, BLOB_SUBJECTS, HUB_INBOX_PREFIX, SLICE_STREAM, SLICE_SUBJECTS } from "@muster/shared/wire";
import {
  type Account,
  createAccount,
  createOperator,
  createUser,
  type Export,
  encodeAccount,
  encodeOperator,
  encodeUser,
  fmtCreds,
  type Import,
  type KeyPair,
} from "@nats-io/jwt";
import { pairOf } from "./fast-nkeys.ts";

/** Seeds of the NATS operator mode: whoever has them can let anybody in. */
export interface NatsSeeds extends NatsFirstSeeds {
  /** The hub's account. It alone has JetStream (ADR 0007). */
  readonly hubAccount: string;
}

/** The account that agents are users of. */
export interface AgentAccount {
  /** Of the account itself, or of one of its signing keys. */
  readonly seed: string;
  /** Public key of the account, if the seed is a signing key's. */
  readonly account?: string;
}

/** The seeds that are kept in one file. */
export interface NatsFirstSeeds {
  readonly operator: string;
  /** The agents' account. Before ADR 0007 it was the hub's too: what was issued then is still good, for what agents may do. */
  readonly account: string;
  readonly system: string;
}

const seedOf = (pair: KeyPair): string => new TextDecoder().decode(pair.getSeed());

export function createNatsSeeds(): NatsFirstSeeds {
  return { operator: seedOf(createOperator()), account: seedOf(createAccount()), system: seedOf(createAccount()) };
}

/** Reads seeds that were kept as JSON. Throws if one is missing or none. */
export function parseNatsSeeds(text: string): NatsFirstSeeds {
  const { operator, account, system } = JSON.parse(text) as Partial<NatsFirstSeeds>;
  if (!operator || !account || !system) throw new RangeError("not the seeds of an operator and two accounts");
  pairOf(operator);
  return { operator, account: parseAccountSeed(account), system: parseAccountSeed(system) };
}

export function createAccountSeed(): string {
  return seedOf(createAccount());
}

/** Reads the seed of an account. Throws if it is none. */
export function parseAccountSeed(text: string): string {
  const seed = text.trim();
  if (!pairOf(seed).getPublicKey().startsWith("A")) throw new RangeError("not the seed of an account");
  return seed;
}

const DIRECT_GET_SLICE = `$JS.API.DIRECT.GET.${SLICE_STREAM}.${SLICE_SUBJECTS}`;
const DIRECT_GET_BLOB = `$JS.API.DIRECT.GET.${BLOB_STREAM}.${BLOB_SUBJECTS}`;
/** What asking for a blob is called on its way from the agents' account into the hub's. */
const BLOB_SERVICE = "muster.v1.get.blob.*.*";

/** All that the agents' account gets from the hub's. Each user's permissions narrow it down to one cluster. */
const SHARED = [
  { name: "last-slice", type: "service", subject: DIRECT_GET_SLICE, local: DIRECT_GET_SLICE },
  { name: "blob", type: "service", subject: BLOB_SERVICE, local: DIRECT_GET_BLOB },
  { name: "new-slice", type: "stream", subject: SLICE_SUBJECTS, local: SLICE_SUBJECTS },
] as const;

/**
 * A direct get of a wildcard gives the last message that matches, so an agent could read blobs whose names it does not know. The
 * server lets anybody publish to a subject with wildcards in it, and permissions and imports count them as any other token. A
 * mapping does not: it passes over a subject with `>`, which then reaches nobody, and this one takes every `*` out of the name.
 */
const BLOB_MAPPING = {
  [BLOB_SERVICE]: [{ subject: `$JS.API.DIRECT.GET.${BLOB_STREAM}.muster.v1.blob.{{split(1,*)}}.$2`, weight: 100 }],
};

/** Where nats-server takes new claims of accounts, in the system account. */
export const CLAIMS_SUBJECT = "$SYS.REQ.CLAIMS.UPDATE";
export const CLAIMS_INBOX_PREFIX = "_INBOX_muster-claims";

/** Limits of an account; one whose limits do not name JetStream has none. */
const LIMITS = { conn: -1, subs: -1, data: -1, payload: -1, imports: -1, exports: -1, wildcards: true, leaf: 0 };
const JETSTREAM_LIMITS = { mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 };

/** NATS users that must not come in any more: public key → second since 1970 up to which what was issued to it is void. */
export type Revocations = Readonly<Record<string, number>>;

/** The claims of the two accounts, as nats-server is to have them now. */
export async function accountClaims(
  seeds: NatsSeeds,
  revocations: Revocations = {},
): Promise<{ readonly hub: string; readonly agents: string }> {
  const operator = pairOf(seeds.operator);
  const [hub, agents] = [pairOf(seeds.hubAccount), pairOf(seeds.account)];
  const exports = SHARED.map(({ name, type, subject }): Export => ({ name, type, subject }));
  const imports = SHARED.map(({ name, type, subject, local }): Import => {
    return { name, type, subject, account: hub.getPublicKey(), ...(local !== subject && { local_subject: local }) };
  });
  const encode = (name: string, account: KeyPair, claims: object) =>
    encodeAccount(name, account, claims satisfies Partial<Account>, { signer: operator });
  return {
    hub: await encode("MUSTER", hub, { limits: { ...LIMITS, ...JETSTREAM_LIMITS }, exports, mappings: BLOB_MAPPING }),
    agents: await encode("MUSTER_AGENTS", agents, { limits: LIMITS, imports, revocations: { ...revocations } }),
  };
}

/**
 * Configuration text for nats-server: our operator, and its accounts preloaded. The server keeps them in a folder, so that the hub can
 * replace them: that is how a user is revoked.
 *
 * @param jwtDir the folder; relative ones are below that in which nats-server runs
 */
export async function natsServerConfig(seeds: NatsSeeds, jwtDir: string, revocations: Revocations = {}): Promise<string> {
  const operator = pairOf(seeds.operator);
  const system = pairOf(seeds.system);
  const { hub, agents } = await accountClaims(seeds, revocations);
  const publicKey = (seed: string) => pairOf(seed).getPublicKey();
  return [
    "# Made by muster-hub nats-config. Holds no secret: the JWTs are public, the seeds stay with the hub.",
    `operator: ${await encodeOperator("muster", operator, { system_account: system.getPublicKey() })}`,
    `system_account: ${system.getPublicKey()}`,
    `resolver: { type: full, dir: ${JSON.stringify(jwtDir)}, allow_delete: false, interval: "2m", timeout: "2s" }`,
    "resolver_preload: {",
    `  ${publicKey(seeds.hubAccount)}: ${hub}`,
    `  ${publicKey(seeds.account)}: ${agents}`,
    `  ${system.getPublicKey()}: ${await encodeAccount("SYS", system, { limits: LIMITS }, { signer: operator })}`,
    "}",
    "",
  ].join("\n");
}

/** Credentials with which the hub replaces the claims of accounts, and does nothing else. */
export async function systemCreds(seeds: NatsSeeds): Promise<string> {
  return creds(seeds.system, "muster-hub-claims", { publish: [CLAIMS_SUBJECT], subscribe: [`${CLAIMS_INBOX_PREFIX}.>`] });
}

/** Credentials of the hub: what it does to its two streams, and nothing else. */
export async function hubCreds(seeds: NatsSeeds): Promise<string> {
  const streams = [SLICE_STREAM, BLOB_STREAM];
  return creds(seeds.hubAccount, "muster-hub", {
    publish: [
      SLICE_SUBJECTS,
      BLOB_SUBJECTS,
      ...streams.flatMap((stream) => [
        `$JS.API.STREAM.INFO.${stream}`,
        `$JS.API.STREAM.CREATE.${stream}`,
        `$JS.API.STREAM.MSG.GET.${stream}`,
      ]),
      `$JS.API.STREAM.PURGE.${BLOB_STREAM}`,
    ],
    // Its own replies, and its own slices as agents see them.
    subscribe: [`${HUB_INBOX_PREFIX}.>`, SLICE_SUBJECTS],
  });
}

/** The user JWT of an agent whose nkey is its own: its own slice, blobs by name, its own inbox. */
export async function agentJwt(
  issuer: AgentAccount,
  options: { readonly cluster: string; readonly publicKey: string; readonly endsAtMs: number },
): Promise<string> {
  const { cluster, publicKey, endsAtMs } = options;
  return userJwt(issuer, publicKey, `muster-agent-${cluster}`, agentPermissions(cluster), endsAtMs);
}

async function creds(account: string, name: string, permissions: { publish: string[]; subscribe: string[] }): Promise<string> {
  const user = createUser();
  const jwt = await userJwt({ seed: account }, user, name, permissions);
  return new TextDecoder().decode(fmtCreds(jwt, user));
}

async function userJwt(
  { seed, account }: AgentAccount,
  user: KeyPair | string,
  name: string,
  permissions: { publish: string[]; subscribe: string[] },
  endsAtMs?: number,
): Promise<string> {
  return encodeUser(
    name,
    user,
    pairOf(seed),
    {
      ...(account !== undefined && { issuer_account: account }),
      pub: { allow: permissions.publish, deny: [] },
      sub: { allow: permissions.subscribe, deny: [] },
      bearer_token: false,
      allowed_connection_types: ["STANDARD"],
    },
    endsAtMs === undefined ? {} : { exp: Math.floor(endsAtMs / 1_000) },
  );
}
