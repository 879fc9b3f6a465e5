import type { KeyObject } from "node:crypto";
import { CodedError } from "@muster/shared/errors";
import { compareGenerations, type Slice, type SliceCondition } from "@muster/shared/model";
import { type Clock, createBackoff, type Random, Wakeup } from "@muster/shared/runtime";
import { LogField, type Logger } from "@muster/shared/telemetry";
import { decodeSlice } from "@muster/shared/wire";
import type { AgentFailpoint } from "../failpoints.ts";
import { type AgentIdentity, acceptSlice, type HighWater } from "./accept-slice.ts";
import { type BlobSource, completeSlice, contentOf, type DesiredState } from "./desired-state.ts";

/** Options of {@link createIntake}. */
export interface IntakeOptions {
  readonly identity: AgentIdentity;
  /** Objects that a slice may have, by this cluster's own policy. Default 0: any number. */
  readonly maxObjects?: number;
  /** Public keys that may sign slices. */
  readonly pinned: readonly KeyObject[];
  readonly fetchBlob: BlobSource;
  /** The state that is in force, whose manifest sets need not be fetched again. */
  readonly current: () => DesiredState | undefined;
  /** Hears of a verified slice that is newer, before its manifest sets are there, and also while another one is being taken. */
  readonly coming: (slice: Slice) => void;
  /** Hands on a slice that is complete and verified. */
  readonly take: (desired: DesiredState, fetched: ReadonlyMap<string, Uint8Array>) => Promise<void>;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly failpoint: AgentFailpoint;
}

/** From messages of any kind to slices that are taken. One at a time; of waiting messages only the latest counts. */
export interface Intake {
  offer(message: string): void;
  /** Tells of a slice that was taken before, and is not gone on with. */
  cannotResume(error: CodedError, desired: DesiredState): void;
  /** What was taken before this process. */
  resume(highWater: HighWater | undefined): void;
  /** The newest slice that was taken, or may be kept in part: nothing older is taken. */
  readonly highWater: HighWater | undefined;
  /** Why the last message was refused; cleared by the next that is taken. */
  readonly problem: SliceCondition | undefined;
  onChange(listener: () => void): void;
  run(signal: AbortSignal): Promise<void>;
}

export function createIntake(options: IntakeOptions): Intake {
  const { identity, pinned, clock, random, logger, failpoint } = options;
  const wakeup = new Wakeup();
  const backoff = createBackoff({ initialMs: 250, maxMs: 15_000, random });
  const listeners: (() => void)[] = [];
  let waiting: string | undefined;
  let highWater: HighWater | undefined;
  let problem: SliceCondition | undefined;
  let staleInARow = 0;
  /** The message that is being worked on. */
  let atWork: string | undefined;
  let announced: string | undefined;
  /** A message that was good but could not be completed yet; a worse one that comes after it does not displace it. */
  let unfinished: string | undefined;
  /** What was kept, and is not gone on with: what its bundles are is known from it. */
  let notResumed: DesiredState | undefined;
  /** The last slice that was complete, as long as it could not be kept, and what was fetched for it. */
  let unkept: { readonly desired: DesiredState; readonly fetched: ReadonlyMap<string, Uint8Array> } | undefined;

  function tell(next: SliceCondition | undefined): void {
    if (problem?.code === next?.code && problem?.message === next?.message) return;
    problem = next;
    for (const listener of listeners) listener();
  }

  /** Also what could be kept in part only may be what a new process would find: nothing older is taken (I2). */
  function newest(): HighWater | undefined {
    if (!unkept || (highWater && compareGenerations(highWater, unkept.desired.slice) >= 0)) return highWater;
    const { slice, digest } = unkept.desired;
    return { epoch: slice.epoch, generation: slice.generation, digest };
  }

  async function process(message: string): Promise<void> {
    // What every poll finds: nothing to verify, and a slice of tens of thousands of objects is not read for nothing.
    const inForce = options.current();
    if (inForce && message === inForce.message && highWater?.digest === inForce.digest) {
      staleInARow = 0;
      return tell(undefined);
    }
    const { slice, digest } = decodeSlice(message, pinned);
    const verdict = acceptSlice(slice, digest, newest(), identity);
    const before = unkept?.desired ?? options.current() ?? notResumed;
    refuseTooMany(slice, before, options.maxObjects ?? 0);
    staleInARow = 0;
    if (verdict === "same" && options.current()?.digest === digest) return tell(undefined);
    options.coming(slice);
    failpoint("agent.afterSlice");
    // What a bundle was last is what the slice before says, in force or not: some of it may be kept already, as a new process would find it.
    const fetched = new Map(unkept?.fetched);
    const desired = await completeSlice({
      slice,
      digest,
      message,
      before,
      fetchBlob: options.fetchBlob,
      onBlob: (ref, bytes) => void fetched.set(ref.blob, bytes),
    });
    const needed = new Set(slice.bundles.map((bundle) => contentOf(bundle, desired)?.manifestSet.blob));
    unkept = { desired, fetched: new Map([...fetched].filter(([blob]) => needed.has(blob))) };
    await options.take(desired, unkept.fetched);
    unkept = undefined;
    highWater = { epoch: slice.epoch, generation: slice.generation, digest };
    tell(undefined);
  }

  /** A pause does not wait until what is being taken is kept, or is given up. Whether the message is good is judged in its turn. */
  function announce(message: string): void {
    if (message === atWork || message === announced || message === options.current()?.message) return;
    announced = message;
    try {
      const { slice, digest } = decodeSlice(message, pinned);
      acceptSlice(slice, digest, newest(), identity);
      refuseTooMany(slice, unkept?.desired ?? options.current() ?? notResumed, options.maxObjects ?? 0);
      options.coming(slice);
    } catch (error) {
      logger.debug({ err: error }, "a slice that waits for its turn cannot be taken as it is");
    }
  }

  /** Gives the delay until what is unfinished is tried again; undefined if nothing is. */
  async function take(message: string): Promise<number | undefined> {
    try {
      await process(message);
      unfinished = undefined;
      backoff.reset();
      return undefined;
    } catch (error) {
      const retryMs = refuse(CodedError.from(error));
      if (retryMs !== undefined) unfinished = message;
      else if (unfinished === message) unfinished = undefined;
      return retryMs ?? (unfinished === undefined ? undefined : backoff.next());
    }
  }

  /** Gives the delay until the same message is tried again; undefined if that would not help. */
  function refuse(error: CodedError): number | undefined {
    if (error.code === "SLICE_STALE") {
      // A direct get may answer from a follower that is behind: once is nothing, again and again is a replay (E205, E213).
      staleInARow += 1;
      if (staleInARow >= 5) tell({ code: error.code, message: error.message });
      return undefined;
    }
    logger.warn({ [LogField.Code]: error.code, err: error }, "a slice was not taken; the last good one stays in force");
    tell({ code: error.code, message: error.message });
    return error.retryable ? backoff.next() : undefined;
  }

  return {
    offer(message) {
      waiting = message;
      if (atWork !== undefined) announce(message);
      wakeup.wake();
    },
    cannotResume({ code, message }, desired) {
      notResumed = desired;
      tell({ code, message });
    },
    resume(mark) {
      highWater = mark;
    },
    get highWater() {
      return newest();
    },
    get problem() {
      return problem;
    },
    onChange: (listener) => void listeners.push(listener),
    async run(signal) {
      while (!signal.aborted) {
        const message = waiting ?? unfinished;
        waiting = undefined;
        atWork = message;
        const retryMs = message === undefined ? undefined : await take(message);
        atWork = undefined;
        announced = undefined;
        if (waiting === undefined) await wakeup.wait(retryMs, signal, clock);
      }
    },
  };
}

/** Before anything of it is fetched or waited for; what it keeps of the slice before counts as it is there. */
function refuseTooMany({ bundles }: Slice, before: DesiredState | undefined, most: number): void {
  const sizeOf = (bundle: Slice["bundles"][number]) =>
    bundle.state === "desired" ? bundle.objects.length : (before?.bundles.get(bundle.name)?.length ?? 0);
  refuseMore(
    bundles.reduce((sum, bundle) => sum + sizeOf(bundle), 0),
    most,
  );
}

/** Throws POLICY_OBJECTS where a state, with all that it keeps, has more objects than this cluster's policy allows. 0: any number. */
export function refuseTooLarge({ bundles }: Pick<DesiredState, "bundles">, most: number): void {
  refuseMore(
    [...bundles.values()].reduce((sum, lines) => sum + lines.length, 0),
    most,
  );
}

function refuseMore(objects: number, most: number): void {
  if (most > 0 && objects > most)
    throw new CodedError("POLICY_OBJECTS", `The slice has ${objects} objects; this cluster's policy allows ${most}`);
}
