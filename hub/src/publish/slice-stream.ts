import { CodedError } from "@muster/shared/errors";
import type { Digest } from "@muster/shared/model";
import type { Failpoint } from "@muster/shared/runtime";
import { clusterOfSliceSubject, digestHex, SLICE_STREAM, sliceSubject } from "@muster/shared/wire";
import { isNotFound, isRefusal, isWrongSequence, toNatsError } from "./jetstream-error.ts";
import type { NatsLink } from "./nats-link.ts";

/** The last message of a cluster in the stream. */
export interface LastSlice {
  readonly text: string;
  readonly sequence: number;
}

/** What the stream is as a whole; if it did not change, none of its messages did. */
export interface StreamMark {
  /** When it was made: another one means that it was lost in between. */
  readonly created: string;
  readonly lastSequence: number;
  readonly subjects: number;
}

/** Slices in JetStream. Sequences guard against a second writer; they say nothing of which slice is newer. */
export interface SliceStream {
  clusters(): Promise<string[]>;
  mark(): Promise<StreamMark>;
  /** Leader read; undefined: none. */
  last(cluster: string): Promise<LastSlice | undefined>;
  /**
   * Publishes if the cluster's last message still has the expected sequence (0: none), and gives the new one. A timeout means
   * unknown: the stream is read, and only then decided. Throws PUBLISH_CONFLICT if somebody else wrote, else NATS_*.
   */
  send(cluster: string, slice: { readonly message: string; readonly digest: Digest }, expected: number): Promise<number>;
}

export function createSliceStream(options: { readonly link: NatsLink; readonly failpoint: Failpoint }): SliceStream {
  const { link, failpoint } = options;

  async function last(cluster: string): Promise<LastSlice | undefined> {
    try {
      const message = await link.live().manager.streams.getMessage(SLICE_STREAM, { last_by_subj: sliceSubject(cluster) });
      return { text: Buffer.from(message.data).toString("utf8"), sequence: message.seq };
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw toNatsError(error, `The slice of ${cluster} cannot be read`);
    }
  }

  async function attempt(
    cluster: string,
    message: string,
    expected: number,
    msgID: string | undefined,
  ): Promise<{ seq: number; duplicate: boolean }> {
    const pending = link.live().jetstream.publish(sliceSubject(cluster), message, {
      ...(msgID && { msgID }),
      expect: { streamName: SLICE_STREAM, lastSubjectSequence: expected },
    });
    try {
      failpoint("hub.beforeAck");
    } catch (error) {
      await pending.catch(() => {});
      throw error;
    }
    const ack = await pending;
    failpoint("hub.afterAck");
    return ack;
  }

  /** The server took a message for a repetition, and perhaps has lost what it repeats. */
  async function afterRepetition(cluster: string, message: string, expected: number): Promise<number> {
    const there = await last(cluster);
    if (there?.text === message) return there.sequence;
    // A replicated stream looks for repetitions before it looks at the expected sequence, so somebody may have written another one.
    if ((there?.sequence ?? 0) !== expected) throw new CodedError("PUBLISH_CONFLICT", `The slice of ${cluster} is not as it was expected`);
    return (await attempt(cluster, message, expected, undefined)).seq;
  }

  /** No answer, or a refusal: what stands in the stream decides. */
  async function afterFailure(cluster: string, message: string, error: unknown): Promise<number> {
    if (isRefusal(error) && !isWrongSequence(error)) throw toNatsError(error, `JetStream does not take the slice of ${cluster}`);
    const there = await last(cluster);
    if (there?.text === message) return there.sequence;
    if (isWrongSequence(error))
      throw new CodedError("PUBLISH_CONFLICT", `Somebody else wrote the slice of ${cluster} first`, { cause: error });
    throw toNatsError(error, `NATS did not confirm the slice of ${cluster}`);
  }

  return {
    last,
    async clusters() {
      const { state } = await link.live().manager.streams.info(SLICE_STREAM, { subjects_filter: ">" });
      return Object.keys(state.subjects ?? {}).flatMap((subject) => clusterOfSliceSubject(subject) ?? []);
    },
    async mark() {
      const { created, state } = await link.live().manager.streams.info(SLICE_STREAM);
      return { created, lastSequence: state.last_seq, subjects: state.num_subjects ?? 0 };
    },
    async send(cluster, { message, digest }, expected) {
      try {
        const ack = await attempt(cluster, message, expected, digestHex(digest));
        return ack.duplicate ? await afterRepetition(cluster, message, expected) : ack.seq;
      } catch (error) {
        if (error instanceof CodedError && error.code === "PUBLISH_CONFLICT") throw error;
        return await afterFailure(cluster, message, error);
      }
    },
  };
}
