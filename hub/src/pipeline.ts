import { CodedError } from "@muster/shared/errors";
import { type CommitRef, formatRevision, type Generation, type Slice } from "@muster/shared/model";
import { type Clock, createBackoff, type Failpoint, jitter, type Random, Wakeup } from "@muster/shared/runtime";
import { LogField, type Logger, type Metrics } from "@muster/shared/telemetry";
import { buildFleet } from "./fleet/build-fleet.ts";
import type { FleetModel, FleetProblem } from "./fleet/model.ts";
import type { FleetLoader } from "./load-fleet-input.ts";
import type { NatsLink } from "./publish/nats-link.ts";
import type { Publisher } from "./publish/publisher.ts";
import { composeSlices } from "./release/compose-slices.ts";
import type { TargetRenderer } from "./render-targets.ts";
import type { FleetStatus } from "./status/fleet-status.ts";
import type { SourceWatch } from "./watch-sources.ts";

/** Options of {@link createPipeline}. */
export interface PipelineOptions {
  readonly sources: Pick<SourceWatch, "snapshots" | "tried">;
  readonly loader: FleetLoader;
  readonly targets: TargetRenderer;
  readonly publisher: Publisher;
  readonly link: Pick<NatsLink, "connected">;
  readonly status: Pick<FleetStatus, "record" | "event">;
  /** Tells a connected agent that its slice has moved. */
  readonly hint: (cluster: string, generation: Generation) => void;
  /** Called when the fleet's model is another one. */
  readonly onModel: (model: FleetModel) => void;
  /** Milliseconds between two audits. */
  readonly auditIntervalMs: number;
  readonly failpoint: Failpoint;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** From commits to slices: the publish loop. One turn at a time; whatever is asked for meanwhile makes one more. */
export interface Pipeline {
  /** A source has a new commit. */
  news(): void;
  /** NATS is there (again): load what is in the streams and audit. */
  natsReady(): void;
  /** A cluster's facts have changed, or its agent is ahead of us: compose again soon. Many calls make one turn. */
  compose(): void;
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
const GARBAGE_INTERVAL_MS = 10 * 60_000;
/** Milliseconds that facts of agents are collected before all is composed again; at least twice as long as composing takes. */
const FACTS_DELAY_MS = 50;

export function createPipeline(options: PipelineOptions): Pipeline {
  const { sources, publisher, status, clock, random, logger, link } = options;
  const wakeup = new Wakeup();
  const stage = options.metrics.histogram("muster_hub_stage_duration_seconds", "Time of each stage of the publish loop", {
    labels: ["stage"],
  });
  const published = options.metrics.counter("muster_hub_published_slices_total", "Slices published");
  const republished = options.metrics.counter(
    "muster_hub_republished_total",
    "Slices and manifest sets that JetStream had lost and that were published again",
  );
  let loaded = false;
  let recallDue = true;
  let composeDueMs = Number.POSITIVE_INFINITY;
  let deepAsked = false;
  /** A deep audit that has failed is not over. */
  let deepDue = false;
  let audits = 0;
  let auditDueMs = 0;
  let garbageDueMs = clock.monotonicMs() + 60_000;
  let releaseMs = 0;
  let toldHeld: string | undefined;
  let model: FleetModel | undefined;

  const composeBy = (dueMs: number): void => {
    composeDueMs = Math.min(composeDueMs, dueMs);
  };
  const observe = (name: string, ms: number): void => {
    stage.observe(ms / 1000, { stage: name });
    logger.debug({ [LogField.Part]: name, [LogField.DurationMs]: Math.round(ms * 10) / 10 }, "stage");
  };
  async function timed<T>(name: string, work: () => Promise<T> | T): Promise<T> {
    const started = clock.monotonicMs();
    try {
      return await work();
    } finally {
      observe(name, clock.monotonicMs() - started);
    }
  }

  /** Snapshots → clusters, bundles, targets. Undefined while no source has a commit, or one may still bring its first. */
  async function readModel(): Promise<FleetModel | undefined> {
    if (!sources.tried || sources.snapshots.every(({ snapshot }) => !snapshot)) return undefined;
    const inputs = await timed("load", () =>
      Promise.all(
        sources.snapshots.map(async ({ source, snapshot }) => (snapshot ? options.loader.load(snapshot) : { source, files: [] })),
      ),
    );
    const next = await timed("fleet", () => buildFleet(inputs));
    model = next;
    options.onModel(next);
    return next;
  }

  /** What the sources say now → what every cluster has. */
  async function release(signal: AbortSignal): Promise<void> {
    const next = await readModel();
    if (!next) return;
    const rendered = await timed("render", () => options.targets.render(next.targets, signal));
    observe("encode", rendered.encodeMs);
    options.failpoint("hub.afterRender");
    const composition = await timed("compose", () =>
      composeSlices({ model: next, outcomes: rendered.outcomes, previous: publisher.current }),
    );
    logHeld(formatRevision(next.commits), composition.held);
    const { moved, failed } = await timed("publish", () => publisher.publish(composition.slices, rendered.sets, next.commits));
    published.add(moved.size);
    for (const [cluster, slice] of moved) options.hint(cluster, slice);
    for (const [cluster, error] of failed)
      logger.error({ [LogField.Cluster]: cluster, code: error.code, err: error }, "a slice was not published");
    await timed("record", () => record(next, { ...composition, notices: rendered.notices, moved, failed }));
    // A README, or facts of an agent that nobody asks for, are nothing to tell an operator.
    const level = moved.size > 0 ? "info" : "debug";
    logger[level]({ [LogField.Count]: moved.size }, `${formatRevision(next.commits)}: ${moved.size} slices published`);
    const [first] = failed.values();
    if (first) throw first;
  }

  /** A revision that is held is composed again with every agent's facts; it is said once. */
  function logHeld(revision: string, held: FleetProblem | undefined): void {
    const told = held && `${revision} ${held.code}`;
    if (held && told !== toldHeld) logger.error({ code: held.code }, `${held.message}: the revision is held, nothing is changed anywhere`);
    toldHeld = told;
  }

  function record(
    next: FleetModel,
    result: Pick<Parameters<FleetStatus["record"]>[0], "problems" | "notices" | "failed" | "held"> & { moved: ReadonlyMap<string, Slice> },
  ): void {
    const newest = newestOf(sources.snapshots.flatMap(({ snapshot }) => snapshot ?? []));
    for (const [cluster, slice] of result.moved) {
      status.event({
        type: "Published",
        severity: "info",
        cluster,
        message: `Generation ${slice.generation} of ${formatRevision(slice.commits)}`,
      });
    }
    status.record({ ...result, model: next, slices: publisher.current, moved: result.moved.size, ...(newest && { commit: newest }) });
  }

  async function audit(deep: boolean): Promise<void> {
    audits += 1;
    const result = await timed("audit", () => publisher.audit(deep));
    if (result.stirred.length > 0) composeBy(0);
    if (result.republished > 0) {
      republished.add(result.republished);
      logger.warn({ [LogField.Count]: result.republished }, "JetStream had lost data; it was published again");
      status.event({
        type: "Republished",
        severity: "warning",
        message: `JetStream had lost ${result.republished} slices or manifest sets; they were published again`,
      });
    }
    if (clock.monotonicMs() >= garbageDueMs) {
      garbageDueMs = clock.monotonicMs() + GARBAGE_INTERVAL_MS;
      const removed = await publisher.collectGarbage();
      if (removed > 0) logger.info({ [LogField.Count]: removed }, "removed parts of manifest sets that no slice needs");
    }
    const [first] = result.failed;
    if (first) throw first;
  }

  const isPast = (ms: number) => ms <= clock.monotonicMs();
  /** What is published is known, and NATS is there to change it. */
  const canPublish = () => link.connected && loaded && !recallDue;

  /** What a turn consists of, in this order. What fails stays due. */
  const phases: readonly Phase[] = [
    {
      // What was published before is not known until NATS answers, and composing without it could forget something. The fleet
      // itself can be read, so that agents are taken in and operators are told.
      isDue: () => !link.connected && !loaded && isPast(composeDueMs),
      async run() {
        composeDueMs = Number.POSITIVE_INFINITY;
        const next = await readModel();
        if (next) record(next, { problems: [], notices: new Map(), failed: new Map(), moved: new Map() });
      },
      again: () => composeBy(0),
    },
    {
      // What JetStream has, after a start and after every loss of the connection.
      isDue: () => link.connected && recallDue,
      async run() {
        recallDue = false;
        await timed("recall", () => publisher.load());
        loaded = true;
        auditDueMs = 0;
        composeBy(0);
      },
      again: () => {
        recallDue = true;
      },
    },
    {
      isDue: () => canPublish() && isPast(composeDueMs),
      async run(signal) {
        composeDueMs = Number.POSITIVE_INFINITY;
        const started = clock.monotonicMs();
        await release(signal).finally(() => {
          releaseMs = clock.monotonicMs() - started;
        });
      },
      again: () => composeBy(0),
    },
    {
      isDue: () => canPublish() && (deepAsked || isPast(auditDueMs)),
      async run() {
        deepDue ||= deepAsked || audits % DEEP_EVERY === DEEP_EVERY - 1;
        deepAsked = false;
        auditDueMs = clock.monotonicMs() + jitter(options.auditIntervalMs, random);
        await audit(deepDue);
        deepDue = false;
      },
      again: () => {
        auditDueMs = 0;
      },
    },
  ];

  /** One turn of the loop: whatever is due. The error of one phase does not stop the next. */
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

  /** When something is due again, as monotonic milliseconds. While NATS is away only its return makes work, or a commit before the first load. */
  function nextDueMs(): number {
    if (link.connected) return recallDue || deepAsked ? 0 : Math.min(composeDueMs, auditDueMs);
    return loaded ? Number.POSITIVE_INFINITY : composeDueMs;
  }

  return {
    news() {
      composeBy(0);
      wakeup.wake();
    },
    natsReady() {
      recallDue = true;
      wakeup.wake();
    },
    compose() {
      composeBy(clock.monotonicMs() + Math.max(FACTS_DELAY_MS, 2 * releaseMs));
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
      return model;
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

/** The commit that a revision is shown with: of several sources the newest. */
function newestOf(
  snapshots: readonly (CommitRef & { subject: string; author: string; committedAt: string })[],
): { subject: string; author: string } | undefined {
  const [newest] = [...snapshots].sort((a, b) => Date.parse(b.committedAt) - Date.parse(a.committedAt));
  return newest && { subject: newest.subject, author: newest.author };
}
