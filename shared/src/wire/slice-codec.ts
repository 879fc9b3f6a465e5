import type { KeyObject } from "node:crypto";
import { zstdDecompressSync } from "node:zlib";
import { z } from "zod";
import { CodedError } from "../errors/index.ts";
import {
  Adoption,
  BUNDLE_NAME_PATTERN,
  type Digest,
  DriftMode,
  isClusterName,
  type ObjectRefText,
  OnRemoval,
  parseObjectRef,
  type Slice,
  type SliceContent,
} from "../model/index.ts";
import { canonicalJson } from "./canonical.ts";
import { compress } from "./compress.ts";
import { digestBytes, digestJson } from "./digest.ts";
import { COMPRESSED_SLICE_PAYLOAD_TYPE, openEnvelope, SLICE_PAYLOAD_TYPE, sealEnvelope } from "./envelope.ts";

/** A slice and the digest of its signed bytes. */
export interface VerifiedSlice {
  readonly slice: Slice;
  readonly digest: Digest;
}

/** The generation bound of one step, against a fast-forward that would lock an agent out (E208). */
export const MAX_GENERATION = Number.MAX_SAFE_INTEGER - 1;

/**
 * From this many bytes on a slice is compressed. Most of it is refs of objects, which compress to a fifth and less: as they are,
 * those of 15,000 objects and more would not fit into a message of NATS, which is 1 MiB by default.
 */
const COMPRESS_FROM_BYTES = 64 * 1024;

/** The largest slice that is decompressed, in bytes: refs of 200,000 objects and more. A bomb, for all its signature, stops here. */
const MAX_SLICE_BYTES = 32 * 1024 * 1024;

/**
 * Signs a slice; the result is the NATS message. Equal slices give equal bytes (ed25519 and one version of zstd are
 * deterministic). The digest is that of the slice itself, however it is packed.
 */
export function encodeSlice(slice: Slice, privateKey: KeyObject): { message: string; digest: Digest } {
  const bytes = Buffer.from(canonicalJson(slice));
  const [type, payload] =
    bytes.length < COMPRESS_FROM_BYTES ? [SLICE_PAYLOAD_TYPE, bytes] : [COMPRESSED_SLICE_PAYLOAD_TYPE, compress(bytes)];
  return { message: JSON.stringify(sealEnvelope(type, payload, privateKey)), digest: digestBytes(bytes) };
}

/**
 * Verifies the signature of a slice message, then its form. Says nothing of whether it is for this cluster or new: the
 * agent's acceptance rules do. Throws SLICE_SIGNATURE or SLICE_MALFORMED.
 */
export function decodeSlice(message: string, pinned: readonly KeyObject[]): VerifiedSlice {
  const { payload, payloadType } = openEnvelope(message, [SLICE_PAYLOAD_TYPE, COMPRESSED_SLICE_PAYLOAD_TYPE], pinned);
  const malformed = (why: string, cause?: unknown) =>
    new CodedError("SLICE_MALFORMED", `The slice is signed but cannot be read: ${why}`, { cause });
  let bytes = payload;
  try {
    if (payloadType === COMPRESSED_SLICE_PAYLOAD_TYPE) bytes = zstdDecompressSync(payload, { maxOutputLength: MAX_SLICE_BYTES });
  } catch (error) {
    throw malformed("it does not decompress", error);
  }
  // A field that this version does not know may change what the slice means, so it is refused rather than ignored (E273).
  const parsed = SLICE_SCHEMA.safeParse(JSON.parse(bytes.toString("utf8")));
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw malformed(issue ? `${issue.path.join(".") || "the document"}: ${issue.message}` : "its form is not known");
  }
  const slice = parsed.data as Slice;
  const names = new Set<string>();
  for (const bundle of slice.bundles) {
    if (names.has(bundle.name)) throw malformed(`it holds the bundle ${bundle.name} twice`);
    names.add(bundle.name);
  }
  return { slice, digest: digestBytes(bytes) };
}

const digest = z.string().regex(/^sha256:[0-9a-f]{64}$/);
const order = z.int().min(1).max(MAX_GENERATION);
const objects = z.array(z.string().refine(isObjectRef, "is no reference of an object"));

const OPTIONS_SCHEMA = z.strictObject({
  drift: z.strictObject({
    mode: z.enum(DriftMode),
    ignore: z.array(
      z.strictObject({
        kind: z.string().optional(),
        group: z.string().optional(),
        namespace: z.string().optional(),
        name: z.string().optional(),
        when: z.string().optional(),
        paths: z.array(z.string()),
        managers: z.array(z.string()).optional(),
      }),
    ),
  }),
  prune: z.boolean(),
  createNamespace: z.boolean(),
  dependsOn: z.array(z.string()),
  ready: z
    .array(
      z.strictObject({
        bundle: z.string(),
        group: z.string(),
        kind: z.string(),
        namespace: z.string().optional(),
        name: z.string().optional(),
        expression: z.string(),
      }),
    )
    .optional(),
  health: z
    .array(
      z.strictObject({
        group: z.string(),
        kind: z.string(),
        current: z.string(),
        failed: z.string().optional(),
        message: z.string().optional(),
      }),
    )
    .optional(),
  paused: z.literal(true).optional(),
  adoption: z.enum(Adoption).optional(),
  onRemoval: z.enum(OnRemoval).optional(),
  serviceAccount: z.strictObject({ namespace: z.string().min(1), name: z.string().min(1) }).optional(),
});

const name = z.string().regex(BUNDLE_NAME_PATTERN);
const BUNDLE_SCHEMA = z.discriminatedUnion("state", [
  z.strictObject({
    name,
    state: z.literal("desired"),
    manifestSet: z.strictObject({
      digest,
      blob: z.string().regex(/^[0-9a-f]{64}$/),
      chunks: z.int().min(1),
      bytes: z.int().min(0),
    }),
    objects,
    options: OPTIONS_SCHEMA,
  }),
  z.strictObject({ name, state: z.literal("keep"), reason: z.string(), paused: z.boolean().optional() }),
]);

/** The form of a slice, down to the last field: see {@link Slice} for what each of them means. */
const SLICE_SCHEMA = z.strictObject({
  version: z.literal(1),
  trustDomain: z.string(),
  cluster: z.string().refine(isClusterName, "is no cluster name"),
  epoch: order,
  generation: order,
  commits: z.array(z.strictObject({ source: z.string(), ref: z.string(), commit: z.string() })),
  paused: z.boolean(),
  bundles: z.array(BUNDLE_SCHEMA),
  deletionBudget: z.strictObject({ objects: z.int().min(0), percent: z.number().min(0).max(100) }),
  approvedDeletions: z.array(z.string()),
  retained: objects.optional(),
});

function isObjectRef(text: string): boolean {
  try {
    parseObjectRef(text as ObjectRefText);
    return true;
  } catch {
    return false;
  }
}

/** Digest of what a slice says apart from its place in the order and its commits: equal means nothing to publish. */
export function sliceContentDigest(content: SliceContent): Digest {
  const { cluster, paused, bundles, deletionBudget, approvedDeletions, retained } = content;
  return digestJson({ cluster, paused, bundles, deletionBudget, approvedDeletions, ...(retained && { retained }) });
}
