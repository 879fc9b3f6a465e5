import { canonicalJson } from "./canonical.ts";
import { digestBytes } from "./digest.ts";

/** What an agent shows of itself; the private halves never leave its cluster. */
export interface AgentPublicKeys {
  /** Of its client certificate: ECDSA P-256, as SubjectPublicKeyInfo (DER). */
  readonly tls: Uint8Array;
  /** Of its NATS user: a public nkey (`U…`). */
  readonly nats: string;
  /** To which its slices are encrypted: X25519, 32 raw bytes. */
  readonly encryption: Uint8Array;
}

/**
 * The bytes that an agent signs with its TLS key to show that it has it: everything that it asks for, so that neither keys nor cluster can be
 * exchanged on the way, and nothing that the key signs elsewhere (TLS, RFC 8446, section 4.4.3, begins with 64 spaces).
 */
export function enrolmentStatement(options: {
  readonly trustDomain: string;
  readonly cluster: string;
  /** Empty: none. Its digest is signed, so that a log of statements gives no token away. */
  readonly token: string;
  readonly keys: AgentPublicKeys;
}): Uint8Array {
  const { trustDomain, cluster, token, keys } = options;
  const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64");
  const statement = {
    statement: "muster.dev/enrolment/v1",
    trustDomain,
    cluster,
    token: digestBytes(token),
    keys: { tls: base64(keys.tls), nats: keys.nats, encryption: base64(keys.encryption) },
  };
  return Buffer.from(canonicalJson(statement));
}
