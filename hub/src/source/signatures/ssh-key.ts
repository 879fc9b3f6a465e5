import { createHash, createPublicKey, type KeyObject, verify } from "node:crypto";
import { SshReader } from "./ssh-wire.ts";

/** A public key of SSH, as far as commits are signed with it. */
export interface SshKey {
  /** `SHA256:…`, as ssh-keygen shows it. */
  readonly fingerprint: string;
  /** Whether a signature (RFC 4253, section 6.6; PROTOCOL.u2f for keys in hardware) is by this key, over these bytes. Throws where it cannot be read. */
  verifies(signature: Uint8Array, signed: Uint8Array): boolean;
}

/** RSA keys below are too weak for anything (NIST SP 800-131A). */
const MIN_RSA_BITS = 2_048;
const CURVES: Readonly<Record<string, { readonly jwk: string; readonly hash: string; readonly bytes: number }>> = {
  nistp256: { jwk: "P-256", hash: "sha256", bytes: 32 },
  nistp384: { jwk: "P-384", hash: "sha384", bytes: 48 },
  nistp521: { jwk: "P-521", hash: "sha512", bytes: 66 },
};
const RSA_HASHES: Readonly<Record<string, string>> = { "rsa-sha2-256": "sha256", "rsa-sha2-512": "sha512" };
/** Somebody has touched the key (PROTOCOL.u2f). */
const USER_PRESENT = 0x01;

const base64url = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64url");

/** Reads a key as it stands in a signature or, in base64, in a file. Throws where it is none, of another kind, or too weak. */
export function parseSshKey(blob: Uint8Array): SshKey {
  const reader = new SshReader(blob);
  const type = reader.text();
  const fingerprint = `SHA256:${createHash("sha256").update(blob).digest("base64").replace(/=+$/, "")}`;
  const checked = (check: SignatureCheck): SshKey => {
    reader.end();
    return { fingerprint, verifies: (signature, signed) => check(new SshReader(signature), signed) };
  };
  if (type === "ssh-ed25519") return checked(plain(type, ed25519(reader)));
  if (type === "ssh-rsa") return checked(rsa(reader));
  if (type.startsWith("ecdsa-sha2-")) return checked(ecdsa(type, reader));
  if (type === "sk-ssh-ed25519@openssh.com") {
    const key = ed25519(reader);
    return checked(inHardware(type, reader.string(), (signature, signed) => verify(null, signed, key, signature)));
  }
  if (type === "sk-ecdsa-sha2-nistp256@openssh.com") {
    const { key, curve } = ecKey(reader);
    return checked(inHardware(type, reader.string(), (signature, signed) => ecVerify(key, curve, signature, signed)));
  }
  throw new RangeError(`keys of the type ${type.slice(0, 60)} are not taken`);
}

type SignatureCheck = (signature: SshReader, signed: Uint8Array) => boolean;
type Curve = (typeof CURVES)[string];

/** The signature must be of the key's own algorithm: nothing is chosen by what is to be verified. */
function readSignature(reader: SshReader, type: string): Buffer {
  if (reader.text() !== type) throw new RangeError("its signature is of another algorithm than its key");
  return reader.string();
}

function plain(type: string, key: KeyObject): SignatureCheck {
  return (reader, signed) => {
    const signature = readSignature(reader, type);
    reader.end();
    return verify(null, signed, key, signature);
  };
}

function ed25519(reader: SshReader): KeyObject {
  return createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: base64url(reader.string()) }, format: "jwk" });
}

function rsa(reader: SshReader): SignatureCheck {
  const [e, n] = [reader.mpint(), reader.mpint()];
  const key = createPublicKey({ key: { kty: "RSA", e: base64url(e), n: base64url(n) }, format: "jwk" });
  if ((key.asymmetricKeyDetails?.modulusLength ?? 0) < MIN_RSA_BITS) throw new RangeError(`RSA keys need ${MIN_RSA_BITS} bits`);
  return (signature, signed) => {
    // Never `ssh-rsa`, which is SHA-1.
    const hash = RSA_HASHES[signature.text()];
    if (!hash) throw new RangeError("its signature is of another algorithm than its key");
    const bytes = signature.string();
    signature.end();
    // Some leave out its leading zeros, which OpenSSH puts back.
    const missing = (key.asymmetricKeyDetails?.modulusLength ?? 0) / 8 - bytes.length;
    return verify(hash, signed, key, missing > 0 ? Buffer.concat([Buffer.alloc(missing), bytes]) : bytes);
  };
}

function ecdsa(type: string, reader: SshReader): SignatureCheck {
  const { key, curve, name } = ecKey(reader);
  if (type !== `ecdsa-sha2-${name}`) throw new RangeError("its key is on another curve than its type says");
  return (signature, signed) => {
    const bytes = readSignature(signature, type);
    signature.end();
    return ecVerify(key, curve, bytes, signed);
  };
}

function ecKey(reader: SshReader): { readonly key: KeyObject; readonly curve: Curve; readonly name: string } {
  const name = reader.text();
  const point = reader.string();
  const curve = Object.hasOwn(CURVES, name) ? CURVES[name] : undefined;
  // 4: both coordinates, and not compressed (SEC 1, section 2.3.3).
  if (!curve || point.length !== 2 * curve.bytes + 1 || point[0] !== 4) throw new RangeError("its key is no point of a known curve");
  const [x, y] = [point.subarray(1, curve.bytes + 1), point.subarray(curve.bytes + 1)];
  const key = createPublicKey({ key: { kty: "EC", crv: curve.jwk, x: base64url(x), y: base64url(y) }, format: "jwk" });
  return { key, curve, name };
}

function ecVerify(key: KeyObject, { hash, bytes }: Curve, signature: Uint8Array, signed: Uint8Array): boolean {
  const reader = new SshReader(signature);
  const [r, s] = [reader.mpint(), reader.mpint()];
  reader.end();
  if (r.length > bytes || s.length > bytes) return false;
  const padded = (part: Buffer) => Buffer.concat([Buffer.alloc(bytes - part.length), part]);
  return verify(hash, signed, { key, dsaEncoding: "ieee-p1363" }, Buffer.concat([padded(r), padded(s)]));
}

/** What a key in hardware signs is not the bytes, but a digest of them with what it was told and did. */
function inHardware(type: string, application: Uint8Array, check: (signature: Uint8Array, signed: Uint8Array) => boolean): SignatureCheck {
  const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest();
  return (reader, signed) => {
    const signature = readSignature(reader, type);
    const state = reader.bytes(5);
    reader.end();
    if ((state.readUInt8() & USER_PRESENT) === 0) return false;
    return check(signature, Buffer.concat([sha256(application), state, sha256(signed)]));
  };
}
