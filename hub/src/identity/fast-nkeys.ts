import { createPrivateKey, createPublicKey, sign, verify } from "node:crypto";
import { fromPublic, fromSeed, type KeyPair } from "@nats-io/jwt";

/*
 * Signing and verifying by nkeys in JavaScript takes 15 to 30 ms, in which the hub does nothing else; node:crypto takes a tenth of one. The format of
 * keys stays the library's business.
 */

/** What stands before the 32 bytes of an Ed25519 key in PKCS #8 and in SubjectPublicKeyInfo (RFC 8410). */
const PKCS8 = Buffer.from("302e020100300506032b657004220420", "hex");
const SPKI = Buffer.from("302a300506032b6570032100", "hex");
const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const KEY_BYTES = 32;

const pairs = new Map<string, KeyPair>();

/** The pair of a seed. Throws if it is none. */
export function pairOf(seed: string): KeyPair {
  const known = pairs.get(seed);
  if (known) return known;
  const slow = fromSeed(new TextEncoder().encode(seed)) as KeyPair & { getRawSeed(): Uint8Array };
  const key = createPrivateKey({ key: Buffer.concat([PKCS8, slow.getRawSeed()]), format: "der", type: "pkcs8" });
  const publicKey = slow.getPublicKey();
  const pair = Object.create(slow, {
    getPublicKey: { value: () => publicKey },
    sign: { value: (bytes: Uint8Array) => new Uint8Array(sign(null, bytes, key)) },
  }) as KeyPair;
  pairs.set(seed, pair);
  return pair;
}

/** Whether the holder of a user's key has signed this. */
export function isSignedByNatsKey(publicKey: string, signed: Uint8Array, signature: Uint8Array): boolean {
  try {
    // Throws where its check sum is wrong.
    fromPublic(publicKey);
    const key = Buffer.concat([SPKI, rawPublicKey(publicKey)]);
    return verify(null, signed, createPublicKey({ key, format: "der", type: "spki" }), signature);
  } catch {
    return false;
  }
}

/** Base32 (RFC 4648, section 6): a byte for its kind, the key, two for the check sum. */
function rawPublicKey(text: string): Buffer {
  const bytes: number[] = [];
  let [bits, value] = [0, 0];
  for (const letter of text) {
    value = ((value << 5) | ALPHABET.indexOf(letter)) & 0xfff;
    bits += 5;
    if (bits < 8) continue;
    bits -= 8;
    bytes.push((value >> bits) & 0xff);
  }
  return Buffer.from(bytes.slice(1, 1 + KEY_BYTES));
}
