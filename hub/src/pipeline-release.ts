import { formatRevision, type Generation, type Slice } from "@muster/shared/model";
import type { Failpoint } from "@muster/shared/runtime";
import { LogField, type Logger, type Metrics } from "@muster/shared/telemetry";
import { buildFleet } from "./fleet/build-fleet.ts";
import type { FleetModel, FleetProblem } from "./fleet/model.ts";
import type { FleetLoader } from "./load-fleet-input.ts";
import type { StageTimer } from "./pipeline-stages.ts";
import type { Publisher, PublishResult } from "./publish/publisher.ts";
import { composeSlices } from "./release/compose-slices.ts";
import type { TargetRenderer } from "./render-targets.ts";
import type { CommitSnapshot } from "./source/snapshot.ts";
import type { PipelineResult } from "./status/desired-state.ts";
import type { FleetStatus } from "./status/fleet-status.ts";
import type { SourceWatch } from "./watch-sources.ts";

/** Options of {@link createReleaser}. */
export interface ReleaserOptions {
  readonly sources: Pick<SourceWatch, "snapshots" | "tried">;
  readonly loader: FleetLoader;
  readonly targets: TargetRenderer;
  readonly publisher: Pick<Publisher, "current" | "trusted" | "publish">;
  readonly status: Pick<FleetStatus, "record" | "event" | "hasNothing">;
  /** Tells a connected agent that its slice has moved. */
  readonly hint: (cluster: string, generation: Generation) => void;
  /** Called when the fleet's model is another one. */
  readonly onModel: (model: FleetModel) => void;
  readonly failpoint: Failpoint;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly stages: StageTimer;
}

/** What the sources say now → what every cluster has: load ▸ fleet ▸ render ▸ compose ▸ publish ▸ record. */
export interface Releaser {
  /** What Git says; undefined before the first commit was read. */
  readonly model: FleetModel | undefined;
  /** Reads and records the fleet only: clusters and mistakes are known, nothing is rendered or published. */
  read(): Promise<void>;
  /**
   * Rejects if a slice could not be published; the others are. Gives true if a target failed for a reason that may have passed in a
   * minute: then the same commits are worth another try.
   */
  release(signal: AbortSignal): Promise<boolean>;
}

/** Commits, and the fleet that they say. The sources may have gone on meanwhile; a revision is of these commits only. */
interface ReadFleet {
  readonly model: FleetModel;
  /** By the name of the source. */
  readonly snapshots: ReadonlyMap<string, CommitSnapshot>;
}

/** Clusters of one commit that have an event each. */
const MAX_PUBLISHED_EVENTS = 20;

/** Why a target may fail now and not in a minute: a machine under load, a tool or a disk that was not there for a moment. */
const PASSING: ReadonlySet<string> = new Set([
  "RENDER_TIMEOUT",
  "RENDER_LIMIT",
  "RENDER_TOOL_MISSING",
  "RENDER_SANDBOX",
  "SOURCE_CLONE",
  "INTERNAL",
]);

/** What was found out on the way, for operators. */
type Outcome = Pick<PipelineResult, "problems" | "notices" | "waiting" | "failed" | "held"> & {
  readonly moved: ReadonlyMap<string, Slice>;
};

export function createReleaser(options: ReleaserOptions): Releaser {
  const { sources, publisher, status, logger, stages } = options;
  const published = options.metrics.counter("muster_hub_published_slices_total", "Slices published");
  let model: FleetModel | undefined;
  let toldHeld: string | undefined;
  /** What the last rendering found out; while nothing is rendered it still holds. */
  let last: Pick<Outcome, "problems" | "notices" | "waiting"> = { problems: [], notices: new Map(), waiting: [] };
  let recorded = false;

  /** Undefined while no source has a commit, or one may still bring its first. */
  async function readFleet(): Promise<ReadFleet | undefined> {
    if (!sources.tried) return undefined;
    const now = sources.snapshots;
    const snapshots = new Map(now.flatMap(({ source, snapshot }): [string, CommitSnapshot][] => (snapshot ? [[source, snapshot]] : [])));
    if (snapshots.size === 0) return undefined;
    const inputs = await stages.timed("load", () =>
      Promise.all(now.map(async ({ source, snapshot }) => (snapshot ? await options.loader.load(snapshot) : { source, files: [] }))),
    );
    const read = await stages.timed("fleet", () => buildFleet(inputs));
    model = read;
    options.onModel(read);
    return { model: read, snapshots };
  }

  /** A revision that is held is composed again with every agent's facts; it is said once. */
  function logHeld(revision: string, held: FleetProblem | undefined): void {
    const told = held && `${revision} ${held.code}`;
    if (held && told !== toldHeld) logger.error({ code: held.code }, `${held.message}: the revision is held, nothing is changed anywhere`);
    toldHeld = told;
  }

  function tell(revision: string, { moved, failed }: PublishResult): void {
    published.add(moved.size);
    for (const [cluster, slice] of moved) options.hint(cluster, slice);
    for (const [cluster, error] of failed)
      logger.error({ [LogField.Cluster]: cluster, code: error.code, err: error }, "a slice was not published");
    // A README, or facts of an agent that nobody asks for, are nothing to tell an operator.
    logger[moved.size > 0 ? "info" : "debug"]({ [LogField.Count]: moved.size }, `${revision}: ${moved.size} slices published`);
  }

  function record({ model: read, snapshots }: ReadFleet, outcome: Outcome): void {
    tellPublished(outcome.moved);
    const commit = newestOf([...snapshots.values()]);
    recorded = true;
    status.record({ ...outcome, model: read, slices: publisher.current, moved: outcome.moved.size, ...(commit && { commit }) });
  }

  /** Of a large fleet a commit is one event: ten thousand would push out everything else that has happened. */
  function tellPublished(moved: ReadonlyMap<string, Slice>): void {
    const [first] = moved.values();
    if (first && moved.size > MAX_PUBLISHED_EVENTS) {
      status.event({ type: "Published", severity: "info", message: `${formatRevision(first.commits)} for ${moved.size} clusters` });
      return;
    }
    for (const [cluster, { generation, commits }] of moved)
      status.event({ type: "Published", severity: "info", cluster, message: `Generation ${generation} of ${formatRevision(commits)}` });
  }

  return {
    get model() {
      return model;
    },
    async read() {
      const fleet = await readFleet();
      if (fleet) record(fleet, { ...last, failed: new Map(), moved: new Map() });
    },
    async release(signal) {
      const fleet = await readFleet();
      if (!fleet) return false;
      // The first rendering may take minutes: until then it is told what Git says, not that there is nothing.
      if (!recorded) record(fleet, { ...last, failed: new Map(), moved: new Map() });
      const { targets, commits } = fleet.model;
      const { outcomes, notices, sets, encodeMs } = await stages.timed("render", () =>
        options.targets.render(targets, fleet.snapshots, signal),
      );
      stages.observe("encode", encodeMs);
      options.failpoint("hub.afterRender");
      const composition = await stages.timed("compose", () =>
        composeSlices({ model: fleet.model, outcomes, previous: publisher.trusted, hasNothing: status.hasNothing }),
      );
      last = { problems: composition.problems, notices, waiting: composition.waiting };
      logHeld(formatRevision(commits), composition.held);
      const result = await stages.timed("publish", () => publisher.publish(composition.slices, sets, commits));
      tell(formatRevision(commits), result);
      await stages.timed("record", () => record(fleet, { ...composition, notices, ...result }));
      const [first] = result.failed.values();
      if (first) throw first;
      return composition.problems.some(({ code }) => PASSING.has(code));
    },
  };
}

/** The commit that a revision is shown with: of several sources the newest. */
function newestOf(snapshots: readonly CommitSnapshot[]): { subject: string; author: string } | undefined {
  const [newest] = [...snapshots].sort((a, b) => Date.parse(b.committedAt) - Date.parse(a.committedAt));
  return newest && { subject: newest.subject, author: newest.author };
}
