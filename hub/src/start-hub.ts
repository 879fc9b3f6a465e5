import { createPublicKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { CodedError } from "@muster/shared/errors";
import { createFailpoints, createLifecycle, type Lifecycle, systemClock } from "@muster/shared/runtime";
import { createLogger, createMetrics, type Logger, type Metrics } from "@muster/shared/telemetry";
import { administerAgents } from "./administer-agents.ts";
import { createAgentSessions } from "./agents/agent-sessions.ts";
import { createEnrolmentServer } from "./agents/enrolment-server.ts";
import { createApi } from "./api/create-api.ts";
import { createSecretFile } from "./api/secret-file.ts";
import { createBackup } from "./backup/hub-backup.ts";
import { capabilitiesFrom } from "./cluster-capabilities.ts";
import type { HubConfig } from "./config.ts";
import { isDeclaredCluster } from "./declared-clusters.ts";
import { openAccessStore } from "./enrolment/access-store.ts";
import { createEnrolments } from "./enrolment/enrolments.ts";
import { lastClaims } from "./enrolment/last-claims.ts";
import { lastPins } from "./enrolment/last-pins.ts";
import { provesAbsence } from "./fleet/model.ts";
import { loadIdentity, readAgentAccount } from "./identity/identity.ts";
import { CLAIMS_INBOX_PREFIX, CLAIMS_SUBJECT } from "./identity/nats-accounts.ts";
import { listenToAgents } from "./listen-to-agents.ts";
import { createFleetLoader } from "./load-fleet-input.ts";
import { createPipeline } from "./pipeline.ts";
import { createAccountClaims } from "./publish/account-claims.ts";
import { createNatsLink } from "./publish/nats-link.ts";
import { createPublisher } from "./publish/publisher.ts";
import { createRenderer } from "./render/create-renderer.ts";
import { checkNetworkIsolation } from "./render/sandbox/network-isolation.ts";
import { createTargetRenderer } from "./render-targets.ts";
import { removeStrayClones } from "./source/clone-folder.ts";
import { createGitSource } from "./source/git-source.ts";
import { createFleetStatus } from "./status/fleet-status.ts";
import { HUB_VERSION } from "./version.ts";
import { createSourceWatch } from "./watch-sources.ts";

/** A running hub. */
export interface RunningHub {
  readonly lifecycle: Lifecycle;
  readonly httpPort: number;
  readonly grpcPort: number;
  readonly enrolPort: number;
}

/** Starts a hub; if that fails, what has started already is stopped. */
export async function startHub(config: HubConfig, environment: Readonly<Record<string, string | undefined>> = {}): Promise<RunningHub> {
  const logger = createLogger({ name: "muster-hub", level: config.log.level });
  const lifecycle = createLifecycle({ logger });
  try {
    return await composeHub(config, environment, logger, lifecycle);
  } catch (error) {
    await lifecycle.stop();
    throw error;
  }
}

/** Puts a hub together: source ▸ fleet ▸ render ▸ release ▸ publish, and agents ▸ status ▸ api. */
async function composeHub(
  config: HubConfig,
  environment: Readonly<Record<string, string | undefined>>,
  logger: Logger,
  lifecycle: Lifecycle,
): Promise<RunningHub> {
  const { signal } = lifecycle;
  const base = { clock: systemClock, random: Math.random, logger };
  const failpoint = createFailpoints(environment["MUSTER_FAILPOINTS"]);
  const metrics = createMetrics();
  await checkIsolation(config, logger, metrics);
  const identity = await loadIdentity({
    dataDir: config.dataDir,
    trustDomain: config.trustDomain,
    serverNames: config.grpc.serverNames,
    ...config.identity,
    ...(config.nats.agentAccount && { agentAccount: readAgentAccount(config.nats.agentAccount) }),
  });
  const secret = (setting: string, path: string | undefined, fallback: string) =>
    path ? createSecretFile({ setting, path, clock: systemClock, logger }) : () => fallback;

  // What agents have told, and what operators ask.
  const status = createFleetStatus({ leaseMs: config.grpc.leaseMs, clock: systemClock });

  // From Git to NATS.
  let natsProblem: CodedError | undefined = new CodedError("NATS_UNREACHABLE", "NATS has not answered yet");
  const credsFile = config.nats.credsFile ?? identity.natsCredsFile;
  const link = createNatsLink({
    ...base,
    url: config.nats.url,
    replicas: config.publish.replicas,
    credsFile,
    ...(config.nats.caFile && { caFile: config.nats.caFile }),
    onReady: () => {
      natsProblem = undefined;
      status.recordTransport(undefined);
      pipeline.natsReady();
    },
    onLost: (why) => {
      natsProblem = why;
      status.recordTransport(why);
    },
  });
  const publisher = createPublisher({
    link,
    logger,
    failpoint,
    signingKey: identity.signingKey,
    publicKey: createPublicKey(identity.signingKey),
    trustDomain: config.trustDomain,
    blobGracePeriodMs: config.publish.blobGracePeriodMs,
    monotonicMs: () => systemClock.monotonicMs(),
  });
  await removeStrayClones(config.dataDir, config.sources, logger);
  const sources = createSourceWatch({
    ...base,
    failpoint,
    metrics,
    sources: config.sources.map((source) => ({
      url: source.url,
      pollIntervalMs: source.pollIntervalMs,
      source: createGitSource({
        name: source.name,
        url: source.url,
        ref: source.ref,
        path: source.path,
        dataDir: config.dataDir,
        timeoutMs: source.timeoutMs,
        logger,
        ...(source.verify && { verify: source.verify }),
        ...(source.credentialsFile && { credentialsFile: source.credentialsFile }),
        ...(source.caFile && { caFile: source.caFile }),
      }),
    })),
    record: (view, problem) => status.recordSource(view, problem),
    onRewrite: (message) => status.event({ type: "SourceRewritten", severity: "warning", message }),
    onNews: () => pipeline.news(),
  });
  const pipeline = createPipeline({
    ...base,
    sources,
    publisher,
    link,
    status,
    failpoint,
    metrics,
    loader: createFleetLoader(),
    targets: createTargetRenderer({
      renderer: createRenderer(config.render),
      capabilitiesOf: capabilitiesFrom((cluster) => status.facts(cluster)),
      monotonicMs: () => systemClock.monotonicMs(),
    }),
    hint: (cluster, generation) => agents.hint(cluster, generation),
    onModel: () => {
      agents.dropUnfit();
      claims.push();
    },
    auditIntervalMs: config.publish.auditIntervalMs,
  });

  // Who may act for which cluster.
  const isDeclared = (cluster: string) => isDeclaredCluster(cluster, pipeline.model, (name) => publisher.sliceOf(name) !== undefined);
  const isReady = () => pipeline.model !== undefined;
  /** Somebody was revoked or let in by this process. */
  let hasChanged = false;
  const accessStore = openAccessStore(join(config.dataDir, "agents"));
  const enrolments = createEnrolments({
    ...base,
    trustDomain: config.trustDomain,
    store: accessStore,
    issuer: { issue: identity.grant },
    isDeclared,
    hasLeft: (cluster) => pipeline.model !== undefined && provesAbsence(pipeline.model) && !isDeclared(cluster),
    wantedOf: lastPins(() => pipeline.model),
    onChange: () => {
      hasChanged = true;
      agents.dropUnfit();
      claims.push();
    },
  });
  const claims = createAccountClaims({
    ...base,
    url: config.nats.url,
    credsFile: identity.natsSystemCredsFile,
    inboxPrefix: CLAIMS_INBOX_PREFIX,
    subject: CLAIMS_SUBJECT,
    claims: lastClaims({
      make: identity.natsClaims,
      revocations: () => enrolments.revokedNatsKeys(),
      // Before Git was read it is not known whom it bars: what NATS has may be more than what would be told now.
      isReady: () => isReady() || hasChanged,
    }),
    ...(config.nats.caFile && { caFile: config.nats.caFile }),
  });
  const enrolment = createEnrolmentServer({ ...base, server: identity.server, enrolments, isReady });

  // Agents in, commands out.
  const agents = createAgentSessions({
    ...base,
    failpoint,
    listen: config.grpc.listen,
    trustDomain: config.trustDomain,
    ca: identity.ca,
    server: identity.server,
    heartbeatIntervalMs: config.grpc.heartbeatIntervalMs,
    hubVersion: HUB_VERSION,
    isReady,
    isDeclared,
    enrolments,
    listener: listenToAgents({ status, publisher, pipeline, clock: systemClock }),
  });

  // Operators.
  const tls = config.http.tls && {
    cert: readFileSync(config.http.tls.certFile, "utf8"),
    key: readFileSync(config.http.tls.keyFile, "utf8"),
  };
  const api = await createApi({
    queries: status,
    commands: agents,
    agents: administerAgents({
      config,
      identity,
      enrolments,
      store: accessStore,
      declared: () => pipeline.model?.clusters.keys() ?? [],
      isConnected: (cluster) => agents.isConnected(cluster),
      commands: agents,
      clock: systemClock,
    }),
    backup: () => backupFor(config, logger),
    look: (source) => sources.look(source),
    sources: config.sources,
    token: secret("http.tokenFile", config.http.tokenFile, identity.apiToken),
    webhookSecret: secret("http.webhookSecretFile", config.http.webhookSecretFile, identity.webhookSecret),
    metrics,
    logger,
    clock: systemClock,
    version: HUB_VERSION,
    loaded: () => pipeline.model !== undefined,
    ready: () => {
      const reasons = [
        ...(natsProblem ? [natsProblem.code] : pipeline.loaded ? [] : ["what is published was not read yet"]),
        ...(pipeline.model ? [] : ["no commit was read yet"]),
      ];
      return { ready: reasons.length === 0, reasons };
    },
    ...(tls && { tls }),
  });
  metrics.observed("muster_hub_nats_connected", "1 while NATS is connected", () => Number(link.connected));
  metrics.observed("muster_hub_nats_claims_current", "1 while NATS knows whom the hub has revoked", () => Number(claims.isCurrent));
  metrics.observed("muster_hub_agents_connected", "Agents with a stream", () => agents.count);

  lifecycle.onStop("agents", () => agents.stop());
  const grpcPort = await agents.start();
  lifecycle.onStop("enrolment", () => enrolment.close());
  const enrolPort = await enrolment.listen(config.grpc.enrolListen);
  lifecycle.onStop("api", () => api.close());
  const [host, port] = splitListen(config.http.listen);
  await api.listen({ host, port });
  lifecycle.run("nats", link.run(signal));
  // A NATS that somebody else has set up has accounts of its own.
  if (!config.nats.credsFile) lifecycle.run("claims", claims.run(signal));
  lifecycle.run("sources", sources.run(signal));
  lifecycle.run("pipeline", pipeline.run(signal));
  lifecycle.run("status", status.run(signal));
  const address = api.server.address();
  const httpPort = typeof address === "object" && address ? address.port : port;
  logger.info({ http: httpPort, grpc: grpcPort, enrol: enrolPort, sources: config.sources.map(({ name }) => name) }, "the hub is up");
  return { lifecycle, httpPort, grpcPort, enrolPort };
}

/** Says whether charts and kustomizations are kept off the network. Throws CONFIG_INVALID if they must be and cannot. */
async function checkIsolation(config: HubConfig, logger: Logger, metrics: Metrics): Promise<void> {
  const isolated = await checkNetworkIsolation(config.render.networkIsolation);
  metrics.observed("muster_hub_render_isolated", "1 if helm and kustomize run in a network namespace of their own", () => Number(isolated));
  if (isolated) logger.info("helm and kustomize run without a network");
  else
    logger.warn(
      "helm and kustomize run with the hub's own network: no network namespace can be made here. What keeps renders off it are checks before they run, and a NetworkPolicy",
    );
}

function splitListen(listen: string): [string, number] {
  const colon = listen.lastIndexOf(":");
  return [listen.slice(0, colon).replace(/^\[|\]$/g, ""), Number(listen.slice(colon + 1))];
}

/** Throws API_BAD_REQUEST where nobody is to have the keys by the API. */
async function backupFor({ backup: { recipients }, dataDir, trustDomain }: HubConfig, logger: Logger): Promise<string> {
  if (recipients.length === 0)
    throw new CodedError(
      "API_BAD_REQUEST",
      "The hub's configuration names nobody for backups (backup.recipients); `muster-hub backup` makes them on the hub",
    );
  logger.warn({ recipients }, "the hub's keys were asked for by the API, as a backup");
  return createBackup({ dataDir, trustDomain, lock: { recipients }, nowMs: systemClock.wallMs() });
}
