import { zstdCompressSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import type { Manifest } from "../model/index.ts";
import { digestBytes, digestHex } from "./digest.ts";
import { CHUNK_BYTES, decodeManifestSet, encodeManifestSet } from "./manifest-set.ts";

const configMap = (name: string, data: Record<string, string> = {}): Manifest => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, namespace: "default" },
  data,
});

/** Incompressible text, without chance. */
const noise = (length: number) => {
  let text = "";
  for (let i = 0; text.length < length; i++) text += digestHex(digestBytes(String(i)));
  return text.slice(0, length);
};

describe("manifest sets", () => {
  it("do not depend on the order of their objects", () => {
    const [a, b] = [configMap("a"), configMap("b")];
    expect(encodeManifestSet([b, a])).toEqual(encodeManifestSet([a, b]));
  });

  it("decode to what was encoded, with a digest per object", () => {
    const { ref, chunks } = encodeManifestSet([configMap("b", { k: "v" }), configMap("a")]);
    const lines = decodeManifestSet(ref, Buffer.concat(chunks));
    expect(lines.map((line) => line.ref)).toEqual(["default_a__ConfigMap", "default_b__ConfigMap"]);
    expect(lines[1]?.manifest).toEqual(configMap("b", { k: "v" }));
    expect(lines[0]?.digest).not.toBe(lines[1]?.digest);
  });

  it("E217: are cut into chunks that fit into a NATS message", () => {
    const { ref, chunks } = encodeManifestSet([configMap("large", { noise: noise(3 * CHUNK_BYTES) })]);
    expect(ref.chunks).toBeGreaterThan(1);
    expect(Math.max(...chunks.map((chunk) => chunk.length))).toBeLessThanOrEqual(CHUNK_BYTES);
    expect(decodeManifestSet(ref, Buffer.concat(chunks))).toHaveLength(1);
  });

  it("E226: one flipped bit anywhere is BLOB_CORRUPT", () => {
    const { ref, chunks } = encodeManifestSet([configMap("a")]);
    const whole = Buffer.concat(chunks);
    for (let at = 0; at < whole.length; at++) {
      const flipped = Buffer.from(whole);
      flipped[at] = (flipped[at] ?? 0) ^ 1;
      expect(() => decodeManifestSet(ref, flipped)).toThrow(expect.objectContaining({ code: "BLOB_CORRUPT" }));
    }
  });

  it("a decompression bomb stops at the length that the slice names", () => {
    const bomb = zstdCompressSync(Buffer.alloc(64 * 1024 * 1024));
    const ref = { digest: digestBytes("x"), blob: digestHex(digestBytes(bomb)), chunks: 1, bytes: 100 };
    expect(() => decodeManifestSet(ref, bomb)).toThrow(expect.objectContaining({ code: "BLOB_CORRUPT" }));
  });

  it("bytes that are authentic but no Kubernetes objects are refused", () => {
    const text = '{"kind":"List"}\n';
    const bytes = zstdCompressSync(Buffer.from(text));
    const ref = { digest: digestBytes(text), blob: digestHex(digestBytes(bytes)), chunks: 1, bytes: text.length };
    expect(() => decodeManifestSet(ref, bytes)).toThrow(expect.objectContaining({ code: "BLOB_CORRUPT" }));
  });
});
