import { agentPermissions, BLOB_STREAM, BLOB_SUBJECTS, HUB_INBOX_PREFIX, SLICE_STREAM, SLICE_SUBJECTS } from "@muster/shared/wire";
import {
  createAccount,
  createOperator,
  createUser,
  encodeAccount,
  encodeOperator,
  encodeUser,
  fmtCreds,
  fromSeed,
  type KeyPair,
} from "@nats-io/jwt";

/** Seeds of the NATS operator mode: whoever has them can let anybody in. */
export interface NatsSeeds {
  readonly operator: string;
  readonly account: string;
  readonly system: string;
}

/** How long an agent's NATS credentials last, in days. */
const AGENT_CREDENTIALS_DAYS = 365;

export function createNatsSeeds(): NatsSeeds {
  const seed = (pair: KeyPair) => new TextDecoder().decode(pair.getSeed());
  return { operator: seed(createOperator()), account: seed(createAccount()), system: seed(createAccount()) };
}

/** Reads seeds that were kept as JSON. Throws if one is missing or none. */
export function parseNatsSeeds(text: string): NatsSeeds {
  const { operator, account, system } = JSON.parse(text) as Partial<NatsSeeds>;
  if (!operator || !account || !system) throw new RangeError("not the seeds of an operator and two accounts");
  for (const seed of [operator, account, system]) pairOf(seed);
  return { operator, account, system };
}

const pairOf = (seed: string): KeyPair => fromSeed(new TextEncoder().encode(seed));

/** Configuration text for nats-server: our operator, and its two accounts preloaded, so that no resolver must be run. */
export async function natsServerConfig(seeds: NatsSeeds): Promise<string> {
  const operator = pairOf(seeds.operator);
  const account = pairOf(seeds.account);
  const system = pairOf(seeds.system);
  const unlimited = { mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 };
  const accountJwt = await encodeAccount(
    "MUSTER",
    account,
    { limits: { conn: -1, subs: -1, data: -1, payload: -1, imports: -1, exports: -1, leaf: 0, ...unlimited } },
    { signer: operator },
  );
  const systemJwt = await encodeAccount(
    "SYS",
    system,
    { limits: { conn: -1, subs: -1, data: -1, payload: -1, imports: -1, exports: -1, leaf: 0 } },
    { signer: operator },
  );
  const operatorJwt = await encodeOperator("muster", operator, { system_account: system.getPublicKey() });
  return [
    "# Made by muster-hub nats-config. Holds no secret: the JWTs are public, the seeds stay with the hub.",
    `operator: ${operatorJwt}`,
    `system_account: ${system.getPublicKey()}`,
    "resolver: MEMORY",
    "resolver_preload: {",
    `  ${account.getPublicKey()}: ${accountJwt}`,
    `  ${system.getPublicKey()}: ${systemJwt}`,
    "}",
    "",
  ].join("\n");
}

/** Credentials of the hub: what it does to its two streams, and nothing else. */
export async function hubCreds(seeds: NatsSeeds): Promise<string> {
  const streams = [SLICE_STREAM, BLOB_STREAM];
  return creds(seeds, "muster-hub", {
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

/** Credentials of one agent: its own slice, blobs by name, its own inbox. */
export async function agentCreds(seeds: NatsSeeds, cluster: string): Promise<string> {
  return creds(seeds, `muster-agent-${cluster}`, agentPermissions(cluster), AGENT_CREDENTIALS_DAYS);
}

async function creds(
  seeds: NatsSeeds,
  name: string,
  permissions: { publish: string[]; subscribe: string[] },
  days?: number,
): Promise<string> {
  const user = createUser();
  const jwt = await encodeUser(
    name,
    user,
    pairOf(seeds.account),
    {
      pub: { allow: permissions.publish, deny: [] },
      sub: { allow: permissions.subscribe, deny: [] },
      bearer_token: false,
      allowed_connection_types: ["STANDARD"],
    },
    days === undefined ? {} : { exp: Math.floor(Date.now() / 1000) + days * 86_400 },
  );
  return new TextDecoder().decode(fmtCreds(jwt, user));
}
