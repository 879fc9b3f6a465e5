import { CodedError } from "@muster/shared/errors";
import { type Generation, type Slice, formatRevision } from "@muster/shared/model";
import { type Clock, type Random, Wakeup, jitter } from "@muster/shared/runtime";
import { LogField, type Logger, type Metrics } from "@muster/shared/telemetry";
import { type EncodedManifestSet, encodeManifestSet } from "@muster/shared/wire";
import { type FleetSourceInput, buildFleet } from "./fleet/build-fleet.ts";
import type { FleetModel, Target } from "./fleet/model.ts";
import type { NatsLink } from "./publish/nats-link.ts";
import type { Publisher } from "./publish/publisher.ts";
import { type TargetOutcome, composeSlices } from "./release/compose-slices.ts";
import type { ClusterCapabilities, RenderNotice, RenderedTarget, Renderer } from "./render/renderer.ts";
import type { FleetLoader } from "./load-fleet-input.ts";
import type { CommitSnapshot, Source } from "./source/snapshot.ts";
import type { FleetStatus } from "./status/fleet-status.ts";

/** A source and how often to look at it. */
export interface WatchedSource {
  readonly source: Source;
  readonly url: string;
  /** Milliseconds. */
  readonly pollIntervalMs: number;
}

/** Options of {@link createPipeline}. */
export interface PipelineOptions {
  readonly sources: readonly WatchedSource[];
  readonly loader: FleetLoader;
  readonly renderer: Renderer;
  readonly publisher: Publisher;
  readonly link: NatsLink;
  readonly status: FleetStatus;
  /** Tells a connected agent that its slice has moved. */
  readonly hint: (cluster: string, generation: Generation) => void;
  /** Milliseconds between two audits. */
  readonly auditIntervalMs: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** From commits to slices: the publish loop. */
export interface Pipeline {
  /** Look at a source now (all without a name). Says when, never what. */
  look(source?: string): void;
  /** NATS is there (again): load what is in the streams and audit. */
  natsReady(): void;
  /** A cluster's facts have changed, or its agent is ahead of us: compose again. */
  compose(): void;
  /** True once the state in NATS was loaded. */
  readonly loaded: boolean;
  readonly model: FleetModel | undefined;
  run(signal: AbortSignal): Promise<void>;
}

/** While no agent of a cluster has reported. */
const NO_CAPABILITIES: ClusterCapabilities = { apiVersions: [], clusterScopedKinds: new Set() };

interface SourceState extends WatchedSource {
  snapshot: CommitSnapshot | undefined;
  dueMs: number;
}

export function createPipeline(options: PipelineOptions): Pipeline {
  const { publisher, status, clock, random, logger } = options;
  const sources: SourceState[] = options.sources.map((watched) => ({ ...watched, snapshot: undefined, dueMs: 0 }));
  const wakeup = new Wakeup();
  const stage = options.metrics.histogram("muster_hub_stage_duration_seconds", "Time of each stage of the publish loop", { labels: ["stage"] });
  const published = options.metrics.counter("muster_hub_published_slices_total", "Slices published");
  const encodings = new WeakMap<RenderedTarget, EncodedManifestSet>();
  let loaded = false;
  let natsCame = false;
  let composeAsked = false;
  let auditDueMs = 0;
  let garbageDueMs = clock.monotonicMs() + 60_000;
  let model: FleetModel | undefined;

  async function timed<T>(name: string, work: () => Promise<T> | T): Promise<T> {
    const started = clock.monotonicMs();
    try {
      return await work();
    } finally {
      const ms = clock.monotonicMs() - started;
      stage.observe(ms / 1000, { stage: name });
      logger.debug({ [LogField.Part]: name, [LogField.DurationMs]: Math.round(ms * 10) / 10 }, "stage");
    }
  }

  /** Fetches what is due, all at once. A failure keeps the last snapshot. Gives true if any commit is new. */
  async function fetchSources(signal: AbortSignal): Promise<boolean> {
    const now = clock.monotonicMs();
    const due = sources.filter((source) => source.dueMs <= now);
    const news = await Promise.all(
      due.map(async (source) => {
        source.dueMs = Number.POSITIVE_INFINITY;
        const view = { name: source.source.name, url: source.url, ref: source.source.ref };
        try {
          const snapshot = await source.source.fetch(signal);
          status.recordSource({ ...view, commit: snapshot.commit, fetchedAt: new Date(clock.wallMs()).toISOString() }, undefined);
          const isNew = snapshot.commit !== source.snapshot?.commit;
          if (isNew) logger.info({ [LogField.Source]: view.name, [LogField.Commit]: snapshot.commit }, snapshot.subject);
          source.snapshot = snapshot;
          return isNew;
        } catch (error) {
          if (signal.aborted) throw error;
          const coded = CodedError.from(error, "SOURCE_PROTOCOL");
          logger.warn({ [LogField.Source]: view.name, code: coded.code, err: coded }, "the source cannot be fetched; its last commit stays in force");
          status.recordSource({ ...view, ...(source.snapshot && { commit: source.snapshot.commit }) }, coded);
          return false;
        } finally {
          // A webhook that came meanwhile has set it to now already.
          if (source.dueMs === Number.POSITIVE_INFINITY) source.dueMs = clock.monotonicMs() + jitter(source.pollIntervalMs, random);
        }
      }),
    );
    return news.some((isNew) => isNew);
  }

  async function buildModel(): Promise<FleetModel> {
    const inputs: FleetSourceInput[] = await Promise.all(
      sources.map(async ({ source, snapshot }) => (snapshot ? options.loader.load(snapshot) : { source: source.name, files: [] })),
    );
    return buildFleet(inputs);
  }

  async function renderTargets(next: FleetModel, signal: AbortSignal): Promise<{ outcomes: TargetOutcome[]; notices: Map<string, readonly RenderNotice[]>; sets: Map<string, EncodedManifestSet> }> {
    const notices = new Map<string, readonly RenderNotice[]>();
    const sets = new Map<string, EncodedManifestSet>();
    const outcomes = await Promise.all(
      next.targets.map(async (target): Promise<TargetOutcome> => {
        const snapshot = sources.find(({ source }) => source.name === target.bundle.source)?.snapshot;
        try {
          if (!snapshot) throw new CodedError("SOURCE_UNREACHABLE", `The source ${target.bundle.source} has no commit yet`);
          const rendered = await options.renderer.render(target, snapshot, capabilitiesOf(target), signal);
          if (rendered.notices.length > 0) notices.set(`${target.bundle.name}/${target.cluster.name}`, rendered.notices);
          let set = encodings.get(rendered);
          if (!set) {
            set = encodeManifestSet(rendered.manifests);
            encodings.set(rendered, set);
          }
          sets.set(set.ref.digest, set);
          return { target, set };
        } catch (error) {
          if (signal.aborted) throw error;
          const coded = CodedError.from(error);
          const where = coded.at ? `${[target.bundle.directory, coded.at.file].filter((part) => part !== "" && !coded.at?.file.startsWith(`${target.bundle.directory}/`)).join("/") || coded.at.file}${coded.at.line ? `:${coded.at.line}` : ""}: ` : "";
          return { target, error: { code: coded.code, message: `${where}${coded.message}` } };
        }
      }),
    );
    return { outcomes, notices, sets };
  }

  const capabilities = new WeakMap<object, ClusterCapabilities>();
  function capabilitiesOf(target: Target): ClusterCapabilities {
    const facts = status.facts(target.cluster.name);
    if (!facts) return NO_CAPABILITIES;
    let known = capabilities.get(facts);
    if (!known) {
      known = {
        ...(facts.kubernetesVersion && { kubernetesVersion: facts.kubernetesVersion }),
        apiVersions: facts.apiVersions,
        clusterScopedKinds: new Set(facts.clusterScopedKinds),
      };
      capabilities.set(facts, known);
    }
    return known;
  }

  /** What the sources say now → what every cluster has. */
  async function release(signal: AbortSignal): Promise<void> {
    if (sources.every(({ snapshot }) => !snapshot)) return;
    const next = await timed("fleet", buildModel);
    model = next;
    const { outcomes, notices, sets } = await timed("render", () => renderTargets(next, signal));
    const composition = await timed("compose", () => composeSlices({ model: next, outcomes, previous: publisher.current }));
    if (composition.held) logger.error({ code: composition.held.code }, `${composition.held.message}: the revision is held, nothing is changed anywhere`);
    const { moved, failed } = await timed("publish", () => publisher.publish(composition.slices, sets, next.commits));
    published.add(moved.size);
    for (const [cluster, slice] of moved) tellPublished(cluster, slice);
    for (const [cluster, error] of failed) logger.error({ [LogField.Cluster]: cluster, code: error.code, err: error }, "a slice was not published");
    const newest = sources.map(({ snapshot }) => snapshot).find((snapshot) => snapshot !== undefined);
    status.record({
      model: next, notices, problems: composition.problems, slices: publisher.current, moved: moved.size, failed,
      ...(composition.held && { held: composition.held }),
      ...(newest && { commit: { subject: newest.subject, author: newest.author } }),
    });
    logger.info({ [LogField.Count]: moved.size }, `${formatRevision(next.commits)}: ${moved.size} slices published`);
    if (failed.size > 0) throw [...failed.values()][0] as CodedError;
  }

  function tellPublished(cluster: string, slice: Slice): void {
    options.hint(cluster, slice);
    status.event({ type: "Published", severity: "info", cluster, message: `Generation ${slice.generation} of ${formatRevision(slice.commits)}` });
  }

  async function audit(): Promise<void> {
    const { republished } = await timed("audit", () => publisher.audit());
    if (republished > 0) {
      logger.warn({ [LogField.Count]: republished }, "JetStream had lost data; it was published again");
      status.event({ type: "Republished", severity: "warning", message: `JetStream had lost ${republished} slices or manifest sets; they were published again` });
    }
    if (clock.monotonicMs() >= garbageDueMs) {
      garbageDueMs = clock.monotonicMs() + 10 * 60_000;
      await publisher.collectGarbage();
    }
  }

  /** One turn of the loop. Each phase says by itself whether there is something to do. */
  async function turn(signal: AbortSignal): Promise<void> {
    const news = await timed("fetch", () => fetchSources(signal));
    if (!options.link.connected) {
      // What was published before is not known until NATS answers, and composing without it could forget something.
      composeAsked ||= news;
      return;
    }
    const reconnected = natsCame;
    natsCame = false;
    if (reconnected || !loaded) {
      await timed("load", () => publisher.load());
      loaded = true;
      auditDueMs = 0;
      composeAsked = true;
    }
    if (news || composeAsked) {
      composeAsked = false;
      try {
        await release(signal);
      } catch (error) {
        composeAsked = true;
        throw error;
      }
    }
    if (clock.monotonicMs() >= auditDueMs) {
      auditDueMs = clock.monotonicMs() + jitter(options.auditIntervalMs, random);
      await audit();
    }
  }

  return {
    look(name) {
      for (const source of sources) if (name === undefined || source.source.name === name) source.dueMs = 0;
      wakeup.wake();
    },
    natsReady() {
      natsCame = true;
      wakeup.wake();
    },
    compose() {
      composeAsked = true;
      wakeup.wake();
    },
    get loaded() {
      return loaded;
    },
    get model() {
      return model;
    },
    async run(signal) {
      while (!signal.aborted) {
        let failed = false;
        try {
          await turn(signal);
        } catch (error) {
          if (signal.aborted) return;
          failed = true;
          const coded = CodedError.from(error);
          logger.error({ code: coded.code, err: coded }, "the publish loop could not finish its turn; trying again");
        }
        const now = clock.monotonicMs();
        const due = Math.min(...sources.map(({ dueMs }) => dueMs), options.link.connected ? auditDueMs : Number.POSITIVE_INFINITY);
        await wakeup.wait(failed ? 1_000 : Math.max(5, due - now), signal);
      }
    },
  };
}
