import { createPublicKey, randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { CodedError, formatError } from "@muster/shared/errors";
import { createFailpoints, createLifecycle, type Lifecycle, systemClock } from "@muster/shared/runtime";
import { createLogger, createMetrics } from "@muster/shared/telemetry";
import { type AgentConfig, loadConfig } from "./config.ts";
import type { AgentFailpoint } from "./failpoints.ts";
import { startHealthServer } from "./health-server.ts";
import { createCluster } from "./kube/create-cluster.ts";
import { fencedCluster } from "./lease/fenced-cluster.ts";
import { takeTurns } from "./lease/take-turns.ts";
import { createWriterLease } from "./lease/writer-lease.ts";
import { type AgentPolicy, OPEN_POLICY, parsePolicy } from "./policy/policy.ts";
import { startWriter, type Writer } from "./start-writer.ts";
import { AGENT_VERSION } from "./version.ts";

/** Starts an agent: it works while it has its cluster's lease, and stands by while another instance has it. The lifecycle stops it. */
export async function startAgent(config: AgentConfig): Promise<Lifecycle> {
  const logger = createLogger({ name: "muster-agent", level: config.MUSTER_LOG_LEVEL });
  const lifecycle = createLifecycle({ logger });
  const { signal } = lifecycle;
  const base = { clock: systemClock, random: Math.random, logger };
  const failpoint: AgentFailpoint = createFailpoints(config.MUSTER_FAILPOINTS);
  const policy = config.MUSTER_POLICY_FILE ? readPolicy(config.MUSTER_POLICY_FILE, config.namespace) : OPEN_POLICY;
  const pinned = readSigningKeys(config.MUSTER_SIGNING_KEYS_FILE);
  const metrics = createMetrics();
  const instance = randomUUID();
  let writer: Writer | undefined;

  const cluster = createCluster({
    userAgent: `muster-agent/${AGENT_VERSION}`,
    connections: config.MUSTER_CONCURRENCY,
    failpoint,
    ...(config.KUBECONFIG && { kubeconfig: config.KUBECONFIG }),
  });
  lifecycle.onStop("cluster", () => cluster.close());
  const lease = createWriterLease({
    ...base,
    cluster,
    namespace: config.namespace,
    instance,
    onQuestion: (message) => writer?.event({ at: new Date().toISOString(), type: "DuplicateAgent", message }),
  });

  // Health first, so that a slow start is visible.
  metrics.observed("muster_agent_writer", "1 while this instance has the cluster's lease", () => Number(writer !== undefined));
  metrics.observed("muster_agent_hub_connected", "1 while the stream to the hub is up", () => Number(writer?.hubConnected ?? false));
  metrics.observed("muster_agent_nats_connected", "1 while NATS is connected", () => Number(writer?.natsConnected ?? false));
  metrics.observed("muster_agent_generation", "Generation of the slice in force", () => writer?.generation ?? 0);
  metrics.observed("muster_agent_objects", "Objects that the slice wants", () => writer?.sumOf("objects") ?? 0);
  metrics.observed("muster_agent_objects_drifted", "Objects that differ from Git", () => writer?.sumOf("drifted") ?? 0);
  metrics.observed("muster_agent_objects_failed", "Objects that could not be applied or deleted", () => writer?.sumOf("failed") ?? 0);
  if (config.MUSTER_METRICS_LISTEN !== "") {
    const health = await startHealthServer({
      listen: config.MUSTER_METRICS_LISTEN,
      metrics,
      notReady: () => (writer?.ready ? [] : [turns.standsBy ?? "the API server has not answered yet"]),
    });
    lifecycle.onStop("health", () => health.close());
  }

  const turns = takeTurns({
    ...base,
    lease,
    signal,
    start: () => {
      failpoint("agent.afterLease");
      const turn = createLifecycle({ logger });
      writer = startWriter({
        ...base,
        config,
        pinned,
        instance,
        failpoint,
        metrics,
        cluster: fencedCluster(cluster, lease),
        policy,
        isPaused: () => lease.isPaused,
        lifecycle: turn,
      });
      return async () => {
        writer = undefined;
        await turn.stop();
      };
    },
  });
  lifecycle.onStop("writer", () => turns.stop());
  lifecycle.run("turns", turns.done);
  return lifecycle;
}

/** Throws CONFIG_INVALID. */
function readPolicy(path: string, ownNamespace: string): AgentPolicy {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, "utf8"));
  } catch (cause) {
    throw new CodedError("CONFIG_INVALID", `MUSTER_POLICY_FILE: ${path} cannot be read as JSON`, { cause });
  }
  return parsePolicy(value, ownNamespace);
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
