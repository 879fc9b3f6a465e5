import { CodedError } from "@muster/shared/errors";
import type { Clock } from "@muster/shared/runtime";
import type { Logger } from "@muster/shared/telemetry";
import { isDenial } from "../kube/admission.ts";
import type { WriterLease } from "./writer-lease.ts";

/** Options of {@link takeTurns}. */
export interface TurnsOptions {
  readonly lease: WriterLease;
  /** Starts to write; gives what ends it. */
  readonly start: () => () => Promise<void>;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Writing while the Lease is here, standing by while it is not. If admission refuses the Lease, the work begins all the same, for only
 * the slice that mends what refuses can change that; until then nothing else is written ({@link WriterLease.ensure}, E014).
 */
export interface Turns {
  /** Why nothing is written now, for people; undefined: something is, or will be at once. */
  readonly standsBy: string | undefined;
  /** Ends with the signal; rejects if a turn cannot be started. */
  readonly done: Promise<void>;
  /** Ends the turn. */
  stop(): Promise<void>;
}

/** Milliseconds between two tries to take the Lease, while the API server does not answer (E261). */
const RETRY_MS = 1_000;

export function takeTurns({ lease, start, signal, clock, logger }: TurnsOptions): Turns {
  let standsBy: string | undefined;
  let end: (() => Promise<void>) | undefined;

  async function stop(): Promise<void> {
    const ending = end;
    end = undefined;
    await ending?.();
  }

  async function take(): Promise<void> {
    for (;;) {
      try {
        return await lease.take(signal);
      } catch (error) {
        if (signal.aborted) throw error;
        const coded = CodedError.from(error);
        logger.warn({ code: coded.code, err: coded }, "waiting for the lease of this cluster");
        if (isDenial(error)) end ??= start();
        await clock.sleep(RETRY_MS, signal);
      }
    }
  }

  async function run(): Promise<void> {
    while (!signal.aborted) {
      await take();
      standsBy = undefined;
      end ??= start();
      const holder = await lease.hold(signal);
      if (signal.aborted) return;
      standsBy = `the agent instance ${holder} writes this cluster; this one stands by`;
      logger.warn({ code: "AGENT_STANDBY" }, `${standsBy}: two agents with one identity are running, and one of them must be stopped`);
      await stop();
      await lease.standBy(signal);
      logger.warn("the writer does not answer any more; this instance takes over");
    }
  }

  return {
    get standsBy() {
      return standsBy;
    },
    done: run().catch((error: unknown) => {
      if (!signal.aborted) throw error;
    }),
    stop,
  };
}
