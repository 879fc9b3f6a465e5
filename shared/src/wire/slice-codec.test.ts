import { generateKeyPairSync } from "node:crypto";
import { zstdCompressSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DEFAULT_DELETION_BUDGET, type Slice, type SliceBundle } from "../model/index.ts";
import { digestBytes, digestJson } from "./digest.ts";
import { COMPRESSED_SLICE_PAYLOAD_TYPE, sealEnvelope } from "./envelope.ts";
import { decodeSlice, encodeSlice, sliceContentDigest } from "./slice-codec.ts";

const hub = generateKeyPairSync("ed25519");
const stranger = generateKeyPairSync("ed25519");

const slice: Slice = {
  version: 1,
  trustDomain: "muster.local",
  cluster: "eu-1",
  epoch: 1,
  generation: 7,
  commits: [{ source: "fleet", ref: "main", commit: "c".repeat(40) }],
  paused: false,
  bundles: [{ name: "web", state: "keep", reason: "RENDER_HELM" }],
  deletionBudget: DEFAULT_DELETION_BUDGET,
  approvedDeletions: [],
};

const code = (act: () => unknown) => {
  try {
    act();
  } catch (error) {
    return (error as { code?: string }).code;
  }
  return "accepted";
};

describe("signed slices", () => {
  it("come back as they were signed", () => {
    const { message, digest } = encodeSlice(slice, hub.privateKey);
    expect(decodeSlice(message, [hub.publicKey])).toEqual({ slice, digest });
  });

  it("E217: of 50,000 objects fit into a message of NATS, and come back as they were signed", () => {
    const objects = Array.from({ length: 50_000 }, (_, index) => `team-${index % 97}_service-${index}_apps_Deployment`).sort();
    const bundle: SliceBundle = {
      name: "web",
      state: "desired",
      manifestSet: { digest: digestBytes("a"), blob: "a".repeat(64), chunks: 1, bytes: 1 },
      objects,
      options: { drift: { mode: "correct", ignore: [] }, prune: true, createNamespace: false, dependsOn: [] },
    };
    const large: Slice = { ...slice, bundles: [bundle] };
    const { message, digest } = encodeSlice(large, hub.privateKey);
    expect(message.length).toBeLessThan(1_000_000);
    expect(digest).toBe(digestJson(large));
    expect(decodeSlice(message, [hub.publicKey])).toEqual({ slice: large, digest });
  });

  it("a signed decompression bomb is refused", () => {
    const bomb = sealEnvelope(COMPRESSED_SLICE_PAYLOAD_TYPE, zstdCompressSync(Buffer.alloc(64 * 1024 * 1024)), hub.privateKey);
    expect(code(() => decodeSlice(JSON.stringify(bomb), [hub.publicKey]))).toBe("SLICE_MALFORMED");
  });

  it("I14: equal slices are equal bytes", () => {
    const reordered = Object.fromEntries(Object.entries(slice).reverse()) as unknown as Slice;
    expect(encodeSlice(reordered, hub.privateKey).message).toBe(encodeSlice(slice, hub.privateKey).message);
  });

  it("I1: are refused if a key that is not pinned signed them", () => {
    const { message } = encodeSlice(slice, stranger.privateKey);
    expect(code(() => decodeSlice(message, [hub.publicKey]))).toBe("SLICE_SIGNATURE");
    expect(code(() => decodeSlice(message, []))).toBe("SLICE_SIGNATURE");
  });

  it("I1: no change of any byte of the message is ever accepted as another slice", () => {
    const { message, digest } = encodeSlice(slice, hub.privateKey);
    fc.assert(
      fc.property(fc.nat(message.length - 1), fc.integer({ min: 32, max: 126 }), (at, byte) => {
        const changed = message.slice(0, at) + String.fromCharCode(byte) + message.slice(at + 1);
        try {
          expect(decodeSlice(changed, [hub.publicKey]).digest).toBe(digest);
        } catch (error) {
          expect(["SLICE_SIGNATURE", "SLICE_MALFORMED"]).toContain((error as { code?: string }).code);
        }
      }),
      { numRuns: 500 },
    );
  });

  it("a signature over the same bytes as another type does not serve for a slice", () => {
    const { message } = encodeSlice(slice, hub.privateKey);
    const payload = Buffer.from((JSON.parse(message) as { payload: string }).payload, "base64");
    const other = sealEnvelope("application/vnd.other+json", payload, hub.privateKey);
    expect(code(() => decodeSlice(JSON.stringify(other), [hub.publicKey]))).toBe("SLICE_SIGNATURE");
    expect(
      code(() => decodeSlice(JSON.stringify({ ...other, payloadType: "application/vnd.muster.slice.v1+json" }), [hub.publicKey])),
    ).toBe("SLICE_SIGNATURE");
  });

  it("E273: an unknown field in signed desired state is refused, never ignored", () => {
    const { message } = encodeSlice({ ...slice, surprise: true } as unknown as Slice, hub.privateKey);
    expect(code(() => decodeSlice(message, [hub.publicKey]))).toBe("SLICE_MALFORMED");
  });

  it("E273: so is one at any depth, and a value that is no such value", () => {
    const desired: SliceBundle = {
      name: "web",
      state: "desired",
      manifestSet: { digest: `sha256:${"a".repeat(64)}`, blob: "b".repeat(64), chunks: 1, bytes: 2 },
      objects: ["web_a__ConfigMap"],
      options: { drift: { mode: "correct", ignore: [] }, prune: true, createNamespace: false, dependsOn: [] },
    };
    const of = (change: object, more: object = {}) =>
      code(() =>
        decodeSlice(encodeSlice({ ...slice, bundles: [{ ...desired, ...change }], ...more } as Slice, hub.privateKey).message, [
          hub.publicKey,
        ]),
      );
    expect(of({})).toBe("accepted");
    for (const change of [
      { surprise: true },
      { options: { ...desired.options, surprise: true } },
      { options: { ...desired.options, drift: { mode: "sometimes", ignore: [] } } },
      { options: { ...desired.options, drift: { mode: "correct", ignore: [{ paths: ["/a"], surprise: 1 }] } } },
      { options: { ...desired.options, prune: "false" } },
      { manifestSet: { ...desired.manifestSet, chunks: 0 } },
      { manifestSet: { ...desired.manifestSet, digest: "sha256:abc" } },
      { objects: ["no reference"] },
    ])
      expect(of(change)).toBe("SLICE_MALFORMED");
    for (const deletionBudget of [
      { objects: "50", percent: 20 },
      { objects: -1, percent: 20 },
      { objects: 50, percent: 500 },
      { objects: 50 },
    ])
      expect(of({}, { deletionBudget })).toBe("SLICE_MALFORMED");
  });

  it("E208: generations that are no positive safe integers are refused", () => {
    for (const generation of [0, -1, 1.5, Number.MAX_SAFE_INTEGER, 2 ** 60]) {
      const { message } = encodeSlice({ ...slice, generation }, hub.privateKey);
      expect(code(() => decodeSlice(message, [hub.publicKey]))).toBe("SLICE_MALFORMED");
    }
  });

  it("E218: poison is refused with a code", () => {
    for (const poison of ["", "{", "null", "[]", "{}", '{"payloadType":1}', "\u0000"]) {
      expect(code(() => decodeSlice(poison, [hub.publicKey]))).toBe("SLICE_MALFORMED");
    }
  });

  it("E162: a slice's content does not depend on its generation or commits", () => {
    expect(sliceContentDigest({ ...slice, generation: 8, commits: [] } as Slice)).toBe(sliceContentDigest(slice));
    expect(sliceContentDigest({ ...slice, paused: true })).not.toBe(sliceContentDigest(slice));
  });
});
