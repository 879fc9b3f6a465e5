import { zstdCompressSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import type { Manifest } from "../model/index.ts";
import { digestBytes, digestHex, digestJson } from "./digest.ts";
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

  it("give each object's manifest on demand, in any order, however many blocks they fill", () => {
    const manifests = Array.from({ length: 40 }, (_, index) =>
      configMap(`n${String(index).padStart(2, "0")}`, { noise: noise(5_000 + index), ü: "€" }),
    );
    const { ref, chunks } = encodeManifestSet(manifests);
    const lines = decodeManifestSet(ref, Buffer.concat(chunks));
    for (const at of [39, 0, 20, 19, 0, 38]) expect(lines[at]?.manifest).toEqual(manifests[at]);
    expect(lines.map((line) => line.digest)).toEqual(manifests.map((manifest) => digestJson(manifest)));
  });

  it("have at hand what an agent looks at in every pass: identity, version, and annotations that are for it", () => {
    const annotations = { "muster.dev/prune": "disabled", "helm.sh/resource-policy": "keep", "example.com/note": "x".repeat(1_000) };
    const { ref, chunks } = encodeManifestSet([{ ...configMap("a"), metadata: { name: "a", namespace: "web", annotations } }]);
    const [line] = decodeManifestSet(ref, Buffer.concat(chunks));
    expect(line?.head).toEqual({
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: "a", namespace: "web", annotations: { "muster.dev/prune": "disabled", "helm.sh/resource-policy": "keep" } },
    });
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
