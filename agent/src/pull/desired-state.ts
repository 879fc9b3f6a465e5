import type { KeyObject } from "node:crypto";
import { CodedError } from "@muster/shared/errors";
import type { Digest, ManifestSetRef, Slice } from "@muster/shared/model";
import { type ManifestLine, decodeManifestSet, decodeSlice } from "@muster/shared/wire";
import type { HighWater } from "./accept-slice.ts";
import type { StateStore } from "./state-store.ts";

/** A slice that was fetched and verified to the last byte. */
export interface DesiredState {
  readonly slice: Slice;
  /** Digest of the signed bytes. */
  readonly digest: Digest;
  /** The message as it was signed, to keep. */
  readonly message: string;
  /** Objects per bundle; kept bundles have those of the last good slice. */
  readonly bundles: ReadonlyMap<string, readonly ManifestLine[]>;
}

/** Compressed bytes of a manifest set. */
export type BlobSource = (ref: ManifestSetRef) => Promise<Uint8Array>;

/** What was kept in the cluster, as it was found. */
export interface KeptState {
  readonly highWater?: HighWater;
  readonly desired?: DesiredState;
  /** Why there is no desired state although something was kept. */
  readonly problem?: CodedError;
}

const SLICE = "slice";
const HIGH_WATER = "high-water";
const blobName = (blob: string) => `blob-${blob.slice(0, 40)}`;

/** Fetches and verifies every manifest set of a slice; sets of the state before are taken over without fetching. */
export async function completeSlice(options: {
  readonly slice: Slice;
  readonly digest: Digest;
  readonly message: string;
  readonly before: DesiredState | undefined;
  readonly fetchBlob: BlobSource;
  /** Hears the bytes of every set that was fetched. */
  readonly onBlob?: (ref: ManifestSetRef, bytes: Uint8Array) => void;
}): Promise<DesiredState> {
  const { slice, digest, message, before, fetchBlob, onBlob } = options;
  const have = new Map<Digest, readonly ManifestLine[]>();
  for (const bundle of before?.slice.bundles ?? []) {
    const lines = before?.bundles.get(bundle.name);
    if (bundle.state === "desired" && lines) have.set(bundle.manifestSet.digest, lines);
  }
  const bundles = new Map<string, readonly ManifestLine[]>();
  await Promise.all(
    slice.bundles.map(async (bundle) => {
      if (bundle.state === "keep") {
        const lines = before?.bundles.get(bundle.name);
        if (lines) bundles.set(bundle.name, lines);
        return;
      }
      let lines = have.get(bundle.manifestSet.digest);
      if (!lines) {
        const bytes = await fetchBlob(bundle.manifestSet);
        lines = decodeManifestSet(bundle.manifestSet, bytes);
        onBlob?.(bundle.manifestSet, bytes);
      }
      checkObjects(bundle.name, bundle.objects, lines);
      bundles.set(bundle.name, lines);
    }),
  );
  return { slice, digest, message, bundles };
}

/** The signed list of objects and the manifest set must say the same, or prune would go by another list than apply. */
function checkObjects(bundle: string, objects: readonly string[], lines: readonly ManifestLine[]): void {
  const listed = new Set(objects);
  if (listed.size !== lines.length || lines.some((line) => !listed.has(line.ref))) {
    throw new CodedError("SLICE_MALFORMED", `The object list of the bundle ${bundle} is not that of its manifest set`);
  }
}

/** Reads the last good slice. Nothing kept is a state of its own; damage is a problem, never an empty slice. */
export async function loadKeptState(store: StateStore, pinned: readonly KeyObject[]): Promise<KeptState> {
  const mark = await store.read(HIGH_WATER).catch((error: unknown) => onlyCorrupt(error));
  const highWater = Buffer.isBuffer(mark) ? (JSON.parse(mark.toString()) as HighWater) : undefined;
  const known = highWater ? { highWater } : {};
  try {
    const kept = await store.read(SLICE);
    if (!kept) return known;
    const message = kept.toString();
    // Verified again: what lies in the cluster is trusted no more than what comes over the network.
    const { slice, digest } = decodeSlice(message, pinned);
    const desired = await completeSlice({
      slice, digest, message, before: undefined,
      fetchBlob: async (ref) => {
        const bytes = await store.read(blobName(ref.blob));
        if (!bytes) throw new CodedError("AGENT_STATE_CORRUPT", `The manifest set ${ref.digest.slice(0, 19)} of the last good slice is missing`);
        return bytes;
      },
    });
    const seen: HighWater = highWater ?? { epoch: slice.epoch, generation: slice.generation, digest };
    return { highWater: seen, desired };
  } catch (error) {
    return { ...known, problem: CodedError.from(error, "AGENT_STATE_CORRUPT") };
  }
}

function onlyCorrupt(error: unknown): undefined {
  if (error instanceof CodedError && error.code === "AGENT_STATE_CORRUPT") return undefined;
  throw error;
}

/**
 * Keeps a slice before any of it is applied (I2): first its manifest sets, then the slice, then the high-water mark. Sets
 * that no slice needs any more go last.
 */
export async function keepState(store: StateStore, desired: DesiredState, fetched: ReadonlyMap<string, Uint8Array>): Promise<void> {
  await Promise.all([...fetched].map(([blob, bytes]) => store.write(blobName(blob), bytes)));
  await store.write(SLICE, Buffer.from(desired.message));
  const { slice, digest } = desired;
  await store.write(HIGH_WATER, Buffer.from(JSON.stringify({ epoch: slice.epoch, generation: slice.generation, digest } satisfies HighWater)));
}

/** Removes manifest sets that the kept slice does not use. Call when there is time. */
export async function dropUnusedBlobs(store: StateStore, desired: DesiredState): Promise<void> {
  const used = new Set(desired.slice.bundles.flatMap((bundle) => (bundle.state === "desired" ? [blobName(bundle.manifestSet.blob)] : [])));
  for (const name of await store.names()) if (name.startsWith("blob-") && !used.has(name)) await store.remove(name);
}
