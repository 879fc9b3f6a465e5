import type { KeyObject } from "node:crypto";
import { CodedError } from "@muster/shared/errors";
import { type CommitRef, type Generation, type Slice, type SliceContent, compareGenerations } from "@muster/shared/model";
import { type Failpoint, forEachLimited } from "@muster/shared/runtime";
import { LogField, type Logger } from "@muster/shared/telemetry";
import {
  BLOB_STREAM, type EncodedManifestSet, MAX_GENERATION, SLICE_STREAM, blobOfSubject, blobSubject, clusterOfSliceSubject, decodeSlice, encodeSlice, sliceContentDigest, sliceSubject,
} from "@muster/shared/wire";
import { NatsError } from "nats";
import type { NatsLink } from "./nats-link.ts";
import { isNotFound } from "./streams.ts";

/** Options of {@link createPublisher}. */
export interface PublisherOptions {
  readonly link: NatsLink;
  readonly signingKey: KeyObject;
  readonly publicKey: KeyObject;
  readonly trustDomain: string;
  /** Milliseconds for which a manifest set that no slice needs is kept. Default 1 h. */
  readonly blobGracePeriodMs?: number;
  readonly logger: Logger;
  readonly failpoint: Failpoint;
  readonly monotonicMs: () => number;
}

/** What publishing did. */
export interface PublishResult {
  /** Clusters whose slice moved, with the new generation. */
  readonly moved: ReadonlyMap<string, Slice>;
  readonly failed: ReadonlyMap<string, CodedError>;
}

/** Slices ⇄ JetStream. Knows what is in force; publishes what changed, and again what got lost. */
export interface Publisher {
  /** The slices in force. Empty before {@link load}. */
  readonly current: ReadonlyMap<string, Slice>;
  /** Reads the last slice of every cluster from the stream. Ours only: what our key did not sign is as good as not there. */
  load(): Promise<void>;
  /** Publishes the slices whose content changed; `sets` holds every manifest set that they name. */
  publish(slices: ReadonlyMap<string, SliceContent>, sets: ReadonlyMap<string, EncodedManifestSet>, commits: readonly CommitRef[]): Promise<PublishResult>;
  /** Puts back what JetStream lost: compares every cluster's last message, and every blob, with what is in force (D2). */
  audit(): Promise<{ readonly republished: number }>;
  /** An agent has taken more than we know: the next slice of its cluster goes above that (D7). Gives true if that calls for a new slice. */
  raiseAbove(cluster: string, highWater: Generation): boolean;
  /** Deletes manifest sets that nothing refers to any more. */
  collectGarbage(): Promise<number>;
}

/** Slices that are published at the same time. */
const CONCURRENCY = 64;

interface InForce {
  readonly slice: Slice;
  readonly message: string;
  /** Sequence of the message in the stream; 0: none. */
  sequence: number;
}

export function createPublisher(options: PublisherOptions): Publisher {
  const { link, signingKey, publicKey, trustDomain, logger, failpoint, monotonicMs, blobGracePeriodMs = 3_600_000 } = options;
  const inForce = new Map<string, InForce>();
  const floors = new Map<string, Generation>();
  /** Sets of the slices in force, to put them back after a loss. */
  let keptSets = new Map<string, EncodedManifestSet>();
  /** Blobs that are known to be in the stream. */
  const stored = new Set<string>();
  const unusedSince = new Map<string, number>();

  async function storeBlob(set: EncodedManifestSet): Promise<void> {
    if (stored.has(set.ref.blob)) return;
    const { jetstream } = link.live();
    await Promise.all(
      set.chunks.map(async (chunk, index) => {
        // The acknowledgement names the stream and sequence; a timeout throws, and the slice is then not published.
        const ack = await jetstream.publish(blobSubject(set.ref.blob, index), chunk, { msgID: `${set.ref.blob}.${index}`, expect: { streamName: BLOB_STREAM } });
        // A duplicate within the window may be of a message that was deleted since: read it back.
        if (ack.duplicate) await ensureChunk(set, index, chunk);
      }),
    );
    stored.add(set.ref.blob);
    failpoint("hub.betweenBlobs");
  }

  async function ensureChunk(set: EncodedManifestSet, index: number, chunk: Uint8Array): Promise<void> {
    const { manager, jetstream } = link.live();
    const subject = blobSubject(set.ref.blob, index);
    try {
      await manager.streams.getMessage(BLOB_STREAM, { last_by_subj: subject });
    } catch (error) {
      if (!isNotFound(error)) throw error;
      await jetstream.publish(subject, chunk, { expect: { streamName: BLOB_STREAM } });
    }
  }

  function nextGeneration(cluster: string): Generation {
    const known = inForce.get(cluster)?.slice;
    const floor = floors.get(cluster);
    let last: Generation = known ?? { epoch: 1, generation: 0 };
    if (floor && compareGenerations(floor, last) > 0) last = floor;
    if (last.generation >= MAX_GENERATION) throw new CodedError("PUBLISH_CONFLICT", `The generations of ${cluster} are used up; raise the epoch`);
    return { epoch: last.epoch, generation: last.generation + 1 };
  }

  async function send(cluster: string, slice: Slice, message: string, expected: number): Promise<number> {
    const { jetstream } = link.live();
    try {
      const ack = await jetstream.publish(sliceSubject(cluster), message, { expect: { streamName: SLICE_STREAM, lastSubjectSequence: expected } });
      failpoint("hub.afterPublish");
      return ack.seq;
    } catch (error) {
      // A timeout means unknown: read, then decide. A refused sequence means that somebody was faster.
      const last = await lastMessage(cluster);
      if (last?.text === message) return last.sequence;
      if (error instanceof NatsError && error.api_error) {
        const entry = inForce.get(cluster);
        if (entry) entry.sequence = last?.sequence ?? 0;
        throw new CodedError("PUBLISH_CONFLICT", `The slice of ${cluster} was written by somebody else (generation ${slice.generation} is not published)`, { cause: error });
      }
      throw new CodedError("NATS_UNREACHABLE", `NATS did not confirm the slice of ${cluster}`, { cause: error });
    }
  }

  async function lastMessage(cluster: string): Promise<{ text: string; sequence: number } | undefined> {
    try {
      const message = await link.live().manager.streams.getMessage(SLICE_STREAM, { last_by_subj: sliceSubject(cluster) });
      return { text: new TextDecoder().decode(message.data), sequence: message.seq };
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error instanceof CodedError ? error : new CodedError("NATS_UNREACHABLE", "NATS did not answer", { cause: error });
    }
  }

  async function publishOne(cluster: string, content: SliceContent, commits: readonly CommitRef[], sets: ReadonlyMap<string, EncodedManifestSet>): Promise<Slice> {
    for (const bundle of content.bundles) {
      if (bundle.state !== "desired") continue;
      const set = sets.get(bundle.manifestSet.digest) ?? keptSets.get(bundle.manifestSet.digest);
      // A kept entry whose bytes this hub never had is in the stream from before, or is put back by nobody: agents keep theirs.
      if (set) await storeBlob(set);
    }
    failpoint("hub.beforeSlice");
    const slice: Slice = { ...content, version: 1, trustDomain, ...nextGeneration(cluster), commits };
    const { message } = encodeSlice(slice, signingKey);
    const sequence = await send(cluster, slice, message, inForce.get(cluster)?.sequence ?? 0);
    inForce.set(cluster, { slice, message, sequence });
    return slice;
  }

  return {
    get current() {
      return new Map([...inForce].map(([cluster, entry]) => [cluster, entry.slice]));
    },
    async load() {
      const { manager } = link.live();
      const info = await manager.streams.info(SLICE_STREAM, { subjects_filter: ">" });
      const clusters = Object.keys(info.state.subjects ?? {}).flatMap((subject) => clusterOfSliceSubject(subject) ?? []);
      await forEachLimited(clusters, CONCURRENCY, async (cluster) => {
        const last = await lastMessage(cluster);
        if (!last) return;
        const known = inForce.get(cluster);
        try {
          const { slice } = decodeSlice(last.text, [publicKey]);
          if (slice.cluster !== cluster || slice.trustDomain !== trustDomain) throw new CodedError("SLICE_FOREIGN", `a slice for ${slice.cluster} stands under ${cluster}`);
          if (!known || compareGenerations(slice, known.slice) > 0) inForce.set(cluster, { slice, message: last.text, sequence: last.sequence });
          else known.sequence = last.sequence;
        } catch (error) {
          logger.error({ [LogField.Cluster]: cluster, err: error }, "the stream holds a slice that this hub did not sign; it will be superseded");
          if (known) known.sequence = last.sequence;
          else floors.set(cluster, { epoch: 1, generation: 0 });
        }
      });
    },
    async publish(slices, sets, commits) {
      const moved = new Map<string, Slice>();
      const failed = new Map<string, CodedError>();
      const changed = [...slices].filter(([cluster, content]) => {
        const known = inForce.get(cluster)?.slice;
        const floor = floors.get(cluster);
        if (!known) return content.bundles.length > 0 || floor !== undefined;
        return sliceContentDigest(known) !== sliceContentDigest(content) || (floor !== undefined && compareGenerations(floor, known) > 0);
      });
      await forEachLimited(changed, CONCURRENCY, async ([cluster, content]) => {
        try {
          moved.set(cluster, await publishOne(cluster, content, commits, sets));
          failpoint("hub.midFanOut");
        } catch (error) {
          const coded = error instanceof CodedError ? error : new CodedError("NATS_UNREACHABLE", `The slice of ${cluster} could not be published: ${(error as Error).message}`, { cause: error });
          failed.set(cluster, coded);
        }
      });
      keptSets = neededSets(inForce, sets, keptSets);
      return { moved, failed };
    },
    async audit() {
      const { manager } = link.live();
      if (await link.ensure()) stored.clear();
      let republished = 0;
      const { state } = await manager.streams.info(BLOB_STREAM, { subjects_filter: ">" });
      const present = new Set(Object.keys(state.subjects ?? {}));
      for (const set of keptSets.values()) {
        if (set.chunks.every((_, index) => present.has(blobSubject(set.ref.blob, index)))) {
          stored.add(set.ref.blob);
          continue;
        }
        stored.delete(set.ref.blob);
        await storeBlob(set);
        republished += 1;
      }
      await forEachLimited([...inForce], CONCURRENCY, async ([cluster, entry]) => {
        const last = await lastMessage(cluster);
        if (last?.text === entry.message) {
          entry.sequence = last.sequence;
          return;
        }
        // The same bytes again: whoever has them already sees no difference.
        entry.sequence = await send(cluster, entry.slice, entry.message, last?.sequence ?? 0);
        republished += 1;
        logger.warn({ [LogField.Cluster]: cluster, [LogField.Generation]: entry.slice.generation }, "JetStream had lost a slice; published it again");
      });
      return { republished };
    },
    raiseAbove(cluster, highWater) {
      const known = inForce.get(cluster)?.slice;
      if (known && compareGenerations(highWater, known) <= 0) return false;
      const floor = floors.get(cluster);
      if (floor && compareGenerations(highWater, floor) <= 0) return false;
      floors.set(cluster, { epoch: highWater.epoch, generation: highWater.generation });
      return true;
    },
    async collectGarbage() {
      const { manager } = link.live();
      const used = new Set([...inForce.values()].flatMap(({ slice }) => slice.bundles.flatMap((bundle) => (bundle.state === "desired" ? [bundle.manifestSet.blob] : []))));
      const { state } = await manager.streams.info(BLOB_STREAM, { subjects_filter: ">" });
      const now = monotonicMs();
      let removed = 0;
      for (const subject of Object.keys(state.subjects ?? {})) {
        const blob = blobOfSubject(subject);
        if (!blob || used.has(blob)) {
          if (blob) unusedSince.delete(blob);
          continue;
        }
        // Slow agents may still fetch what an older slice names: keep it for a while (E229).
        const since = unusedSince.get(blob) ?? now;
        unusedSince.set(blob, since);
        if (now - since < blobGracePeriodMs) continue;
        await manager.streams.purge(BLOB_STREAM, { filter: subject });
        stored.delete(blob);
        removed += 1;
      }
      for (const [blob, since] of unusedSince) if (now - since > 2 * blobGracePeriodMs) unusedSince.delete(blob);
      return removed;
    },
  };
}

function neededSets(inForce: ReadonlyMap<string, InForce>, fresh: ReadonlyMap<string, EncodedManifestSet>, kept: ReadonlyMap<string, EncodedManifestSet>): Map<string, EncodedManifestSet> {
  const needed = new Map<string, EncodedManifestSet>();
  for (const { slice } of inForce.values()) {
    for (const bundle of slice.bundles) {
      if (bundle.state !== "desired") continue;
      const set = fresh.get(bundle.manifestSet.digest) ?? kept.get(bundle.manifestSet.digest);
      if (set) needed.set(bundle.manifestSet.digest, set);
    }
  }
  return needed;
}
