import { hash } from "node:crypto";
import type { Digest, JsonValue, ObjectRefText } from "../model/index.ts";
import { canonicalJson } from "./canonical.ts";

/** SHA-256 of bytes (or of a text's UTF-8), as `sha256:<hex>`. */
export function digestBytes(bytes: Uint8Array | string): Digest {
  return `sha256:${hash("sha256", bytes, "hex")}`;
}

/** Digest of the canonical JSON of a value. */
export function digestJson(value: JsonValue | object): Digest {
  return digestBytes(canonicalJson(value));
}

/** The hex part of a digest. */
export function digestHex(digest: Digest): string {
  return digest.slice("sha256:".length);
}

/**
 * The id of a set of deletions that a person can approve: it depends on the objects only, so one approval serves every
 * cluster that would delete just these, and none that would delete others.
 */
export function deletionApprovalId(refs: readonly ObjectRefText[]): string {
  return `del-${digestHex(digestBytes([...refs].sort().join("\n"))).slice(0, 16)}`;
}
