import { createPublicKey } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { type Lifecycle, createFailpoints, createLifecycle, systemClock } from "@muster/shared/runtime";
import { createLogger, createMetrics } from "@muster/shared/telemetry";
import { createAgentSessions } from "./agents/agent-sessions.ts";
import { createApi } from "./api/create-api.ts";
import type { HubConfig } from "./config.ts";
import { loadIdentity } from "./identity/identity.ts";
import { createFleetLoader } from "./load-fleet-input.ts";
import { type Pipeline, createPipeline } from "./pipeline.ts";
import { createNatsLink } from "./publish/nats-link.ts";
import { createPublisher } from "./publish/publisher.ts";
import { createRenderer } from "./render/create-renderer.ts";
import { createGitSource } from "./source/git-source.ts";
import { createFleetStatus } from "./status/fleet-status.ts";
import { HUB_VERSION } from "./version.ts";

/** A running hub. */
export interface RunningHub {
  readonly lifecycle: Lifecycle;
  readonly httpPort: number;
  readonly grpcPort: number;
}

/** Starts a hub: source ▸ fleet ▸ render ▸ release ▸ publish, and agents ▸ status ▸ api. */
export async function startHub(config: HubConfig, environment: Readonly<Record<string, string | undefined>> = {}): Promise<RunningHub> {
  const logger = createLogger({ name: "muster-hub", level: config.log.level });
  const lifecycle = createLifecycle({ logger });
  const { signal } = lifecycle;
  const base = { clock: systemClock, random: Math.random, logger };
  const failpoint = createFailpoints(environment["MUSTER_FAILPOINTS"]);
  const metrics = createMetrics();
  const identity = await loadIdentity({ dataDir: config.dataDir, trustDomain: config.trustDomain, serverNames: config.grpc.serverNames });
  const secret = (path: string | undefined, fallback: string) => () => (path ? readFileSync(path, "utf8").trim() : fallback);

  // What agents have told, and what operators ask.
  const status = createFleetStatus({ leaseMs: config.grpc.leaseMs, clock: systemClock });

  // From Git to NATS.
  let pipeline: Pipeline | undefined;
  let natsProblem: string | undefined = "NATS has not answered yet";
  const credsFile = config.nats.credsFile ?? (existsSync(identity.natsCredsFile) ? identity.natsCredsFile : undefined);
  const link = createNatsLink({
    ...base,
    url: config.nats.url,
    replicas: config.publish.replicas,
    ...(credsFile && { credsFile }),
    ...(config.nats.caFile && { caFile: config.nats.caFile }),
    onReady: () => {
      natsProblem = undefined;
      pipeline?.natsReady();
    },
    onLost: (why) => {
      natsProblem = why;
    },
  });
  const publisher = createPublisher({
    link, logger, failpoint,
    signingKey: identity.signingKey,
    publicKey: createPublicKey(identity.signingKey),
    trustDomain: config.trustDomain,
    blobGracePeriodMs: config.publish.blobGracePeriodMs,
    monotonicMs: () => systemClock.monotonicMs(),
  });
  const sources = config.sources.map((source) => ({
    url: source.url,
    pollIntervalMs: source.pollIntervalMs,
    source: createGitSource({
      name: source.name, url: source.url, ref: source.ref, path: source.path, dataDir: config.dataDir, logger,
      ...(source.credentialsFile && { credentialsFile: source.credentialsFile }),
    }),
  }));
  const running = createPipeline({
    ...base, sources, publisher, link, status, metrics,
    loader: createFleetLoader(),
    renderer: createRenderer(config.render),
    hint: (cluster, generation) => agents.hint(cluster, generation),
    auditIntervalMs: config.publish.auditIntervalMs,
  });
  pipeline = running;

  // Agents in, commands out.
  const agents = createAgentSessions({
    ...base,
    listen: config.grpc.listen,
    trustDomain: config.trustDomain,
    ca: identity.ca,
    server: identity.server,
    heartbeatIntervalMs: config.grpc.heartbeatIntervalMs,
    hubVersion: HUB_VERSION,
    isReady: () => running.model !== undefined,
    isDeclared: (cluster) => running.model?.clusters.has(cluster) === true || running.model?.heldClusters.has(cluster) === true,
    listener: {
      ...status,
      connected(cluster, instance, facts, highWater) {
        const before = JSON.stringify(status.facts(cluster) ?? null);
        status.connected(cluster, instance, facts, highWater);
        const ahead = highWater !== undefined && publisher.raiseAbove(cluster, highWater);
        // New facts may render differently; an agent that is ahead of us would take nothing that we publish (D7).
        if (ahead || before !== JSON.stringify(facts)) running.compose();
      },
      status(cluster, update) {
        const before = update.facts ? JSON.stringify(status.facts(cluster) ?? null) : "";
        status.status(cluster, update);
        if (update.facts && before !== JSON.stringify(update.facts)) running.compose();
        // One generation with two contents: neither is taken, so the hub goes on with a higher one (D3).
        if (update.report?.sliceProblem?.code === "SLICE_EQUIVOCATION") {
          const current = publisher.current.get(cluster);
          if (current && publisher.raiseAbove(cluster, { epoch: current.epoch, generation: current.generation + 1 })) running.compose();
        }
      },
    },
  });

  // Operators.
  const tls = config.http.tls && { cert: readFileSync(config.http.tls.certFile, "utf8"), key: readFileSync(config.http.tls.keyFile, "utf8") };
  const api = await createApi({
    queries: status,
    commands: agents,
    look: (source) => running.look(source),
    sources: config.sources.map(({ name, url }) => ({ name, url })),
    token: secret(config.http.tokenFile, identity.apiToken),
    webhookSecret: secret(config.http.webhookSecretFile, identity.webhookSecret),
    metrics, logger,
    clock: systemClock,
    version: HUB_VERSION,
    ready: () => {
      const reasons = [...(natsProblem ? [natsProblem] : []), ...(running.model ? [] : ["no commit was read yet"])];
      return { ready: reasons.length === 0, reasons };
    },
    ...(tls && { tls }),
  });
  metrics.observed("muster_hub_nats_connected", "1 while NATS is connected", () => Number(link.connected));

  const grpcPort = await agents.start();
  lifecycle.onStop("agents", () => agents.stop());
  const [host, port] = splitListen(config.http.listen);
  await api.listen({ host, port });
  lifecycle.onStop("api", () => api.close());
  lifecycle.run("nats", link.run(signal));
  lifecycle.run("pipeline", running.run(signal));
  lifecycle.run("status", status.run(signal));
  const address = api.server.address();
  const httpPort = typeof address === "object" && address ? address.port : port;
  logger.info({ http: httpPort, grpc: grpcPort, sources: config.sources.map(({ name }) => name) }, "the hub is up");
  return { lifecycle, httpPort, grpcPort };
}

function splitListen(listen: string): [string, number] {
  const colon = listen.lastIndexOf(":");
  return [listen.slice(0, colon).replace(/^\[|\]$/g, ""), Number(listen.slice(colon + 1))];
}
