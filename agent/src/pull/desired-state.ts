import type { KeyObject } from "node:crypto";
import { CodedError } from "@muster/shared/errors";
import {
  compareGenerations,
  type DesiredBundle,
  type Digest,
  type KeptBundle,
  type ManifestSetRef,
  type Slice,
  type SliceBundle,
} from "@muster/shared/model";
import { decodeManifestSet, decodeSlice, encodeManifestSet, type ManifestLine } from "@muster/shared/wire";
import type { AgentFailpoint } from "../failpoints.ts";
import type { HighWater } from "./accept-slice.ts";
import type { StateStore } from "./state-store.ts";

/** A bundle as an earlier slice wanted it, with the signed message of that slice as the proof. */
export interface LastGood {
  readonly bundle: DesiredBundle;
  readonly message: string;
  /** The bundle as the slice that keeps it pauses it, or ends its pause. Absent: as it was. */
  readonly content?: DesiredBundle;
}

/** A slice that was fetched and verified to the last byte. */
export interface DesiredState {
  readonly slice: Slice;
  /** Digest of the signed bytes. */
  readonly digest: Digest;
  /** The message as it was signed, to keep. */
  readonly message: string;
  /** Objects per bundle; kept bundles have those of the last good slice. */
  readonly bundles: ReadonlyMap<string, readonly ManifestLine[]>;
  /** What kept bundles were before, as far as it is known. */
  readonly kept: ReadonlyMap<string, LastGood>;
}

/** What a bundle is to be: what the slice says or, if that keeps it, what the last slice said that knew. */
export function contentOf(bundle: SliceBundle, desired: DesiredState): DesiredBundle | undefined {
  if (bundle.state === "desired") return bundle;
  const last = desired.kept.get(bundle.name);
  return last?.content ?? last?.bundle;
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
const KEPT = "kept";
const HIGH_WATER = "high-water";
const blobName = (blob: string) => `blob-${blob.slice(0, 40)}`;

/** Fetches and verifies every manifest set of a slice; sets of the state before are taken over without fetching. */
export async function completeSlice(options: {
  readonly slice: Slice;
  readonly digest: Digest;
  readonly message: string;
  readonly before: DesiredState | undefined;
  /** What bundles were that this slice keeps; default: as `before` has them. */
  readonly lastGood?: ReadonlyMap<string, LastGood>;
  readonly fetchBlob: BlobSource;
  /** Hears the bytes of every set that was fetched. */
  readonly onBlob?: (ref: ManifestSetRef, bytes: Uint8Array) => void;
}): Promise<DesiredState> {
  const { slice, digest, message, before, fetchBlob, onBlob } = options;
  const lastGood = options.lastGood ?? lastGoodOf(before);
  const have = new Map<Digest, readonly ManifestLine[]>();
  for (const bundle of before?.slice.bundles ?? []) {
    const content = before && contentOf(bundle, before);
    const lines = before?.bundles.get(bundle.name);
    if (content && lines) have.set(content.manifestSet.digest, lines);
  }
  const linesOf = async (bundle: DesiredBundle): Promise<readonly ManifestLine[]> => {
    let lines = have.get(bundle.manifestSet.digest);
    if (!lines) {
      const bytes = await fetchBlob(bundle.manifestSet);
      lines = decodeManifestSet(bundle.manifestSet, bytes);
      onBlob?.(bundle.manifestSet, bytes);
    }
    checkObjects(bundle.name, bundle.objects, lines);
    return lines;
  };
  const bundles = new Map<string, readonly ManifestLine[]>();
  const kept = new Map<string, LastGood>();
  await Promise.all(
    slice.bundles.map(async (bundle) => {
      if (bundle.state === "desired") return void bundles.set(bundle.name, await linesOf(bundle));
      const last = lastGood.get(bundle.name);
      if (!last) return;
      kept.set(bundle.name, pausedAs(bundle, last));
      // What a kept bundle was is worth correcting, but not worth refusing a slice for.
      const lines = await linesOf(last.bundle).catch(() => undefined);
      if (lines) bundles.set(bundle.name, lines);
    }),
  );
  return { slice, digest, message, bundles, kept };
}

/** What was last known of a bundle, and what the slice that keeps it says of a pause (E100): no more than that slice is needed to know it anew. */
function pausedAs({ paused }: KeptBundle, { bundle, message }: LastGood): LastGood {
  if (paused === undefined || (bundle.options.paused ?? false) === paused) return { bundle, message };
  const { paused: _, ...options } = bundle.options;
  return { bundle, message, content: { ...bundle, options: { ...options, ...(paused && { paused }) } } };
}

/** Every bundle of a state with the slice that said what it is to be. */
function lastGoodOf(before: DesiredState | undefined): ReadonlyMap<string, LastGood> {
  const all = new Map<string, LastGood>(before?.kept);
  for (const bundle of before?.slice.bundles ?? []) {
    if (before && bundle.state === "desired") all.set(bundle.name, { bundle, message: before.message });
  }
  return all;
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
  const highWater = await readHighWater(store);
  const known = highWater ? { highWater } : {};
  try {
    const kept = await store.read(SLICE);
    if (!kept) return known;
    const message = kept.toString();
    // Verified again: what lies in the cluster is trusted no more than what comes over the network.
    const { slice, digest } = decodeSlice(message, pinned);
    const desired = await completeSlice({
      slice,
      digest,
      message,
      before: undefined,
      lastGood: await loadLastGood(store, pinned),
      fetchBlob: async (ref) => {
        const bytes = await store.read(blobName(ref.blob));
        if (!bytes)
          throw new CodedError("AGENT_STATE_CORRUPT", `The manifest set ${ref.digest.slice(0, 19)} of the last good slice is missing`);
        return bytes;
      },
    });
    // A crash between the two writes leaves a mark behind its slice; the slice is what this cluster has taken (I2).
    const own: HighWater = { epoch: slice.epoch, generation: slice.generation, digest };
    return { highWater: highWater && compareGenerations(highWater, own) > 0 ? highWater : own, desired };
  } catch (error) {
    // What cannot be read now can be read later; only what was read and is damaged is given up.
    if (error instanceof CodedError && error.code === "AGENT_STATE") throw error;
    return { ...known, problem: CodedError.from(error, "AGENT_STATE_CORRUPT") };
  }
}

/** undefined if nothing was kept, or it is damaged. */
export async function readHighWater(store: StateStore): Promise<HighWater | undefined> {
  const mark = await store.read(HIGH_WATER).catch((error: unknown) => onlyCorrupt(error));
  return Buffer.isBuffer(mark) ? (JSON.parse(mark.toString()) as HighWater) : undefined;
}

function onlyCorrupt(error: unknown): undefined {
  if (error instanceof CodedError && error.code === "AGENT_STATE_CORRUPT") return undefined;
  throw error;
}

/** The last good content of kept bundles, each verified again from the signed slice that it came in. */
async function loadLastGood(store: StateStore, pinned: readonly KeyObject[]): Promise<Map<string, LastGood>> {
  const all = new Map<string, LastGood>();
  const bytes = await store.read(KEPT).catch((error: unknown) => onlyCorrupt(error));
  if (!bytes) return all;
  const kept = JSON.parse(bytes.toString()) as EncodedKept;
  for (const { message, names } of kept) {
    const { slice } = decodeSlice(message, pinned);
    for (const bundle of slice.bundles)
      if (bundle.state === "desired" && names.includes(bundle.name)) all.set(bundle.name, { bundle, message });
  }
  return all;
}

/** Messages of earlier slices, each with the bundles that are still as it said. */
type EncodedKept = readonly { readonly message: string; readonly names: readonly string[] }[];

function encodeKept(kept: ReadonlyMap<string, LastGood>): Buffer {
  const byMessage = new Map<string, string[]>();
  for (const [name, { message }] of [...kept].sort()) byMessage.set(message, [...(byMessage.get(message) ?? []), name]);
  return Buffer.from(JSON.stringify([...byMessage].map(([message, names]) => ({ message, names })) satisfies EncodedKept));
}

/** Options of {@link keepState}. */
export interface KeepOptions {
  /** Manifest sets that are not kept yet. */
  readonly fetched?: ReadonlyMap<string, Uint8Array>;
  /** Of what is kept until now. */
  readonly before?: Pick<DesiredState, "kept">;
  /** Default: none. */
  readonly failpoint?: AgentFailpoint;
}

/**
 * Keeps a slice before any of it is applied (I2): first its manifest sets, then the slice, then the high-water mark. Sets
 * that no slice needs any more go last.
 */
export async function keepState(store: StateStore, desired: DesiredState, options: KeepOptions = {}): Promise<void> {
  const { fetched = new Map(), failpoint = () => {} } = options;
  await Promise.all([...fetched].map(([blob, bytes]) => store.write(blobName(blob), bytes)));
  failpoint("agent.afterBlobsKept");
  // Until the slice itself is written the one before counts, and needs what its own kept bundles were.
  if (desired.kept.size > 0) await store.write(KEPT, encodeKept(new Map([...(options.before?.kept ?? []), ...desired.kept])));
  failpoint("agent.afterLastGoodKept");
  await store.write(SLICE, Buffer.from(desired.message));
  failpoint("agent.afterSliceKept");
  const { slice, digest } = desired;
  await store.write(
    HIGH_WATER,
    Buffer.from(JSON.stringify({ epoch: slice.epoch, generation: slice.generation, digest } satisfies HighWater)),
  );
}

/** Keeps the state that is in force once more, as far as it was lost. Manifest sets are encoded anew: one whose bytes come out otherwise is left. */
export async function keepAgain(store: StateStore, desired: DesiredState): Promise<void> {
  const encoded = new Map<string, Uint8Array>();
  for (const bundle of desired.slice.bundles) {
    const lines = desired.bundles.get(bundle.name);
    const wanted = contentOf(bundle, desired)?.manifestSet.blob;
    const { ref, chunks } = encodeManifestSet((lines ?? []).map(({ manifest }) => manifest));
    if (lines && ref.blob === wanted) encoded.set(wanted, Buffer.concat(chunks));
  }
  await keepState(store, desired, { fetched: encoded });
}

/** Removes manifest sets that the kept slice does not use. Call when there is time. */
export async function dropUnusedBlobs(store: StateStore, desired: DesiredState): Promise<void> {
  const used = new Set(
    desired.slice.bundles.flatMap((bundle) => contentOf(bundle, desired) ?? []).map((content) => blobName(content.manifestSet.blob)),
  );
  for (const name of await store.names()) if (name.startsWith("blob-") && !used.has(name)) await store.remove(name);
}
