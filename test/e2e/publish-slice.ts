import type { KeyObject } from "node:crypto";
import { readFileSync } from "node:fs";
import { BUNDLE_LABEL, DEFAULT_DELETION_BUDGET, type Manifest, type Slice } from "@muster/shared/model";
import {
  BLOB_STREAM,
  BLOB_SUBJECTS,
  blobSubject,
  encodeManifestSet,
  encodeSlice,
  HUB_INBOX_PREFIX,
  SLICE_STREAM,
  SLICE_SUBJECTS,
  sliceSubject,
} from "@muster/shared/wire";
import { connect, credsAuthenticator, type NatsConnection } from "nats";

/** A hub of the smallest kind: it signs and publishes one bundle, and knows nothing of Git. */
export interface SlicePublisher {
  /** Publishes a slice with one bundle; every call is a new generation. */
  publish(manifests: readonly Manifest[]): Promise<void>;
  close(): Promise<void>;
}

const BUNDLE = "app";

/** The hub labels every object with its bundle; agents watch by that label. */
function bound(manifest: Manifest): Manifest {
  const labels = { ...(manifest.metadata["labels"] as Record<string, string> | undefined), [BUNDLE_LABEL]: BUNDLE };
  return { ...manifest, metadata: { ...manifest.metadata, labels } };
}

/** Options of {@link createSlicePublisher}. */
export interface SlicePublisherOptions {
  readonly url: string;
  readonly credsFile: string;
  readonly signingKey: KeyObject;
  readonly cluster: string;
  readonly trustDomain: string;
}

export async function createSlicePublisher(options: SlicePublisherOptions): Promise<SlicePublisher> {
  const { cluster, trustDomain, signingKey } = options;
  const connection: NatsConnection = await connect({
    servers: options.url,
    inboxPrefix: HUB_INBOX_PREFIX,
    authenticator: credsAuthenticator(readFileSync(options.credsFile)),
  });
  const jetstream = connection.jetstream();
  const manager = await connection.jetstreamManager({ checkAPI: false });
  await manager.streams.add({ name: SLICE_STREAM, subjects: [SLICE_SUBJECTS], allow_direct: true, max_msgs_per_subject: 3 });
  await manager.streams.add({ name: BLOB_STREAM, subjects: [BLOB_SUBJECTS], allow_direct: true, max_msgs_per_subject: 1 });
  let generation = 0;
  return {
    async publish(manifests) {
      generation += 1;
      const { ref, chunks, objects } = encodeManifestSet(manifests.map(bound));
      for (const [index, chunk] of chunks.entries()) await jetstream.publish(blobSubject(ref.blob, index), chunk);
      const slice: Slice = {
        version: 1,
        trustDomain,
        cluster,
        epoch: 1,
        generation,
        commits: [{ source: "fleet", ref: "main", commit: generation.toString(16).padStart(40, "0") }],
        paused: false,
        bundles: [
          {
            name: BUNDLE,
            state: "desired",
            manifestSet: ref,
            objects,
            options: { drift: { mode: "correct", ignore: [] }, prune: true, createNamespace: false, dependsOn: [] },
          },
        ],
        deletionBudget: DEFAULT_DELETION_BUDGET,
        approvedDeletions: [],
      };
      await jetstream.publish(sliceSubject(cluster), encodeSlice(slice, signingKey).message);
    },
    close: () => connection.close(),
  };
}
