import { randomUUID } from "node:crypto";
import { type ServerDuplexStream, Server, ServerCredentials, status } from "@grpc/grpc-js";
import { CodedError } from "@muster/shared/errors";
import type { ClusterFacts, ClusterReport, Generation, ObjectException, ObjectRef, ReportedEvent } from "@muster/shared/model";
import { type AgentMessage__Output, type HubMessage, loadAgentService } from "@muster/shared/rpc";
import type { Clock } from "@muster/shared/runtime";
import { LogField, type Logger } from "@muster/shared/telemetry";
import type { KeyedCertificate } from "../identity/certificates.ts";
import type { AgentCommands, InspectedObjectView } from "./commands.ts";
import { clusterFromWire, eventFromWire, exceptionFromWire, factsFromWire, generationFromWire, inspectedFromWire, refFromWire } from "./from-wire.ts";

/** What the rest of the hub hears of agents. The cluster is always the one that the certificate names. */
export interface AgentListener {
  connected(cluster: string, instance: string, facts: ClusterFacts, highWater: Generation | undefined): void;
  disconnected(cluster: string): void;
  /** Any message: the agent lives. */
  heard(cluster: string): void;
  status(cluster: string, update: AgentStatus): void;
}

/** One status message. */
export interface AgentStatus {
  /** true: first part of a complete report; what was known before is void. */
  readonly restart: boolean;
  readonly report?: ClusterReport;
  readonly exceptions: readonly ObjectException[];
  readonly cleared: readonly ObjectRef[];
  readonly events: readonly ReportedEvent[];
  readonly facts?: ClusterFacts;
}

/** Options of {@link createAgentSessions}. */
export interface AgentSessionsOptions {
  /** host:port; port 0 for any. */
  readonly listen: string;
  readonly trustDomain: string;
  readonly ca: string;
  readonly server: KeyedCertificate;
  readonly heartbeatIntervalMs: number;
  readonly hubVersion: string;
  /** False: no such cluster in Git, and the agent is refused. */
  readonly isDeclared: (cluster: string) => boolean;
  /** Agents are refused until the hub knows its own state, or they would be told that nothing is known (E244). */
  readonly isReady: () => boolean;
  readonly listener: AgentListener;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface AgentSessions extends AgentCommands {
  /** Starts listening; gives the port. */
  start(): Promise<number>;
  /** Tells agents that a newer slice was published. */
  hint(cluster: string, generation: Generation): void;
  stop(): Promise<void>;
}

type Stream = ServerDuplexStream<AgentMessage__Output, HubMessage>;

interface Session {
  readonly id: string;
  readonly cluster: string;
  readonly instance: string;
  readonly stream: Stream;
  readonly pending: Map<string, (result: InspectedObjectView[] | CodedError) => void>;
}

const HELLO_TIMEOUT_MS = 5_000;
const COMMAND_TIMEOUT_MS = 10_000;

export function createAgentSessions(options: AgentSessionsOptions): AgentSessions {
  const { listener, clock, logger } = options;
  const sessions = new Map<string, Session>();
  const server = new Server({
    "grpc.max_receive_message_length": 1024 * 1024,
    "grpc.max_concurrent_streams": 4,
    "grpc.keepalive_time_ms": 25_000,
    "grpc.keepalive_timeout_ms": 10_000,
    "grpc-node.max_session_memory": 32,
  });
  const Service = loadAgentService();
  server.addService(Service.service, { Connect: (stream: Stream) => connect(stream) });

  function connect(stream: Stream): void {
    const cluster = clusterOf(stream, options.trustDomain);
    if (!cluster) return refuse(stream, status.UNAUTHENTICATED, "the client certificate names no cluster of this fleet");
    if (!options.isReady()) return refuse(stream, status.UNAVAILABLE, "the hub has not loaded its state yet");
    if (!options.isDeclared(cluster)) {
      logger.warn({ [LogField.Cluster]: cluster, code: "AGENT_IDENTITY" }, "an agent of a cluster that Git does not declare was refused");
      return refuse(stream, status.PERMISSION_DENIED, `the cluster ${cluster} is not declared in Git`);
    }
    let session: Session | undefined;
    const hello = setTimeout(() => refuse(stream, status.DEADLINE_EXCEEDED, "no Hello"), HELLO_TIMEOUT_MS);
    stream.on("data", (message: AgentMessage__Output) => {
      if (!session) {
        clearTimeout(hello);
        if (!message.hello) return refuse(stream, status.INVALID_ARGUMENT, "the first message must be Hello");
        session = open(cluster, stream, message);
      } else receive(session, message);
    });
    // Only the session that is still the cluster's may say that the cluster is gone (E243).
    const end = () => {
      clearTimeout(hello);
      if (session && sessions.get(cluster) === session) close(session);
    };
    stream.on("end", () => {
      end();
      stream.end();
    });
    stream.on("cancelled", end);
    stream.on("error", end);
  }

  function open(cluster: string, stream: Stream, message: AgentMessage__Output): Session {
    const instance = (message.hello?.instance ?? "").slice(0, 64);
    const before = sessions.get(cluster);
    if (before) {
      if (before.instance !== instance) logger.warn({ [LogField.Cluster]: cluster }, "another agent with the same identity has connected; the older stream is closed");
      sessions.delete(cluster);
      refuse(before.stream, status.ABORTED, "replaced by a newer connection of this cluster");
    }
    const session: Session = { id: randomUUID(), cluster, instance, stream, pending: new Map() };
    sessions.set(cluster, session);
    stream.write({ welcome: { hubVersion: options.hubVersion, heartbeatIntervalMs: options.heartbeatIntervalMs } });
    listener.connected(cluster, instance, factsFromWire(message.hello?.facts ?? null), generationFromWire(message.hello?.highWater));
    void heartbeats(session);
    return session;
  }

  function receive(session: Session, message: AgentMessage__Output): void {
    const { cluster } = session;
    listener.heard(cluster);
    if (message.status) {
      const update = message.status;
      listener.status(cluster, {
        restart: update.full && !continued.has(session.id),
        ...(update.cluster && { report: clusterFromWire(update.cluster) }),
        exceptions: update.exceptions.flatMap((exception) => exceptionFromWire(exception) ?? []),
        cleared: update.cleared.flatMap((ref) => refFromWire(ref) ?? []),
        events: update.events.map(eventFromWire),
        ...(update.facts && { facts: factsFromWire(update.facts) }),
      });
      if (update.full && update.more) continued.add(session.id);
      else continued.delete(session.id);
    } else if (message.inspectResult) {
      const { id, code, objects } = message.inspectResult;
      const answer = code ? new CodedError("AGENT_OFFLINE", `The agent could not tell: ${message.inspectResult.message.slice(0, 500)}`) : objects.flatMap((object) => inspectedFromWire(object) ?? []);
      session.pending.get(id)?.(answer);
    }
    session.stream.write({ ack: { sequence: Number(message.sequence) } });
  }
  /** Sessions in the middle of a full report of several parts. */
  const continued = new Set<string>();

  function close(session: Session): void {
    sessions.delete(session.cluster);
    continued.delete(session.id);
    for (const settle of session.pending.values()) settle(new CodedError("AGENT_OFFLINE", `The agent of ${session.cluster} has disconnected`));
    listener.disconnected(session.cluster);
  }

  async function heartbeats(session: Session): Promise<void> {
    while (sessions.get(session.cluster) === session) {
      await clock.sleep(options.heartbeatIntervalMs);
      if (sessions.get(session.cluster) === session) session.stream.write({ heartbeat: { sentAtMs: clock.wallMs() } });
    }
  }

  function sessionOf(cluster: string): Session {
    const session = sessions.get(cluster);
    if (session) return session;
    throw options.isDeclared(cluster)
      ? new CodedError("AGENT_OFFLINE", `The agent of ${cluster} is not connected`)
      : new CodedError("API_NOT_FOUND", `There is no cluster ${cluster}`);
  }

  return {
    start: () =>
      new Promise((resolve, reject) => {
        const credentials = ServerCredentials.createSsl(
          Buffer.from(options.ca),
          [{ cert_chain: Buffer.from(options.server.cert), private_key: Buffer.from(options.server.key) }],
          true,
        );
        server.bindAsync(options.listen, credentials, (error, port) => (error ? reject(error) : resolve(port)));
      }),
    hint(cluster, generation) {
      sessions.get(cluster)?.stream.write({ sliceHint: { generation } });
    },
    async reconcile(cluster, bundle) {
      sessionOf(cluster).stream.write({ reconcile: { id: randomUUID(), bundle: bundle ?? "" } });
    },
    async inspect(cluster, bundle) {
      const session = sessionOf(cluster);
      const id = randomUUID();
      const result = new Promise<InspectedObjectView[] | CodedError>((resolve) => session.pending.set(id, resolve));
      session.stream.write({ inspect: { id, bundle } });
      const timer = setTimeout(() => session.pending.get(id)?.(new CodedError("AGENT_OFFLINE", `The agent of ${cluster} did not answer in ${COMMAND_TIMEOUT_MS} ms`)), COMMAND_TIMEOUT_MS);
      try {
        const answer = await result;
        if (answer instanceof CodedError) throw answer;
        return answer;
      } finally {
        clearTimeout(timer);
        session.pending.delete(id);
      }
    },
    async stop() {
      for (const session of [...sessions.values()]) refuse(session.stream, status.UNAVAILABLE, "the hub is stopping");
      server.forceShutdown();
    },
  };
}

function refuse(stream: Stream, code: status, details: string): void {
  stream.emit("error", { code, details });
}

/** The cluster that the verified client certificate names: exactly `spiffe://<trust domain>/cluster/<name>`, compared whole. */
function clusterOf(stream: Stream, trustDomain: string): string | undefined {
  const names = stream.getAuthContext().sslPeerCertificate?.subjectaltname ?? "";
  const uris = names.split(", ").filter((name) => name.startsWith("URI:"));
  const prefix = `URI:spiffe://${trustDomain}/cluster/`;
  const [only] = uris;
  if (uris.length !== 1 || !only?.startsWith(prefix)) return undefined;
  const cluster = only.slice(prefix.length);
  return /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(cluster) ? cluster : undefined;
}
