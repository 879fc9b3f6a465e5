import type { KeyObject } from "node:crypto";
import { CodedError } from "../errors/index.ts";
import { BUNDLE_NAME_PATTERN, type Digest, isClusterName, type Slice, type SliceBundle, type SliceContent } from "../model/index.ts";
import { canonicalJson } from "./canonical.ts";
import { digestBytes, digestJson } from "./digest.ts";
import { openEnvelope, SLICE_PAYLOAD_TYPE, sealEnvelope } from "./envelope.ts";

/** A slice and the digest of its signed bytes. */
export interface VerifiedSlice {
  readonly slice: Slice;
  readonly digest: Digest;
}

/** The generation bound of one step, against a fast-forward that would lock an agent out (E208). */
export const MAX_GENERATION = Number.MAX_SAFE_INTEGER - 1;

/** Signs a slice; the result is the NATS message. Equal slices give equal bytes (ed25519 is deterministic). */
export function encodeSlice(slice: Slice, privateKey: KeyObject): { message: string; digest: Digest } {
  const payload = Buffer.from(canonicalJson(slice));
  return { message: JSON.stringify(sealEnvelope(SLICE_PAYLOAD_TYPE, payload, privateKey)), digest: digestBytes(payload) };
}

/**
 * Verifies the signature of a slice message, then its form. Says nothing of whether it is for this cluster or new: the
 * agent's acceptance rules do. Throws SLICE_SIGNATURE or SLICE_MALFORMED.
 */
export function decodeSlice(message: string, pinned: readonly KeyObject[]): VerifiedSlice {
  const payload = openEnvelope(message, SLICE_PAYLOAD_TYPE, pinned);
  const malformed = (why: string) => new CodedError("SLICE_MALFORMED", `The slice is signed but cannot be read: ${why}`);
  const slice = JSON.parse(payload.toString("utf8")) as Slice;
  // A field that this version does not know may change what the slice means, so it is refused rather than ignored (E273).
  const unknown = Object.keys(slice).filter((key) => !SLICE_FIELDS.has(key));
  if (slice.version !== 1 || unknown.length > 0)
    throw malformed(`version ${slice.version}, unknown fields: ${unknown.join(", ") || "none"}`);
  if (!isClusterName(slice.cluster)) throw malformed("it names no cluster");
  for (const [name, value] of [
    ["epoch", slice.epoch],
    ["generation", slice.generation],
  ] as const) {
    if (!Number.isSafeInteger(value) || value < 1 || value > MAX_GENERATION) throw malformed(`its ${name} is ${value}`);
  }
  if (!Array.isArray(slice.bundles) || !Array.isArray(slice.commits) || !Array.isArray(slice.approvedDeletions))
    throw malformed("a list is missing");
  const names = new Set<string>();
  for (const bundle of slice.bundles) {
    if (!isSliceBundle(bundle)) throw malformed("it holds a bundle that this version does not know");
    if (names.has(bundle.name)) throw malformed(`it holds the bundle ${bundle.name} twice`);
    names.add(bundle.name);
  }
  return { slice, digest: digestBytes(payload) };
}

const SLICE_FIELDS = new Set([
  "version",
  "trustDomain",
  "cluster",
  "epoch",
  "generation",
  "commits",
  "paused",
  "bundles",
  "deletionBudget",
  "approvedDeletions",
  "retained",
]);

function isSliceBundle(bundle: SliceBundle): boolean {
  if (!BUNDLE_NAME_PATTERN.test(bundle?.name)) return false;
  if (bundle.state === "keep") return true;
  return (
    bundle.state === "desired" &&
    Array.isArray(bundle.objects) &&
    typeof bundle.manifestSet?.digest === "string" &&
    /^[0-9a-f]{64}$/.test(bundle.manifestSet.blob) &&
    Number.isSafeInteger(bundle.manifestSet.chunks) &&
    typeof bundle.options?.prune === "boolean" &&
    Array.isArray(bundle.options.dependsOn)
  );
}

/** Digest of what a slice says apart from its place in the order and its commits: equal means nothing to publish. */
export function sliceContentDigest(content: SliceContent): Digest {
  const { cluster, paused, bundles, deletionBudget, approvedDeletions, retained } = content;
  return digestJson({ cluster, paused, bundles, deletionBudget, approvedDeletions, ...(retained && { retained }) });
}
