import type { KeyObject } from "node:crypto";
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { CodedError } from "@muster/shared/errors";
import type { BundleReport, ClusterFacts, ReportedEvent } from "@muster/shared/model";
import { type Clock, jitter, type Lifecycle, type Random } from "@muster/shared/runtime";
import type { Logger, Metrics } from "@muster/shared/telemetry";
import { createApplier } from "./apply/applier.ts";
import { notedApplier, notedPruner } from "./apply/noted-work.ts";
import { createPruner } from "./apply/pruner.ts";
import type { AgentConfig } from "./config.ts";
import type { AgentFailpoint } from "./failpoints.ts";
import { type AgentIdentity, createAgentIdentity } from "./identity/agent-identity.ts";
import type { Cluster, Discovery } from "./kube/cluster.ts";
import { apiVersionOf } from "./kube/discovery.ts";
import { createDiscoveryCache } from "./kube/discovery-cache.ts";
import { createCrashNotes } from "./observe/crash-notes.ts";
import { createObserver } from "./observe/create-observer.ts";
import { createDeletionWindow } from "./policy/deletion-window.ts";
import { policedCluster } from "./policy/policed-cluster.ts";
import { type AgentPolicy, OPEN_POLICY } from "./policy/policy.ts";
import { type DesiredState, loadKeptState } from "./pull/desired-state.ts";
import { createIntake, refuseTooLarge } from "./pull/intake.ts";
import { createSlicePuller, type SlicePuller } from "./pull/slice-puller.ts";
import { createStateStore } from "./pull/state-store.ts";
import { createReconciler } from "./reconcile/reconciler.ts";
import { enroll, renew } from "./report/enrolment-client.ts";
import { type HubCredentials, type HubStream, isDenied, openHubStream } from "./report/hub-stream.ts";
import { createReporter } from "./report/reporter.ts";
import { AGENT_VERSION } from "./version.ts";

/** Options of {@link startWriter}. */
export interface WriterOptions {
  readonly config: AgentConfig;
  /** Refuses writes when this instance is not the writer any more. */
  readonly cluster: Cluster;
  /** What this cluster lets its agent do. Default: all that its roles allow. */
  readonly policy?: AgentPolicy;
  /** A person has paused the agent in its cluster. Default: nobody has. */
  readonly isPaused?: () => boolean;
  /** Keys that slices are signed with. */
  readonly pinned: readonly KeyObject[];
  /** Random per process. */
  readonly instance: string;
  /** Its end is the end of all that is started here. */
  readonly lifecycle: Lifecycle;
  readonly failpoint: AgentFailpoint;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Where slices come from. Default: NATS, as the settings say. */
  readonly puller?: SlicePuller;
  /** Where reports go. Default: the hub that the settings name. */
  readonly openHub?: () => Promise<HubStream>;
}

/** An agent that does its work, and what can be asked of it. */
export interface Writer {
  /** true: the kept state is known and the API server has answered. */
  readonly ready: boolean;
  readonly hubConnected: boolean;
  readonly natsConnected: boolean;
  /** Of the slice in force; 0: none. */
  readonly generation: number;
  sumOf(key: "objects" | "drifted" | "failed"): number;
  /** Tells the hub. */
  event(event: ReportedEvent): void;
}

/** Puts the work of an agent together and starts it: pull ▸ plan ▸ apply ▸ observe ▸ report. */
export function startWriter(options: WriterOptions): Writer {
  const { config, cluster, clock, random, logger, metrics, failpoint, policy = OPEN_POLICY } = options;
  const { signal } = options.lifecycle;
  const base = { clock, random, logger };

  // The cluster.
  const discovery = createDiscoveryCache(cluster, clock);
  const crashNotes = createCrashNotes({ folder: config.MUSTER_WORK_DIR, cluster: config.MUSTER_CLUSTER, ...base });
  options.lifecycle.onStop("crash notes", async () => crashNotes.close());
  const observer = createObserver({
    crashNotes,
    wantedOf: (bundle, ref) => reconciler.wanted(bundle, ref),
    driftValues: config.MUSTER_DRIFT_VALUES,
    ...base,
    cluster,
    failpoint,
    watchNamespaces: config.MUSTER_WATCH_NAMESPACES,
    relistIntervalMs: config.MUSTER_RELIST_INTERVAL_MS,
  });
  const store = createStateStore({ cluster, failpoint, namespace: config.namespace });
  // Everything that goes by what a slice says is written through this, and nothing else is.
  const policed = policedCluster(cluster, {
    policy,
    isPaused: options.isPaused ?? (() => false),
    deletions: createDeletionWindow({ ...policy.deletions, clock, store: createStateStore({ cluster, namespace: config.namespace }) }),
  });
  const applier = notedApplier(
    createApplier({
      cluster: policed,
      discovery,
      observer,
      failpoint,
      clock,
      ownNamespace: config.namespace,
      watchNamespaces: config.MUSTER_WATCH_NAMESPACES,
    }),
    crashNotes,
  );
  const reconciler = createReconciler({
    ...base,
    cluster,
    discovery,
    observer,
    applier,
    store,
    metrics,
    failpoint,
    prune: notedPruner(createPruner({ cluster: policed, discovery, observer }), crashNotes),
    ownNamespace: config.namespace,
    watchNamespaces: config.MUSTER_WATCH_NAMESPACES,
    concurrency: config.MUSTER_CONCURRENCY,
  });

  // Who it is to the hub and to NATS.
  const identity = enrolledIdentity();

  // What Git wants of it.
  const puller =
    options.puller ??
    createSlicePuller({
      ...base,
      cluster: config.MUSTER_CLUSTER,
      url: config.MUSTER_NATS_URL,
      pollIntervalMs: config.MUSTER_POLL_INTERVAL_MS,
      ...(identity && { user: () => natsUserOf(identity) }),
      ...(config.MUSTER_NATS_CREDS_FILE && { credsFile: config.MUSTER_NATS_CREDS_FILE }),
      ...(config.MUSTER_NATS_CA_FILE && { caFile: config.MUSTER_NATS_CA_FILE }),
    });
  const intake = createIntake({
    ...base,
    pinned: options.pinned,
    failpoint,
    maxObjects: policy.maxObjects,
    identity: { cluster: config.MUSTER_CLUSTER, trustDomain: config.MUSTER_TRUST_DOMAIN },
    fetchBlob: (ref) => puller.fetchBlob(ref),
    current: () => reconciler.desired,
    coming: (slice) => reconciler.coming(slice),
    take: (desired, fetched) => reconciler.take(desired, fetched),
  });
  puller.onMessage((message) => intake.offer(message));

  // What the hub hears.
  let facts: ClusterFacts = { agentVersion: AGENT_VERSION, kubernetesVersion: "", apiVersions: [], clusterScopedKinds: [] };
  const reporter = createReporter({
    ...base,
    failpoint,
    open:
      options.openHub ??
      (async () => {
        const stream = openHubStream({
          ...(identity ? identity.current() : await credentialsFromFiles(config)),
          address: config.MUSTER_HUB_ADDRESS,
          ...(config.MUSTER_HUB_SERVER_NAME && { serverName: config.MUSTER_HUB_SERVER_NAME }),
        });
        stream.onEnd((error) => isDenied(error) && identity?.doubt());
        return stream;
      }),
    instance: options.instance,
    source: {
      facts: () => facts,
      highWater: () => intake.highWater,
      cluster: () => reconciler.report(intake.problem),
      exceptions: () => reconciler.exceptions(),
    },
    commands: {
      reconcile(bundle) {
        crashNotes.forgive();
        reconciler.trigger(bundle);
      },
      sliceHint: () => puller.poll(),
      rotate: () => identity?.rotate(),
      inspect: (what) => reconciler.inspect(what),
    },
  });
  discovery.onChange((found) => {
    facts = { ...facts, ...factsOf(found) };
    reporter.notify();
  });
  reconciler.onChange(() => reporter.notify());
  reconciler.onEvent((event) => reporter.event(event));
  reconciler.onDrift((exception) => reporter.seen(exception));
  intake.onChange(() => reporter.notify());

  let summed: { readonly atMs: number; readonly bundles: readonly BundleReport[] } | undefined;
  let resumed = false;
  if (identity) options.lifecycle.run("identity", identity.run(signal));
  options.lifecycle.run("observe", observer.run(signal));
  options.lifecycle.run("facts", keepFactsFresh());
  options.lifecycle.run(
    "reconcile",
    (async () => {
      // Nothing is taken before the last good state is known: without the high-water mark an old slice would look new.
      const kept = await untilAnswered(() => loadKeptState(store, options.pinned), "the agent's state");
      facts = { ...facts, kubernetesVersion: await untilAnswered(() => cluster.version(signal), "the API server's version") };
      await untilAnswered(() => discovery.current(signal), "the API server's discovery");
      failpoint("agent.afterResume");
      intake.resume(kept.highWater);
      if (kept.problem)
        logger.error({ code: kept.problem.code, err: kept.problem }, "the last good slice cannot be read; waiting for NATS");
      if (kept.desired) resumeWithin(kept.desired);
      resumed = true;
      logger.info({ generation: kept.highWater?.generation ?? 0 }, kept.desired ? "resumed from the last good slice" : "no slice yet");
      // Only now has the agent something to say: a Hello without facts would look like a cluster that serves no API, for which
      // the hub would render less, and one without the high-water mark like a cluster that has taken nothing (D7).
      const outside = async (run: (signal: AbortSignal) => Promise<void>) => {
        await identity?.ready(signal);
        await run(signal);
      };
      options.lifecycle.run("report", outside(reporter.run));
      await Promise.all([intake.run(signal), outside(puller.run), reconciler.run(signal)]);
    })(),
  );
  return {
    get ready() {
      return resumed;
    },
    get hubConnected() {
      return reporter.connected;
    },
    get natsConnected() {
      return puller.connected;
    },
    get generation() {
      return reconciler.desired?.slice.generation ?? 0;
    },
    sumOf: (key) => bundles().reduce((sum, bundle) => sum + bundle[key], 0),
    event: (event) => reporter.event(event),
  };

  /** What the policy allows may be less than when the slice was taken. */
  function resumeWithin(desired: DesiredState): void {
    try {
      refuseTooLarge(desired, policy.maxObjects);
      reconciler.resume(desired);
    } catch (error) {
      const coded = CodedError.from(error);
      logger.error({ code: coded.code, err: coded }, "the last good slice is not gone on with");
      intake.cannotResume(coded, desired);
    }
  }

  function enrolledIdentity(): AgentIdentity | undefined {
    if (!config.MUSTER_ENROL_ADDRESS || options.openHub) return undefined;
    const name = config.MUSTER_HUB_SERVER_NAME && { serverName: config.MUSTER_HUB_SERVER_NAME };
    const enrolment = { address: config.MUSTER_ENROL_ADDRESS, ...name };
    return createAgentIdentity({
      ...base,
      cluster: config.MUSTER_CLUSTER,
      trustDomain: config.MUSTER_TRUST_DOMAIN,
      ca: () => readFileSync(config.MUSTER_HUB_CA_FILE, "utf8"),
      token: () => tokenFrom(config.MUSTER_ENROL_TOKEN_FILE),
      // A store of its own: what the reconciler keeps and mends is none of this.
      store: createStateStore({ cluster, failpoint, namespace: config.namespace }),
      link: {
        enroll: async (request) => enroll({ ...enrolment, ca: await readFile(config.MUSTER_HUB_CA_FILE, "utf8") }, request),
        renew: ({ cert, key, ca }, request) => renew({ address: config.MUSTER_HUB_ADDRESS, ca, cert, key, ...name }, request),
      },
    });
  }

  /** As of at most a second ago: a scrape asks for several sums, each of which would look at every object. */
  function bundles(): readonly BundleReport[] {
    if (!summed || clock.monotonicMs() - summed.atMs > 1_000)
      summed = { atMs: clock.monotonicMs(), bundles: reconciler.report(undefined).bundles };
    return summed.bundles;
  }

  /** An upgraded API server, or a definition that somebody else installed, changes what charts render to. */
  async function keepFactsFresh(): Promise<void> {
    for (;;) {
      await clock.sleep(jitter(config.MUSTER_RELIST_INTERVAL_MS, random, 0.2), signal);
      if (!resumed) continue;
      reconciler.checkState();
      try {
        const kubernetesVersion = await cluster.version(signal);
        if (kubernetesVersion !== facts.kubernetesVersion) facts = { ...facts, kubernetesVersion };
        await discovery.refresh({ signal });
      } catch (error) {
        logger.debug({ err: error }, "what the API server serves could not be asked; tried again at the next interval");
      }
    }
  }

  /** The API server may be down when the agent starts (E261): wait for it, and say so. */
  async function untilAnswered<T>(ask: () => Promise<T>, what: string): Promise<T> {
    for (;;) {
      try {
        return await ask();
      } catch (error) {
        if (signal.aborted) throw error;
        const coded = CodedError.from(error);
        logger.warn({ code: coded.code, err: coded }, `waiting for ${what}`);
        await clock.sleep(1_000, signal);
      }
    }
  }
}

function natsUserOf(identity: AgentIdentity): { readonly jwt: string; readonly seed: string } {
  const { natsJwt: jwt, natsSeed: seed } = identity.current();
  return { jwt, seed };
}

/** Read at every connect, so that renewed ones need no restart. */
async function credentialsFromFiles(config: AgentConfig): Promise<HubCredentials> {
  const paths = [config.MUSTER_HUB_CA_FILE, config.MUSTER_CERT_FILE ?? "", config.MUSTER_KEY_FILE ?? ""];
  const [ca = "", cert = "", key = ""] = await Promise.all(paths.map((path) => readFile(path, "utf8")));
  return { ca, cert, key };
}

/** The token is good once: that it is gone from the chart's values later is no problem. */
function tokenFrom(path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return undefined;
  }
}

/** What the hub needs to render for this cluster. */
function factsOf(discovery: Discovery): Pick<ClusterFacts, "apiVersions" | "clusterScopedKinds"> {
  const versions = new Set<string>(discovery.apiVersions);
  const clusterScoped = new Set<string>();
  for (const type of discovery.all) {
    versions.add(`${apiVersionOf(type)}/${type.kind}`);
    if (!type.namespaced) clusterScoped.add(`${type.group}/${type.kind}`);
  }
  return { apiVersions: [...versions].sort(), clusterScopedKinds: [...clusterScoped].sort() };
}
