import { createHash } from "node:crypto";
import { parseSshKey, type SshKey } from "./ssh-key.ts";
import { SshReader, sshString } from "./ssh-wire.ts";

/** A signature of ssh-keygen, read and not yet believed (PROTOCOL.sshsig). */
export interface SshSignature {
  /** The key that it says it is by. */
  readonly key: SshKey;
  /** The key's bytes, to compare. */
  readonly keyBlob: Buffer;
  /** What it was made for; Git's is `git`. */
  readonly namespace: string;
  /** Throws where the signature cannot be read. */
  verifies(message: Uint8Array): boolean;
}

const MAGIC = Buffer.from("SSHSIG");
const HASHES: ReadonlySet<string> = new Set(["sha256", "sha512"]);
const ARMOR = /^-----BEGIN SSH SIGNATURE-----\n([A-Za-z0-9+/=\n]+)\n-----END SSH SIGNATURE-----\n?$/;

/** Throws where the text is no signature. */
export function parseSshSignature(armored: string): SshSignature {
  const base64 = ARMOR.exec(armored.replaceAll("\r\n", "\n"))?.[1];
  if (base64 === undefined) throw new RangeError("it is no signature of SSH");
  const reader = new SshReader(Buffer.from(base64, "base64"));
  if (!reader.bytes(MAGIC.length).equals(MAGIC) || reader.uint32() !== 1) throw new RangeError("it is no signature of SSH in version 1");
  const keyBlob = reader.string();
  const namespace = reader.text();
  const reserved = reader.string();
  const hash = reader.text();
  const signature = reader.string();
  reader.end();
  if (!HASHES.has(hash)) throw new RangeError("it is made with a hash that is not taken");
  const key = parseSshKey(keyBlob);
  return {
    key,
    keyBlob,
    namespace,
    verifies(message) {
      const digest = createHash(hash).update(message).digest();
      const parts = [namespace, reserved, hash, digest].map(sshString);
      return key.verifies(signature, Buffer.concat([MAGIC, ...parts]));
    },
  };
}
