import { createPublicKey, randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { CodedError, formatError } from "@muster/shared/errors";
import type { ClusterFacts } from "@muster/shared/model";
import { createFailpoints, createLifecycle, jitter, type Lifecycle, systemClock } from "@muster/shared/runtime";
import { createLogger, createMetrics } from "@muster/shared/telemetry";
import { createApplier } from "./apply/applier.ts";
import { createPruner } from "./apply/pruner.ts";
import { type AgentConfig, loadConfig } from "./config.ts";
import { startHealthServer } from "./health-server.ts";
import type { Discovery } from "./kube/cluster.ts";
import { createCluster } from "./kube/create-cluster.ts";
import { apiVersionOf } from "./kube/discovery.ts";
import { createDiscoveryCache } from "./kube/discovery-cache.ts";
import { createObserver } from "./observe/create-observer.ts";
import { loadKeptState } from "./pull/desired-state.ts";
import { createIntake } from "./pull/intake.ts";
import { createSlicePuller } from "./pull/slice-puller.ts";
import { createStateStore } from "./pull/state-store.ts";
import { createReconciler } from "./reconcile/reconciler.ts";
import { openHubStream } from "./report/hub-stream.ts";
import { createReporter } from "./report/reporter.ts";
import { AGENT_VERSION } from "./version.ts";

/** Starts an agent: pull ▸ plan ▸ apply ▸ observe ▸ report. The lifecycle stops it. */
export async function startAgent(config: AgentConfig): Promise<Lifecycle> {
  const logger = createLogger({ name: "muster-agent", level: config.MUSTER_LOG_LEVEL });
  const lifecycle = createLifecycle({ logger });
  const { signal } = lifecycle;
  const base = { clock: systemClock, random: Math.random, logger };
  const failpoint = createFailpoints(config.MUSTER_FAILPOINTS);
  const pinned = readSigningKeys(config.MUSTER_SIGNING_KEYS_FILE);
  const metrics = createMetrics();

  // The cluster.
  const userAgent = `muster-agent/${AGENT_VERSION}`;
  const cluster = createCluster({
    userAgent,
    connections: config.MUSTER_CONCURRENCY,
    ...(config.KUBECONFIG && { kubeconfig: config.KUBECONFIG }),
  });
  lifecycle.onStop("cluster", () => cluster.close());
  const discovery = createDiscoveryCache(cluster, systemClock);
  const observer = createObserver({
    ...base,
    cluster,
    watchNamespaces: config.MUSTER_WATCH_NAMESPACES,
    relistIntervalMs: config.MUSTER_RELIST_INTERVAL_MS,
  });
  const store = createStateStore({ cluster, namespace: config.namespace });
  const applier = createApplier({
    cluster,
    discovery,
    observer,
    clock: systemClock,
    ownNamespace: config.namespace,
    watchNamespaces: config.MUSTER_WATCH_NAMESPACES,
  });
  const reconciler = createReconciler({
    ...base,
    cluster,
    discovery,
    observer,
    applier,
    store,
    metrics,
    failpoint,
    prune: createPruner({ cluster, discovery, observer }),
    ownNamespace: config.namespace,
    concurrency: config.MUSTER_CONCURRENCY,
  });

  // What Git wants of it.
  const puller = createSlicePuller({
    ...base,
    cluster: config.MUSTER_CLUSTER,
    url: config.MUSTER_NATS_URL,
    pollIntervalMs: config.MUSTER_POLL_INTERVAL_MS,
    ...(config.MUSTER_NATS_CREDS_FILE && { credsFile: config.MUSTER_NATS_CREDS_FILE }),
    ...(config.MUSTER_NATS_CA_FILE && { caFile: config.MUSTER_NATS_CA_FILE }),
  });
  const intake = createIntake({
    ...base,
    pinned,
    failpoint,
    identity: { cluster: config.MUSTER_CLUSTER, trustDomain: config.MUSTER_TRUST_DOMAIN },
    fetchBlob: (ref) => puller.fetchBlob(ref),
    current: () => reconciler.desired,
    take: (desired, fetched) => reconciler.take(desired, fetched),
  });
  puller.onMessage((message) => intake.offer(message));

  // What the hub hears.
  let facts: ClusterFacts = { agentVersion: AGENT_VERSION, kubernetesVersion: "", apiVersions: [], clusterScopedKinds: [] };
  const reporter = createReporter({
    ...base,
    open: () =>
      openHubStream({
        address: config.MUSTER_HUB_ADDRESS,
        caFile: config.MUSTER_HUB_CA_FILE,
        certFile: config.MUSTER_CERT_FILE,
        keyFile: config.MUSTER_KEY_FILE,
        ...(config.MUSTER_HUB_SERVER_NAME && { serverName: config.MUSTER_HUB_SERVER_NAME }),
      }),
    instance: randomUUID(),
    source: {
      facts: () => facts,
      highWater: () => intake.highWater,
      cluster: () => reconciler.report(intake.problem),
      exceptions: () => reconciler.exceptions(),
    },
    commands: {
      reconcile: (bundle) => reconciler.trigger(bundle),
      sliceHint: () => puller.poll(),
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

  // Health first, so that a slow start is visible.
  let resumed = false;
  metrics.observed("muster_agent_hub_connected", "1 while the stream to the hub is up", () => Number(reporter.connected));
  metrics.observed("muster_agent_nats_connected", "1 while NATS is connected", () => Number(puller.connected));
  metrics.observed("muster_agent_generation", "Generation of the slice in force", () => reconciler.desired?.slice.generation ?? 0);
  const sumOf = (key: "objects" | "drifted" | "failed") =>
    reconciler.report(undefined).bundles.reduce((sum, bundle) => sum + bundle[key], 0);
  metrics.observed("muster_agent_objects", "Objects that the slice wants", () => sumOf("objects"));
  metrics.observed("muster_agent_objects_drifted", "Objects that differ from Git", () => sumOf("drifted"));
  metrics.observed("muster_agent_objects_failed", "Objects that could not be applied or deleted", () => sumOf("failed"));
  if (config.MUSTER_METRICS_LISTEN !== "") {
    const health = await startHealthServer({
      listen: config.MUSTER_METRICS_LISTEN,
      metrics,
      notReady: () => (resumed ? [] : ["the API server has not answered yet"]),
    });
    lifecycle.onStop("health", () => health.close());
  }

  lifecycle.run("observe", observer.run(signal));
  lifecycle.run("facts", keepFactsFresh());
  lifecycle.run(
    "reconcile",
    (async () => {
      // Nothing is taken before the last good state is known: without the high-water mark an old slice would look new.
      const kept = await untilAnswered(() => loadKeptState(store, pinned), "the agent's state");
      facts = { ...facts, kubernetesVersion: await untilAnswered(() => cluster.version(signal), "the API server's version") };
      await untilAnswered(() => discovery.current(signal), "the API server's discovery");
      intake.resume(kept.highWater);
      if (kept.problem)
        logger.error({ code: kept.problem.code, err: kept.problem }, "the last good slice cannot be read; waiting for NATS");
      if (kept.desired) reconciler.resume(kept.desired);
      resumed = true;
      logger.info({ generation: kept.highWater?.generation ?? 0 }, kept.desired ? "resumed from the last good slice" : "no slice yet");
      // Only now has the agent something to say: a Hello without facts would look like a cluster that serves no API, for which
      // the hub would render less, and one without the high-water mark like a cluster that has taken nothing (D7).
      lifecycle.run("report", reporter.run(signal));
      await Promise.all([intake.run(signal), puller.run(signal), reconciler.run(signal)]);
    })(),
  );
  return lifecycle;

  /** An upgraded API server, or a definition that somebody else installed, changes what charts render to. */
  async function keepFactsFresh(): Promise<void> {
    for (;;) {
      await systemClock.sleep(jitter(config.MUSTER_RELIST_INTERVAL_MS, Math.random, 0.2), signal);
      if (!resumed) continue;
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
        await systemClock.sleep(1_000, signal);
      }
    }
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

/** One file may hold several keys, so that a key can be replaced without a gap. Throws CONFIG_INVALID. */
function readSigningKeys(path: string) {
  try {
    const blocks = readFileSync(path, "utf8").match(/-----BEGIN PUBLIC KEY-----[\s\S]+?-----END PUBLIC KEY-----/g) ?? [];
    const keys = blocks.map((pem) => createPublicKey(pem));
    if (keys.length === 0 || keys.some((key) => key.asymmetricKeyType !== "ed25519"))
      throw new Error("it needs at least one ed25519 public key");
    return keys;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new CodedError("CONFIG_INVALID", `MUSTER_SIGNING_KEYS_FILE: ${why}`, { cause });
  }
}

if (import.meta.main) {
  try {
    const lifecycle = await startAgent(loadConfig(process.env));
    for (const name of ["SIGTERM", "SIGINT"] as const) process.once(name, () => void lifecycle.stop().then(() => process.exit(0)));
  } catch (error) {
    const coded = CodedError.from(error);
    process.stderr.write(`muster-agent: ${formatError(coded)}\n  ${coded.info.hint}\n`);
    process.exitCode = coded.info.exitCode;
  }
}
