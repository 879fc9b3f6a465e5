import { CodedError } from "@muster/shared/errors";
import { type Clock, createBackoff, type Failpoint, jitter, type Random, Wakeup } from "@muster/shared/runtime";
import { LogField, type Logger, type Metrics } from "@muster/shared/telemetry";
import type { CommitSnapshot, Source } from "./source/snapshot.ts";
import type { SourceView } from "./status/views.ts";

/** A source and how often to look at it. */
export interface WatchedSource {
  readonly source: Source;
  readonly url: string;
  /** Milliseconds. */
  readonly pollIntervalMs: number;
}

/** Options of {@link createSourceWatch}. */
export interface SourceWatchOptions {
  readonly sources: readonly WatchedSource[];
  /** Told after every fetch. */
  readonly record: (view: Omit<SourceView, "conditions">, problem: CodedError | undefined) => void;
  /** Told when a ref was rewritten: its new commit is taken all the same. */
  readonly onRewrite: (message: string) => void;
  /** Called when a commit is new, or when every source has been tried for the first time. */
  readonly onNews: () => void;
  readonly failpoint: Failpoint;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** Looks at every source on its own, so that one that hangs delays no other. */
export interface SourceWatch {
  /** The last good snapshot of every source; undefined: none yet. */
  readonly snapshots: readonly { readonly source: string; readonly snapshot: CommitSnapshot | undefined }[];
  /** true once every source has answered or failed. Before that, a missing one only means that it is slow. */
  readonly tried: boolean;
  /** Look now (all without a name). Many calls while one look runs make one more look (E167). */
  look(source?: string): void;
  run(signal: AbortSignal): Promise<void>;
}

/** The first retry of a failed fetch, in milliseconds; then slower, up to the poll interval. */
const FIRST_RETRY_MS = 1_000;

export function createSourceWatch(options: SourceWatchOptions): SourceWatch {
  const { clock, random, logger, record } = options;
  const duration = options.metrics.histogram("muster_hub_fetch_duration_seconds", "Time of one look at a source", {
    labels: ["source", "result"],
  });
  const watches = options.sources.map((watched) => ({
    ...watched,
    wakeup: new Wakeup(),
    snapshot: undefined as CommitSnapshot | undefined,
    tried: false,
  }));
  type Watch = (typeof watches)[number];

  /** A failure keeps the last snapshot. */
  async function look(watch: Watch, signal: AbortSignal): Promise<boolean> {
    const view = { name: watch.source.name, url: watch.url, ref: watch.source.ref };
    const started = clock.monotonicMs();
    try {
      const snapshot = await watch.source.fetch(signal);
      options.failpoint("hub.afterFetch");
      const isNew = snapshot.commit !== watch.snapshot?.commit;
      // The same commit in another object can be read where the one before could not.
      const isMended = !isNew && snapshot !== watch.snapshot;
      watch.snapshot = snapshot;
      record({ ...view, commit: snapshot.commit, fetchedAt: new Date(clock.wallMs()).toISOString() }, undefined);
      const ms = clock.monotonicMs() - started;
      duration.observe(ms / 1000, { source: view.name, result: "ok" });
      if (isNew && snapshot.rewrites) tellRewrite(snapshot, snapshot.rewrites);
      if (isNew)
        logger.info(
          { [LogField.Source]: view.name, [LogField.Commit]: snapshot.commit, [LogField.DurationMs]: Math.round(ms) },
          snapshot.subject,
        );
      if (isNew || isMended) options.onNews();
      return true;
    } catch (error) {
      if (signal.aborted) return true;
      const coded = CodedError.from(error, "SOURCE_PROTOCOL");
      duration.observe((clock.monotonicMs() - started) / 1000, { source: view.name, result: "failed" });
      logger.warn(
        { [LogField.Source]: view.name, code: coded.code, err: coded },
        "the source cannot be fetched; its last commit stays in force",
      );
      // After a start there may still be what an earlier process has fetched: as good as before, only not fresh.
      if (!watch.tried) watch.snapshot ??= await watch.source.kept();
      record({ ...view, ...(watch.snapshot && { commit: watch.snapshot.commit }) }, coded);
      return false;
    }
  }

  function tellRewrite({ source, ref, commit }: CommitSnapshot, before: string): void {
    const { code, message } = new CodedError(
      "SOURCE_REWRITTEN",
      `${ref} was rewritten: ${before.slice(0, 12)} is not in the history of ${commit.slice(0, 12)}, which is taken`,
    );
    logger.warn({ [LogField.Source]: source, code }, message);
    options.onRewrite(`${source}: ${message} [${code}]`);
  }

  async function follow(watch: Watch, signal: AbortSignal): Promise<void> {
    const backoff = createBackoff({ initialMs: FIRST_RETRY_MS, maxMs: watch.pollIntervalMs, random });
    while (!signal.aborted) {
      const good = await look(watch, signal);
      if (good) backoff.reset();
      if (!watch.tried) {
        watch.tried = true;
        if (watches.every(({ tried }) => tried)) options.onNews();
      }
      await watch.wakeup.wait(good ? jitter(watch.pollIntervalMs, random) : backoff.next(), signal);
    }
  }

  return {
    get snapshots() {
      return watches.map(({ source, snapshot }) => ({ source: source.name, snapshot }));
    },
    get tried() {
      return watches.every(({ tried }) => tried);
    },
    look(name) {
      for (const { source, wakeup } of watches) if (name === undefined || source.name === name) wakeup.wake();
    },
    async run(signal) {
      await Promise.all(watches.map((watch) => follow(watch, signal)));
    },
  };
}
