import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { type AgentPublicKeys, enrolmentStatement } from "@muster/shared/wire";
import { createNatsUser, natsUserOf, signAsNatsUser } from "../pull/nats-user.ts";

/** The private keys of an agent. They are made in its cluster and never leave it. */
export interface AgentKeys {
  /** Of the client certificate: ECDSA P-256, PKCS #8 in PEM. */
  readonly tls: string;
  /** Seed of the NATS user. */
  readonly nats: string;
  /** To which slices are encrypted: X25519, PKCS #8 in PEM. */
  readonly encryption: string;
}

/** Bytes of an X25519 public key at the end of its SubjectPublicKeyInfo (RFC 8410). */
const X25519_BYTES = 32;

export function createAgentKeys(): AgentKeys {
  const pem = (key: KeyObject) => key.export({ type: "pkcs8", format: "pem" }).toString();
  return {
    tls: pem(generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey),
    nats: createNatsUser().seed,
    encryption: pem(generateKeyPairSync("x25519").privateKey),
  };
}

/** Throws if one of them is no key. */
export function publicKeysOf(keys: AgentKeys): AgentPublicKeys {
  const spki = (pem: string) => createPublicKey(createPrivateKey(pem)).export({ type: "spki", format: "der" });
  return { tls: spki(keys.tls), nats: natsUserOf(keys.nats).publicKey, encryption: spki(keys.encryption).subarray(-X25519_BYTES) };
}

/** The name of the identity: SHA-256 of the public TLS key, in hex, as the hub shows it. */
export function fingerprintOf(keys: AgentKeys): string {
  return createHash("sha256").update(publicKeysOf(keys).tls).digest("hex");
}

/** What the agent asks the hub with, and the proof that it has the key that it shows. */
export function questionOf(
  keys: AgentKeys,
  context: { readonly trustDomain: string; readonly cluster: string; readonly token: string },
): {
  readonly cluster: string;
  readonly token: string;
  readonly keys: AgentPublicKeys;
  readonly proof: Uint8Array;
  readonly natsProof: Uint8Array;
} {
  const shown = publicKeysOf(keys);
  const statement = enrolmentStatement({ ...context, keys: shown });
  const proof = sign("sha256", statement, { key: createPrivateKey(keys.tls), dsaEncoding: "ieee-p1363" });
  return { cluster: context.cluster, token: context.token, keys: shown, proof, natsProof: signAsNatsUser(keys.nats, statement) };
}
