import { CodedError } from "@muster/shared/errors";
import type { ManifestSetRef } from "@muster/shared/model";
import { type Failpoint, forEachLimited } from "@muster/shared/runtime";
import { BLOB_STREAM, blobOfSubject, blobSubject, type EncodedManifestSet } from "@muster/shared/wire";
import { isNotFound, toNatsError } from "./jetstream-error.ts";
import type { NatsLink } from "./nats-link.ts";

/** Manifest sets in JetStream. Content-addressed: what is there under a name is either right or damaged, never outdated. */
export interface BlobStore {
  /** Makes sure that a set is in the stream, read back byte by byte from the leader. Concurrent calls for one set are one. */
  store(set: EncodedManifestSet): Promise<void>;
  /**
   * Puts back sets that the stream has lost; with `deep` also those that are damaged in it, which takes reading them all. Gives
   * how many. `failed` says why others could not be put back.
   */
  restore(
    needed: Iterable<EncodedManifestSet>,
    deep: boolean,
  ): Promise<{ readonly restored: number; readonly failed: readonly CodedError[] }>;
  /** A set out of the stream, if it is whole there. The caller verifies it against a signed ref. */
  fetch(ref: ManifestSetRef): Promise<Uint8Array[] | undefined>;
  /** Deletes chunks of sets that nobody has used for the grace period. Gives how many chunks. */
  collectGarbage(used: ReadonlySet<string>): Promise<number>;
  /** The stream was made anew: nothing is known to be there. */
  forget(): void;
}

/** Options of {@link createBlobStore}. */
export interface BlobStoreOptions {
  readonly link: NatsLink;
  readonly failpoint: Failpoint;
  readonly monotonicMs: () => number;
  /** Milliseconds for which a set that no slice needs is kept (E229). */
  readonly gracePeriodMs: number;
}

const CONCURRENCY = 64;

export function createBlobStore(options: BlobStoreOptions): BlobStore {
  const { link, failpoint, monotonicMs, gracePeriodMs } = options;
  /** Blobs that are known to be in the stream. */
  const stored = new Set<string>();
  const storing = new Map<string, Promise<void>>();
  const unusedSince = new Map<string, number>();

  async function readChunk(subject: string): Promise<Uint8Array | undefined> {
    try {
      return (await link.live().manager.streams.getMessage(BLOB_STREAM, { last_by_subj: subject })).data;
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  async function holds(subject: string, chunk: Uint8Array): Promise<boolean> {
    const there = await readChunk(subject);
    return there !== undefined && Buffer.compare(there, chunk) === 0;
  }

  async function storeChunk(blob: string, index: number, chunk: Uint8Array): Promise<void> {
    const { jetstream } = link.live();
    const subject = blobSubject(blob, index);
    const ack = await jetstream.publish(subject, chunk, { msgID: `${blob}.${index}`, expect: { streamName: BLOB_STREAM } });
    if (await holds(subject, chunk)) return;
    // It was published in the last two minutes and deleted or damaged since: the server took this one for a repetition.
    if (ack.duplicate) await jetstream.publish(subject, chunk, { expect: { streamName: BLOB_STREAM } });
    if (!ack.duplicate || !(await holds(subject, chunk)))
      throw new CodedError("NATS_STREAM", `JetStream confirmed a part of the manifest set ${blob.slice(0, 12)}, but does not have it`);
  }

  async function storeSet(set: EncodedManifestSet): Promise<void> {
    const { blob } = set.ref;
    failpoint("hub.beforeBlobs");
    try {
      await Promise.all(
        set.chunks.map(async (chunk, index) => {
          await storeChunk(blob, index, chunk);
          failpoint("hub.betweenBlobs");
        }),
      );
    } catch (error) {
      throw toNatsError(error, `The manifest set ${blob.slice(0, 12)} could not be stored`);
    }
    stored.add(blob);
    unusedSince.delete(blob);
  }

  async function isWhole(set: EncodedManifestSet): Promise<boolean> {
    for (const [index, chunk] of set.chunks.entries()) if (!(await holds(blobSubject(set.ref.blob, index), chunk))) return false;
    return true;
  }

  async function store(set: EncodedManifestSet): Promise<void> {
    const { blob } = set.ref;
    if (stored.has(blob)) return;
    let running = storing.get(blob);
    if (!running) {
      running = storeSet(set).finally(() => storing.delete(blob));
      storing.set(blob, running);
    }
    await running;
  }

  /** Subjects in the stream, by blob. */
  async function listed(): Promise<Map<string, string[]>> {
    const { state } = await link.live().manager.streams.info(BLOB_STREAM, { subjects_filter: ">" });
    const blobs = new Map<string, string[]>();
    for (const subject of Object.keys(state.subjects ?? {})) {
      const blob = blobOfSubject(subject);
      if (!blob) continue;
      const subjects = blobs.get(blob);
      if (subjects) subjects.push(subject);
      else blobs.set(blob, [subject]);
    }
    return blobs;
  }

  return {
    store,
    async restore(needed, deep) {
      const present = await listed();
      let restored = 0;
      const failed: CodedError[] = [];
      await forEachLimited(needed, CONCURRENCY, async (set) => {
        const { blob } = set.ref;
        const subjects = new Set(present.get(blob));
        try {
          if (set.chunks.every((_, index) => subjects.has(blobSubject(blob, index))) && (!deep || (await isWhole(set)))) {
            stored.add(blob);
            return;
          }
          stored.delete(blob);
          failpoint("hub.duringAudit");
          await store(set);
          restored += 1;
        } catch (error) {
          failed.push(toNatsError(error, "A manifest set could not be put back"));
        }
      });
      for (const blob of stored) if (!present.has(blob) && !storing.has(blob)) stored.delete(blob);
      return { restored, failed };
    },
    async fetch(ref) {
      const chunks: Uint8Array[] = [];
      for (let index = 0; index < ref.chunks; index += 1) {
        const chunk = await readChunk(blobSubject(ref.blob, index));
        if (!chunk) return undefined;
        chunks.push(chunk);
      }
      return chunks;
    },
    async collectGarbage(used) {
      const present = await listed();
      const now = monotonicMs();
      for (const blob of unusedSince.keys()) if (!present.has(blob) || used.has(blob)) unusedSince.delete(blob);
      let removed = 0;
      for (const [blob, subjects] of present) {
        if (used.has(blob) || storing.has(blob)) continue;
        // A slow agent may still fetch what an older slice names, and a slice that is about to be published may name it anew.
        const since = unusedSince.get(blob) ?? now;
        unusedSince.set(blob, since);
        if (now - since < gracePeriodMs) continue;
        stored.delete(blob);
        for (const filter of subjects) {
          await link.live().manager.streams.purge(BLOB_STREAM, { filter });
          removed += 1;
        }
      }
      return removed;
    },
    forget: () => stored.clear(),
  };
}
