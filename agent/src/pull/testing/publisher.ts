import { BLOB_STREAM, BLOB_SUBJECTS, blobSubject, CHUNK_BYTES, SLICE_STREAM, SLICE_SUBJECTS, sliceSubject } from "@muster/shared/wire";
import { connect } from "nats";
import type { MadeSlice, SliceMaker } from "./slice-maker.ts";

/** Puts slices and their blobs into a real JetStream, as a hub does; for tests. */
export interface Publisher {
  /** Publishes the blobs that are not there yet, then the slice. */
  /** The blobs alone. */
  publishBlobs(maker: SliceMaker): Promise<void>;
  publish(maker: SliceMaker, made: MadeSlice, options?: { readonly withoutBlobs?: boolean }): Promise<void>;
  close(): Promise<void>;
}

export async function createPublisher(url: string): Promise<Publisher> {
  const connection = await connect({ servers: url, maxReconnectAttempts: -1, reconnectTimeWait: 200 });
  const manager = await connection.jetstreamManager();
  await manager.streams.add({ name: SLICE_STREAM, subjects: [SLICE_SUBJECTS], allow_direct: true, max_msgs_per_subject: 3 });
  await manager.streams.add({ name: BLOB_STREAM, subjects: [BLOB_SUBJECTS], allow_direct: true, max_msgs_per_subject: 1 });
  const jetstream = connection.jetstream();
  const published = new Set<string>();
  async function publishBlobs(maker: SliceMaker): Promise<void> {
    for (const [blob, bytes] of maker.blobs) {
      if (published.has(blob)) continue;
      for (let chunk = 0; chunk * CHUNK_BYTES < bytes.length; chunk++) {
        await jetstream.publish(blobSubject(blob, chunk), bytes.subarray(chunk * CHUNK_BYTES, (chunk + 1) * CHUNK_BYTES));
      }
      published.add(blob);
    }
  }
  return {
    publishBlobs,
    async publish(maker, made, { withoutBlobs = false } = {}) {
      if (!withoutBlobs) await publishBlobs(maker);
      await jetstream.publish(sliceSubject(made.slice.cluster), made.message);
    },
    close: () => connection.close(),
  };
}
