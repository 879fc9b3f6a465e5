import { CodedError } from "@muster/shared/errors";
import { type Clock, createBackoff, jitter, type Random, Wakeup } from "@muster/shared/runtime";
import type { FleetModel } from "./fleet/model.ts";
import { createAuditor } from "./pipeline-audit.ts";
import { createReleaser, type ReleaserOptions } from "./pipeline-release.ts";
import { createStageTimer } from "./pipeline-stages.ts";
import type { NatsLink } from "./publish/nats-link.ts";
import type { Publisher } from "./publish/publisher.ts";

/** Options of {@link createPipeline}. */
export interface PipelineOptions extends Omit<ReleaserOptions, "publisher" | "stages"> {
  readonly publisher: Publisher;
  readonly link: Pick<NatsLink, "connected">;
  /** Milliseconds between two audits. */
  readonly auditIntervalMs: number;
  readonly clock: Clock;
  readonly random: Random;
}

/** From commits to slices: the publish loop. One turn at a time; whatever is asked for meanwhile makes one more. */
export interface Pipeline {
  /** A source has a new commit. */
  news(): void;
  /** NATS is there (again): load what is in the streams and audit. */
  natsReady(): void;
  /** A cluster's facts have changed, or its agent is ahead of us: compose again soon, but not before `afterMs`. Many calls make one turn. */
  compose(afterMs?: number): void;
  /** An agent could not get, or not read, what was published: compare every byte. */
  audit(): void;
  /** true once what is published was loaded from NATS. */
  readonly loaded: boolean;
  /** What Git says; undefined before the first commit was read. */
  readonly model: FleetModel | undefined;
  run(signal: AbortSignal): Promise<void>;
}

/** A part of the publish loop. */
interface Phase {
  readonly isDue: () => boolean;
  readonly run: (signal: AbortSignal) => Promise<void>;
  /** It has failed: make it due again. */
  readonly again: () => void;
}

/** Every so many audits compare also what does not look changed: bits rot. */
const DEEP_EVERY = 20;
/** Milliseconds that facts of agents are collected before all is composed again; at least twice as long as composing takes. */
const FACTS_DELAY_MS = 50;

/** Least milliseconds after which what could not be rendered, for a reason that may pass, is tried again; then slower. */
const RETRY_RENDER_MS = 61_000;

export function createPipeline(options: PipelineOptions): Pipeline {
  const { publisher, clock, random, logger, link } = options;
  const wakeup = new Wakeup();
  const stages = createStageTimer(options);
  const releaser = createReleaser({ ...options, stages });
  const auditor = createAuditor({ ...options, stages });
  // The renderer remembers for a minute what took too long.
  const renderBackoff = createBackoff({ initialMs: 2 * RETRY_RENDER_MS, maxMs: 15 * 60_000, random });
  let loaded = false;
  let recallDue = true;
  let releaseDueMs = Number.POSITIVE_INFINITY;
  let releaseMs = 0;
  let auditDueMs = 0;
  let audits = 0;
  let deepAsked = false;
  /** A deep audit that has failed is not over. */
  let deepDue = false;

  const isPast = (ms: number) => ms <= clock.monotonicMs();
  const releaseBy = (dueMs: number): void => {
    releaseDueMs = Math.min(releaseDueMs, dueMs);
  };

  const read: Phase = {
    // What was published before is not known until NATS answers, and composing without it could forget something. The fleet
    // itself can be read, so that agents are taken in and operators are told.
    isDue: () => !link.connected && isPast(releaseDueMs),
    run() {
      releaseDueMs = Number.POSITIVE_INFINITY;
      return releaser.read();
    },
    again: () => releaseBy(0),
  };

  const recall: Phase = {
    // After a start, and after every loss of the connection.
    isDue: () => link.connected && recallDue,
    async run() {
      recallDue = false;
      await stages.timed("recall", () => publisher.load());
      loaded = true;
      auditDueMs = 0;
      releaseBy(0);
    },
    again() {
      recallDue = true;
    },
  };

  /** What is published is known, and NATS is there to change it. */
  const canPublish = () => link.connected && loaded && !recallDue;

  const release: Phase = {
    isDue: () => canPublish() && isPast(releaseDueMs),
    async run(signal) {
      releaseDueMs = Number.POSITIVE_INFINITY;
      const started = clock.monotonicMs();
      const again = await releaser.release(signal).finally(() => {
        releaseMs = clock.monotonicMs() - started;
      });
      if (again) releaseBy(clock.monotonicMs() + renderBackoff.next());
      else renderBackoff.reset();
    },
    again: () => releaseBy(0),
  };

  const audit: Phase = {
    isDue: () => canPublish() && (deepAsked || isPast(auditDueMs)),
    async run() {
      audits += 1;
      deepDue ||= deepAsked || audits % DEEP_EVERY === 0;
      deepAsked = false;
      auditDueMs = clock.monotonicMs() + jitter(options.auditIntervalMs, random);
      const { stirred, failed } = await auditor.audit(deepDue);
      if (stirred.length > 0) releaseBy(0);
      const [first] = failed;
      if (first) throw first;
      deepDue = false;
    },
    again() {
      auditDueMs = 0;
    },
  };

  const phases: readonly Phase[] = [read, recall, release, audit];

  /** One turn of the loop: whatever is due, in this order. The error of one phase does not stop the next. */
  async function turn(signal: AbortSignal): Promise<void> {
    const errors: unknown[] = [];
    for (const phase of phases) {
      if (!phase.isDue()) continue;
      try {
        await phase.run(signal);
      } catch (error) {
        if (signal.aborted) throw error;
        phase.again();
        errors.push(error);
      }
    }
    if (errors.length > 0) throw errors[0];
  }

  /** When the next phase is due, in monotonic milliseconds. While NATS is away only its return makes work, or new commits. */
  function nextDueMs(): number {
    if (!link.connected) return releaseDueMs;
    return recallDue || deepAsked ? 0 : Math.min(releaseDueMs, auditDueMs);
  }

  return {
    news() {
      releaseBy(0);
      wakeup.wake();
    },
    natsReady() {
      recallDue = true;
      wakeup.wake();
    },
    compose(afterMs = 0) {
      releaseBy(clock.monotonicMs() + Math.max(FACTS_DELAY_MS, 2 * releaseMs, afterMs));
      wakeup.wake();
    },
    audit() {
      deepAsked = true;
      wakeup.wake();
    },
    get loaded() {
      return loaded;
    },
    get model() {
      return releaser.model;
    },
    async run(signal) {
      const backoff = createBackoff({ initialMs: 500, maxMs: 30_000, random });
      while (!signal.aborted) {
        let waitMs: number;
        try {
          await turn(signal);
          backoff.reset();
          waitMs = nextDueMs() - clock.monotonicMs();
        } catch (error) {
          if (signal.aborted) return;
          waitMs = backoff.next();
          const coded = CodedError.from(error);
          logger.error({ code: coded.code, err: coded }, "the publish loop could not finish its turn; trying again");
        }
        await wakeup.wait(Number.isFinite(waitMs) ? Math.max(1, waitMs) : undefined, signal);
      }
    },
  };
}
