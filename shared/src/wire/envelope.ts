import { createHash, createPublicKey, type KeyObject, sign, verify } from "node:crypto";
import { CodedError } from "../errors/index.ts";

/** The type that is signed together with the bytes, so that no signature serves for two purposes. */
export const SLICE_PAYLOAD_TYPE = "application/vnd.muster.slice.v1+json";

/** The same, compressed with zstd: a slice that is too long for a message of NATS as it is. */
export const COMPRESSED_SLICE_PAYLOAD_TYPE = "application/vnd.muster.slice.v1+json+zstd";

/** A signed payload in the form of DSSE (github.com/secure-systems-lab/dsse). */
export interface Envelope {
  readonly payloadType: string;
  /** The signed bytes, base64. */
  readonly payload: string;
  readonly signatures: readonly { readonly keyid: string; readonly sig: string }[];
}

/** DSSE's pre-authentication encoding: what is signed covers the type, both lengths and the bytes. */
export function preAuthEncoding(payloadType: string, payload: Uint8Array): Buffer {
  const head = `DSSEv1 ${Buffer.byteLength(payloadType)} ${payloadType} ${payload.length} `;
  return Buffer.concat([Buffer.from(head), payload]);
}

/** Ids by key object: a hub signs thousands of slices a second with one key. */
const ids = new WeakMap<KeyObject, string>();

/** The id of an ed25519 key, public or private: the first 16 hex digits of the SHA-256 of the public key's SPKI bytes. */
export function keyId(key: KeyObject): string {
  let id = ids.get(key);
  if (id === undefined) {
    const publicKey = key.type === "private" ? createPublicKey(key) : key;
    id = createHash("sha256")
      .update(publicKey.export({ type: "spki", format: "der" }))
      .digest("hex")
      .slice(0, 16);
    ids.set(key, id);
  }
  return id;
}

/** Signs bytes with an ed25519 private key. */
export function sealEnvelope(payloadType: string, payload: Uint8Array, privateKey: KeyObject): Envelope {
  return {
    payloadType,
    payload: Buffer.from(payload).toString("base64"),
    signatures: [{ keyid: keyId(privateKey), sig: sign(null, preAuthEncoding(payloadType, payload), privateKey).toString("base64") }],
  };
}

/** Bytes that a pinned key has signed, and as what. */
export interface OpenedEnvelope {
  readonly payloadType: string;
  readonly payload: Buffer;
}

/**
 * Opens an envelope: gives back the signed bytes if a pinned key signed them.
 * Throws SLICE_MALFORMED for what is no envelope, SLICE_SIGNATURE if no pinned key has signed these bytes as one of these types.
 */
export function openEnvelope(text: string, payloadTypes: readonly string[], pinned: readonly KeyObject[]): OpenedEnvelope {
  const envelope = parseEnvelope(text);
  const { payloadType } = envelope;
  if (!payloadTypes.includes(payloadType)) {
    throw new CodedError("SLICE_SIGNATURE", `The message is of the type ${JSON.stringify(payloadType.slice(0, 80))}, not a slice`);
  }
  const payload = Buffer.from(envelope.payload, "base64");
  const signed = preAuthEncoding(payloadType, payload);
  for (const key of pinned) {
    const id = keyId(key);
    for (const signature of envelope.signatures) {
      if (signature.keyid === id && verify(null, signed, key, Buffer.from(signature.sig, "base64"))) return { payloadType, payload };
    }
  }
  const named = envelope.signatures.map((signature) => signature.keyid.slice(0, 16)).join(", ") || "nobody";
  throw new CodedError(
    "SLICE_SIGNATURE",
    `No pinned key has signed the slice (signed by ${named}; pinned: ${pinned.map(keyId).join(", ")})`,
  );
}

function parseEnvelope(text: string): Envelope {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new CodedError("SLICE_MALFORMED", "The slice message is not JSON", { cause });
  }
  const envelope = value as Partial<Envelope> | null;
  const sound =
    typeof envelope === "object" &&
    envelope !== null &&
    typeof envelope.payloadType === "string" &&
    typeof envelope.payload === "string" &&
    Array.isArray(envelope.signatures) &&
    envelope.signatures.every((entry) => typeof entry?.keyid === "string" && typeof entry?.sig === "string");
  if (!sound) throw new CodedError("SLICE_MALFORMED", "The slice message is no signed envelope");
  return envelope as Envelope;
}
