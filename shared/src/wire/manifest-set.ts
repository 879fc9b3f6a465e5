import { zstdDecompressSync } from "node:zlib";
import { CodedError } from "../errors/index.ts";
import { formatObjectRef, isManifest, type Manifest, type ManifestSetRef, type ObjectRefText, objectRefOf } from "../model/index.ts";
import { canonicalJson } from "./canonical.ts";
import { compress } from "./compress.ts";
import { digestBytes, digestHex } from "./digest.ts";
import { LineWriter, type ManifestLine } from "./manifest-line.ts";

/** Chunk size of a blob in bytes; half of NATS' default max_payload, so that headers always fit. */
export const CHUNK_BYTES = 512 * 1024;

/** The largest manifest set that an agent decompresses, in bytes. A bomb stops here. */
export const MAX_MANIFEST_SET_BYTES = 256 * 1024 * 1024;

const NEWLINE = 0x0a;

/** A manifest set: the rendered objects of one target as canonical bytes. */
export interface EncodedManifestSet {
  readonly ref: ManifestSetRef;
  /** The compressed bytes, cut into chunks. */
  readonly chunks: readonly Uint8Array[];
  /** Sorted refs of all objects. */
  readonly objects: readonly ObjectRefText[];
}

/**
 * Canonical bytes of a manifest set: one object per line as canonical JSON, sorted by object ref. Lines let a reader
 * compare two sets object by object without parsing what is equal.
 */
export function manifestSetText(manifests: readonly Manifest[]): string {
  const lines = manifests.map((manifest) => ({ ref: formatObjectRef(objectRefOf(manifest)), line: canonicalJson(manifest) }));
  lines.sort((a, b) => (a.ref < b.ref ? -1 : a.ref > b.ref ? 1 : 0));
  return lines.map(({ line }) => `${line}\n`).join("");
}

/** Encodes manifests for publishing. The same manifests give the same digest; the blob's name also covers the compression. */
export function encodeManifestSet(manifests: readonly Manifest[]): EncodedManifestSet {
  const text = manifestSetText(manifests);
  const bytes = Buffer.from(text);
  const compressed = compress(bytes);
  const chunks: Uint8Array[] = [];
  for (let at = 0; at < compressed.length; at += CHUNK_BYTES) chunks.push(compressed.subarray(at, at + CHUNK_BYTES));
  return {
    ref: { digest: digestBytes(bytes), blob: digestHex(digestBytes(compressed)), chunks: chunks.length, bytes: bytes.length },
    chunks,
    objects: manifests.map((manifest) => formatObjectRef(objectRefOf(manifest))).sort(),
  };
}

/**
 * Joins, verifies and decodes a blob. Throws BLOB_CORRUPT if the bytes are not what the signed slice names, in any way:
 * another digest, another length, or content that is not a manifest set.
 */
export function decodeManifestSet(ref: ManifestSetRef, compressed: Uint8Array): ManifestLine[] {
  const corrupt = (why: string, cause?: unknown) =>
    new CodedError("BLOB_CORRUPT", `Manifest set ${ref.digest.slice(0, 19)} is not what the slice names: ${why}`, { cause });
  if (digestHex(digestBytes(compressed)) !== ref.blob) throw corrupt("its compressed bytes have another digest");
  if (ref.bytes > MAX_MANIFEST_SET_BYTES) throw corrupt(`${ref.bytes} bytes are more than ${MAX_MANIFEST_SET_BYTES}`);
  let bytes: Buffer;
  try {
    bytes = zstdDecompressSync(compressed, { maxOutputLength: Math.max(ref.bytes, 1) });
  } catch (error) {
    throw corrupt("it does not decompress", error);
  }
  if (bytes.length !== ref.bytes || digestBytes(bytes) !== ref.digest) throw corrupt("its bytes have another digest");
  const lines: ManifestLine[] = [];
  const writer = new LineWriter();
  for (let at = 0; at < bytes.length; ) {
    const newline = bytes.indexOf(NEWLINE, at);
    const end = newline < 0 ? bytes.length : newline;
    if (end > at) {
      const line = bytes.subarray(at, end);
      const manifest: unknown = JSON.parse(line.toString("utf8"));
      if (!isManifest(manifest)) throw corrupt("it holds something that is no Kubernetes object");
      lines.push(writer.add(manifest, line));
    }
    at = end + 1;
  }
  writer.end();
  return lines;
}
