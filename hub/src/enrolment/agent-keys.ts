import { createHash, createPublicKey, type KeyObject, verify } from "node:crypto";
import { type AgentPublicKeys, enrolmentStatement } from "@muster/shared/wire";
import { isSignedByNatsKey } from "../identity/fast-nkeys.ts";

/** A user's public key in NATS: a `U` and 55 letters and digits of base32. */
const NATS_USER_KEY = /^U[A-Z2-7]{55}$/;
/** Raw bytes of an X25519 public key. */
const ENCRYPTION_KEY_BYTES = 32;
/** A P-256 key as SubjectPublicKeyInfo has 91 bytes. Anything much longer is none. */
const MAX_TLS_KEY_BYTES = 200;

/** An agent's public keys, looked at: each is what it is said to be. */
export interface CheckedKeys extends AgentPublicKeys {
  /** SHA-256 of the TLS key as SubjectPublicKeyInfo, in hex: the name of the identity. */
  readonly fingerprint: string;
}

/** The identity's name: what a certificate's public key is compared with. */
export function fingerprintOf(spki: Uint8Array): string {
  return createHash("sha256").update(spki).digest("hex");
}

/** undefined if one of the keys is none, or of another kind. */
export function checkKeys(keys: AgentPublicKeys): CheckedKeys | undefined {
  if (!NATS_USER_KEY.test(keys.nats) || keys.encryption.length !== ENCRYPTION_KEY_BYTES || !tlsKey(keys.tls)) return undefined;
  return { ...keys, fingerprint: fingerprintOf(keys.tls) };
}

/** Whether the holder of both signing keys has asked for just this: these keys, this cluster, this hub, with this token. */
export function isProven(
  keys: AgentPublicKeys,
  context: { readonly trustDomain: string; readonly cluster: string; readonly token: string },
  proofs: { readonly tls: Uint8Array; readonly nats: Uint8Array },
): boolean {
  const key = tlsKey(keys.tls);
  const statement = enrolmentStatement({ ...context, keys });
  return (
    key !== undefined &&
    verify("sha256", statement, { key, dsaEncoding: "ieee-p1363" }, proofs.tls) &&
    isSignedByNatsKey(keys.nats, statement, proofs.nats)
  );
}

function tlsKey(spki: Uint8Array): KeyObject | undefined {
  if (spki.length > MAX_TLS_KEY_BYTES) return undefined;
  try {
    const key = createPublicKey({ key: Buffer.from(spki), format: "der", type: "spki" });
    const isP256 = key.asymmetricKeyType === "ec" && key.asymmetricKeyDetails?.namedCurve === "prime256v1";
    // The same key in another form would have another fingerprint, and so get around a revocation.
    return isP256 && Buffer.from(spki).equals(key.export({ format: "der", type: "spki" })) ? key : undefined;
  } catch {
    return undefined;
  }
}
