import type { KeyObject } from "node:crypto";
import { CodedError } from "@muster/shared/errors";
import {
  type CommitRef,
  compareGenerations,
  type DesiredBundle,
  type Digest,
  type Generation,
  type ManifestSetRef,
  type Slice,
  type SliceContent,
} from "@muster/shared/model";
import { type Failpoint, forEachLimited } from "@muster/shared/runtime";
import { LogField, type Logger } from "@muster/shared/telemetry";
import { decodeManifestSet, decodeSlice, type EncodedManifestSet, encodeSlice, sliceContentDigest } from "@muster/shared/wire";
import { nextGeneration } from "../release/next-generation.ts";
import { type PlannedMove, planPublish } from "../release/plan-publish.ts";
import { createBlobStore } from "./blob-store.ts";
import { toNatsError } from "./jetstream-error.ts";
import type { NatsLink } from "./nats-link.ts";
import { createSliceStream, type LastSlice, type StreamMark } from "./slice-stream.ts";

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
  /** Clusters whose slice moved, with the new slice. */
  readonly moved: ReadonlyMap<string, Slice>;
  readonly failed: ReadonlyMap<string, CodedError>;
}

/** What an audit found and did. */
export interface AuditResult {
  /** Slices and manifest sets that were put back. */
  readonly republished: number;
  /** Clusters whose stream holds something that must be superseded, or that is newer than what was known: compose again. */
  readonly stirred: readonly string[];
  readonly failed: readonly CodedError[];
}

/** Slices ⇄ JetStream. Knows what is in force; publishes what changed, and again what got lost. */
export interface Publisher {
  /** The slices in force. Empty before {@link load}. */
  readonly current: ReadonlyMap<string, Slice>;
  /**
   * Those of them that are what their cluster has. Where an agent has taken more than the stream holds (it lost its end), what is in
   * force is only what the cluster had once.
   */
  readonly trusted: ReadonlyMap<string, Slice>;
  sliceOf(cluster: string): Slice | undefined;
  /** Reads the last slice of every cluster from the stream. Ours only: what our key did not sign is as good as not there. */
  load(): Promise<void>;
  /** Publishes the slices whose content changed; `sets` holds the manifest sets that they name, by blob. */
  publish(
    slices: ReadonlyMap<string, SliceContent>,
    sets: ReadonlyMap<string, EncodedManifestSet>,
    commits: readonly CommitRef[],
  ): Promise<PublishResult>;
  /**
   * Puts back what JetStream lost: compares every cluster's last message, and every blob, with what is in force (D2). `deep`
   * also reads what does not look changed.
   */
  audit(deep?: boolean): Promise<AuditResult>;
  /** An agent has taken more than we know: the next slice of its cluster goes above that (D7). Gives true if that calls for a new slice. */
  raiseAbove(cluster: string, highWater: Generation): boolean;
  /** Deletes manifest sets that nothing refers to any more. Gives how many chunks. */
  collectGarbage(): Promise<number>;
}

/** Slices that are published at the same time: what hides the round trips behind the signing. */
const CONCURRENCY = 256;

interface InForce extends Generation {
  readonly slice: Slice;
  readonly message: string;
  /** Digest of the signed bytes. */
  readonly digest: Digest;
  readonly contentDigest: Digest;
}

const desiredSets = (slice: SliceContent): ManifestSetRef[] =>
  slice.bundles.flatMap((bundle) => (bundle.state === "desired" ? [bundle.manifestSet] : []));

export function createPublisher(options: PublisherOptions): Publisher {
  const { link, signingKey, publicKey, trustDomain, logger, failpoint, monotonicMs, blobGracePeriodMs = 3_600_000 } = options;
  const blobs = createBlobStore({ link, failpoint, monotonicMs, gracePeriodMs: blobGracePeriodMs });
  const stream = createSliceStream({ link, failpoint });
  const inForce = new Map<string, InForce>();
  /** Sequence of each cluster's last message in the stream, whoever wrote it. */
  const sequences = new Map<string, number>();
  /** What agents have seen, or what stands in the stream and must be superseded. */
  const floors = new Map<string, Generation>();
  /** Sets of the slices in force by blob, compressed, to put them back after a loss. */
  let keptSets = new Map<string, EncodedManifestSet>();
  /** Clusters under whose name something stands that cannot be read: which sets it needs is not known. */
  const unread = new Set<string>();
  let mark: StreamMark | undefined;

  function hold(
    slice: Slice,
    signed: { readonly message: string; readonly digest: Digest },
    contentDigest = sliceContentDigest(slice),
  ): void {
    const { epoch, generation } = slice;
    inForce.set(slice.cluster, { slice, ...signed, epoch, generation, contentDigest });
    unread.delete(slice.cluster);
  }

  /** Takes note of what stands in the stream. Gives true if it calls for another slice, false if it is ours or older. */
  function observe(cluster: string, last: LastSlice): boolean {
    sequences.set(cluster, last.sequence);
    const known = inForce.get(cluster);
    if (known?.message === last.text) {
      unread.delete(cluster);
      return false;
    }
    try {
      const { slice, digest } = decodeSlice(last.text, [publicKey]);
      if (slice.cluster !== cluster || slice.trustDomain !== trustDomain)
        throw new CodedError("SLICE_FOREIGN", `a slice for ${slice.cluster} in ${slice.trustDomain} stands under ${cluster}`);
      const order = known ? compareGenerations(slice, known) : 1;
      if (order < 0) return false;
      // One generation with two contents: agents may have either, so neither can be put back. The next one is above both (D3).
      if (order === 0) return raiseAbove(cluster, { epoch: slice.epoch, generation: slice.generation + 1 });
      hold(slice, { message: last.text, digest });
      return true;
    } catch (error) {
      logger.error(
        { [LogField.Cluster]: cluster, err: error },
        "the stream holds a slice that this hub did not sign; it will be superseded",
      );
      unread.add(cluster);
      if (!known) raiseAbove(cluster, { epoch: 1, generation: 0 });
      return !known;
    }
  }

  function raiseAbove(cluster: string, highWater: Generation): boolean {
    const known = inForce.get(cluster);
    if (known && compareGenerations(highWater, known) <= 0) return false;
    const floor = floors.get(cluster);
    if (floor && compareGenerations(highWater, floor) <= 0) return false;
    floors.set(cluster, { epoch: highWater.epoch, generation: highWater.generation });
    return true;
  }

  function isBehind(cluster: string): boolean {
    const known = inForce.get(cluster);
    const floor = floors.get(cluster);
    return known !== undefined && floor !== undefined && compareGenerations(floor, known) > 0;
  }

  async function send(cluster: string, entry: { readonly message: string; readonly digest: Digest }): Promise<void> {
    try {
      sequences.set(cluster, await stream.send(cluster, entry, sequences.get(cluster) ?? 0));
    } catch (error) {
      if (error instanceof CodedError && error.code === "PUBLISH_CONFLICT") {
        const last = await stream.last(cluster);
        if (last) observe(cluster, last);
        else sequences.delete(cluster);
      }
      throw error;
    }
  }

  async function publishOne(
    cluster: string,
    { content, contentDigest }: PlannedMove,
    commits: readonly CommitRef[],
    sets: ReadonlyMap<string, EncodedManifestSet>,
  ): Promise<Slice> {
    // A kept entry whose bytes this hub never had is in the stream from before, or nobody can put it back: agents keep theirs.
    await Promise.all(
      desiredSets(content).map(async ({ blob }) => {
        const set = sets.get(blob) ?? keptSets.get(blob);
        if (set) await blobs.store(set);
      }),
    );
    failpoint("hub.beforeSlice");
    const slice: Slice = { ...content, version: 1, trustDomain, ...nextGeneration(inForce.get(cluster), floors.get(cluster)), commits };
    const signed = encodeSlice(slice, signingKey);
    await send(cluster, signed);
    hold(slice, signed, contentDigest);
    return slice;
  }

  function neededSets(fresh: ReadonlyMap<string, EncodedManifestSet>): Map<string, EncodedManifestSet> {
    const needed = new Map<string, EncodedManifestSet>();
    for (const { slice } of inForce.values()) {
      for (const { blob } of desiredSets(slice)) {
        const set = fresh.get(blob) ?? keptSets.get(blob);
        if (set) needed.set(blob, set);
      }
    }
    return needed;
  }

  /** Sets of held bundles that this process has not rendered: kept in memory too, while the stream still has them. Gives what failed. */
  async function rescueSets(): Promise<CodedError[]> {
    const failed: CodedError[] = [];
    const missing = new Map<string, DesiredBundle>();
    for (const bundle of [...inForce.values()].flatMap(({ slice }) => slice.bundles))
      if (bundle.state === "desired" && !keptSets.has(bundle.manifestSet.blob)) missing.set(bundle.manifestSet.blob, bundle);
    await forEachLimited(missing.values(), CONCURRENCY, async ({ name, manifestSet: ref, objects }) => {
      const chunks = await blobs.fetch(ref).catch((error: unknown) => {
        failed.push(toNatsError(error, `A manifest set of the bundle ${name} cannot be read`));
        return undefined;
      });
      if (!chunks) return;
      try {
        decodeManifestSet(ref, Buffer.concat(chunks));
        keptSets.set(ref.blob, { ref, chunks, objects });
      } catch (error) {
        const text = "a manifest set in JetStream is damaged, and this hub cannot render it now";
        logger.error({ [LogField.Bundle]: name, err: error }, text);
      }
    });
    return failed;
  }

  async function auditSlices(deep: boolean): Promise<{ republished: number; stirred: string[]; failed: CodedError[] }> {
    const result = { republished: 0, stirred: [] as string[], failed: [] as CodedError[] };
    const now = await stream.mark();
    let expected = 0;
    for (const sequence of sequences.values()) expected = Math.max(expected, sequence);
    // Nobody but us has written, and the stream is the one that was compared before: ten thousand reads can be spared.
    const unchanged = mark?.created === now.created && now.lastSequence === expected && now.subjects >= inForce.size;
    if (unchanged && !deep) return result;
    await forEachLimited([...inForce], CONCURRENCY, async ([cluster, entry]) => {
      try {
        const last = await stream.last(cluster);
        if (last?.text === entry.message) {
          sequences.set(cluster, last.sequence);
          return;
        }
        if (last && observe(cluster, last)) {
          result.stirred.push(cluster);
          return;
        }
        if (!last) sequences.delete(cluster);
        failpoint("hub.duringAudit");
        // The same bytes again: whoever has them already sees no difference.
        await send(cluster, entry);
        unread.delete(cluster);
        result.republished += 1;
        logger.warn(
          { [LogField.Cluster]: cluster, [LogField.Generation]: entry.generation },
          "JetStream had lost a slice; published it again",
        );
      } catch (error) {
        const coded = toNatsError(error, `The slice of ${cluster} could not be put back`);
        if (coded.code === "PUBLISH_CONFLICT") result.stirred.push(cluster);
        result.failed.push(coded);
      }
    });
    if (result.failed.length === 0) mark = now;
    return result;
  }

  return {
    get current() {
      return new Map([...inForce].map(([cluster, { slice }]) => [cluster, slice]));
    },
    get trusted() {
      return new Map([...inForce].flatMap(([cluster, { slice }]) => (isBehind(cluster) ? [] : [[cluster, slice] as const])));
    },
    sliceOf: (cluster) => inForce.get(cluster)?.slice,
    async load() {
      const clusters = new Set(await stream.clusters());
      for (const cluster of sequences.keys()) if (!clusters.has(cluster)) sequences.delete(cluster);
      for (const cluster of unread) if (!clusters.has(cluster)) unread.delete(cluster);
      await forEachLimited(clusters, CONCURRENCY, async (cluster) => {
        const last = await stream.last(cluster);
        if (last) observe(cluster, last);
      });
      // What was lost while nobody was connected must not pass for unchanged.
      mark = undefined;
      blobs.forget();
    },
    async publish(slices, sets, commits) {
      const moved = new Map<string, Slice>();
      const failed = new Map<string, CodedError>();
      const moves = planPublish(inForce, slices, floors);
      if (moves.size > 0) failpoint("hub.beforeSign");
      await forEachLimited(moves, CONCURRENCY, async ([cluster, move]) => {
        try {
          moved.set(cluster, await publishOne(cluster, move, commits, sets));
          failpoint("hub.midFanOut");
        } catch (error) {
          failed.set(cluster, toNatsError(error, `The slice of ${cluster} could not be published`));
        }
      });
      keptSets = neededSets(sets);
      return { moved, failed };
    },
    async audit(deep = false) {
      if (await link.ensure()) blobs.forget();
      // Sets first: a slice is put back only where its content can be had.
      const sets = await blobs.restore(keptSets.values(), deep);
      const rescued = await rescueSets();
      const slices = await auditSlices(deep);
      const failed = [...sets.failed, ...rescued, ...slices.failed];
      return { republished: sets.restored + slices.republished, stirred: slices.stirred, failed };
    },
    raiseAbove,
    async collectGarbage() {
      // A slice of a newer hub, before a rollback, may be what its agent still has.
      if (unread.size > 0) {
        const [first] = unread;
        logger.warn({ [LogField.Cluster]: first }, "no unused manifest set is deleted while the stream holds a slice that cannot be read");
        return 0;
      }
      return blobs.collectGarbage(new Set([...inForce.values()].flatMap(({ slice }) => desiredSets(slice).map(({ blob }) => blob))));
    },
  };
}
