import { randomUUID } from "node:crypto";
import { CodedError } from "@muster/shared/errors";
import type { ClusterFacts, ClusterReport, Generation, ObjectException, ObjectRef, ReportedEvent } from "@muster/shared/model";
import type { AgentMessage__Output } from "@muster/shared/rpc";
import type { Clock, Failpoint } from "@muster/shared/runtime";
import { LogField, type Logger } from "@muster/shared/telemetry";
import type { Enrolments } from "../enrolment/enrolments.ts";
import type { KeyedCertificate } from "../identity/certificates.ts";
import { TokenBucket } from "../token-bucket.ts";
import { type AgentStream, createAgentServer, endStream, type PeerCertificate, peerOf, type RenewCall, status } from "./agent-server.ts";
import type { AgentCommands, InspectionView } from "./commands.ts";
import {
  clusterFromWire,
  eventFromWire,
  exceptionFromWire,
  factsFromWire,
  generationFromWire,
  inspectionFromWire,
  refFromWire,
} from "./from-wire.ts";
import { Outbox } from "./outbox.ts";
import { peerCluster } from "./peer-cluster.ts";
import { answerRenewal } from "./renewal.ts";

/** What the rest of the hub hears of agents. The cluster is always the one that the certificate names. */
export interface AgentListener {
  connected(cluster: string, instance: string, facts: ClusterFacts, highWater: Generation | undefined): void;
  disconnected(cluster: string): void;
  /** Two agents with one identity take the stream from each other (E186). */
  duplicate(cluster: string): void;
  /** Any message: the agent lives. */
  heard(cluster: string): void;
  status(cluster: string, update: AgentStatus): void;
}

/** One status message. */
export interface AgentStatus {
  /** true: first part of a complete report; what was known before is void. */
  readonly restart: boolean;
  /** false: more parts of the same report follow. */
  readonly complete: boolean;
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
  /** Milliseconds that an agent has to say Hello. Default 5 000. */
  readonly helloTimeoutMs?: number;
  /** Milliseconds that an agent has to answer a command. Default 10 000. */
  readonly commandTimeoutMs?: number;
  readonly hubVersion: string;
  /** False: no such cluster in Git, and the agent is refused. */
  readonly isDeclared: (cluster: string) => boolean;
  /** Which certificate acts for a cluster, and new ones for it. */
  readonly enrolments: Pick<Enrolments, "mayAct" | "meet" | "renew">;
  /** Agents are refused until the hub knows its own state, or they would be told that nothing is known (E244). */
  readonly isReady: () => boolean;
  readonly listener: AgentListener;
  readonly failpoint: Failpoint;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface AgentSessions extends AgentCommands {
  /** Starts listening; gives the port. */
  start(): Promise<number>;
  /** Tells an agent that a newer slice was published. */
  hint(cluster: string, generation: Generation): void;
  /** Ends the streams of clusters that are not declared any more, and of agents that do not act for theirs any more. */
  dropUnfit(): void;
  isConnected(cluster: string): boolean;
  /** Agents with a stream. */
  readonly count: number;
  stop(): Promise<void>;
}

/** Who is at the other end of a call. */
interface PeerIdentity {
  readonly cluster: string | undefined;
  readonly fingerprint: string;
  readonly certificate: PeerCertificate | undefined;
}

interface Session {
  readonly cluster: string;
  /** Of the key of its certificate. */
  readonly fingerprint: string;
  readonly instance: string;
  readonly stream: AgentStream;
  readonly outbox: Outbox;
  readonly bucket: TokenBucket;
  readonly over: AbortController;
  readonly pending: Map<string, (result: InspectionView | CodedError) => void>;
  /** In the middle of a full report of several parts. */
  continued: boolean;
}

/** Messages per second that one agent may send in the long run, and at once (E253). Faster ones wait; nothing is lost. */
const MESSAGES_PER_SECOND = 100;
const MESSAGE_BURST = 1_000;
/** Items of a status message that count as one more message. */
const ITEMS_PER_MESSAGE = 100;
/** Instances of a cluster that were replaced lately: one of them coming back means that two run. */
const REPLACED_KEPT = 4;

const NO_IDENTITY: [status, string] = [status.UNAUTHENTICATED, "the client certificate names no cluster of this fleet [AGENT_IDENTITY]"];

export function createAgentSessions(options: AgentSessionsOptions): AgentSessions {
  const { listener, clock, logger, helloTimeoutMs = 5_000, commandTimeoutMs = 10_000 } = options;
  const sessions = new Map<string, Session>();
  const replaced = new Map<string, string[]>();
  const server = createAgentServer({ ca: options.ca, server: options.server, onConnect: connect, onRenew: renew });

  function connect(stream: AgentStream): void {
    const { cluster, fingerprint, certificate } = identityOf(stream);
    let session: Session | undefined;
    let over = false;
    const refuse = (code: status, details: string): void => {
      over = true;
      endStream(stream, code, details);
    };
    // Only the session that is still the cluster's may say that the cluster is gone (E243).
    const end = (): void => {
      over = true;
      clearTimeout(hello);
      if (session && sessions.get(session.cluster) === session) close(session);
    };
    const hello = setTimeout(() => refuse(status.DEADLINE_EXCEEDED, "no Hello came"), helloTimeoutMs);
    stream.on("cancelled", end);
    stream.on("error", end);
    stream.on("end", () => {
      end();
      stream.end();
    });
    const refusal = cluster === undefined ? NO_IDENTITY : admission(cluster, fingerprint);
    if (cluster === undefined || refusal) {
      refuse(...(refusal ?? NO_IDENTITY));
      return;
    }
    stream.on("data", (message: AgentMessage__Output) => {
      if (over) return;
      if (session) return receive(session, message);
      clearTimeout(hello);
      if (!message.hello) return refuse(status.INVALID_ARGUMENT, "the first message must be Hello");
      // Its cluster may have left Git since the stream began.
      const now = admission(cluster, fingerprint);
      if (now) return refuse(...now);
      if (certificate) remember(cluster, certificate);
      session = open({ cluster, fingerprint }, stream, message.hello);
    });
  }

  function identityOf(call: AgentStream | RenewCall): PeerIdentity {
    const certificate = peerOf(call);
    const cluster = certificate && peerCluster(certificate.names, options.trustDomain);
    return { cluster, fingerprint: certificate?.fingerprint ?? "", certificate };
  }

  /** That it cannot be written down now keeps nobody out; it is tried again with the next stream. */
  function remember(cluster: string, certificate: PeerCertificate): void {
    try {
      options.enrolments.meet(cluster, certificate);
    } catch (error) {
      logger.error({ [LogField.Cluster]: cluster, err: error }, "who acts for the cluster cannot be kept");
    }
  }

  /** Why a cluster's agent may not come in now; undefined: it may. */
  function admission(cluster: string, fingerprint: string): [status, string] | undefined {
    if (!options.isReady()) return [status.UNAVAILABLE, "the hub has not loaded its state yet"];
    const refusal = unfit(cluster, fingerprint);
    if (refusal === undefined) return undefined;
    logger.warn({ [LogField.Cluster]: cluster, fingerprint, code: "AGENT_IDENTITY" }, `an agent was refused: ${refusal}`);
    return [status.PERMISSION_DENIED, `${refusal} [AGENT_IDENTITY]`];
  }

  function unfit(cluster: string, fingerprint: string): string | undefined {
    if (!options.isDeclared(cluster)) return `the cluster ${cluster} is not declared in Git`;
    return options.enrolments.mayAct(cluster, fingerprint)
      ? undefined
      : `this certificate does not act for the cluster ${cluster} any more`;
  }

  function renew(call: RenewCall, answer: Parameters<typeof answerRenewal>[2]): void {
    const { cluster, fingerprint } = identityOf(call);
    const refusal = cluster === undefined ? NO_IDENTITY : admission(cluster, fingerprint);
    if (cluster === undefined || refusal) {
      const [code, details] = refusal ?? NO_IDENTITY;
      answer({ code, details });
      return;
    }
    answerRenewal((question) => options.enrolments.renew(cluster, fingerprint, { ...question, cluster }), call, answer, logger);
  }

  function open(
    { cluster, fingerprint }: Pick<Session, "cluster" | "fingerprint">,
    stream: AgentStream,
    hello: NonNullable<AgentMessage__Output["hello"]>,
  ): Session {
    const instance = hello.instance.slice(0, 64);
    const before = sessions.get(cluster);
    if (before) {
      sessions.delete(cluster);
      release(before, "was replaced by a newer connection");
      if (before.instance !== instance) noteReplaced(cluster, before.instance, instance);
      endStream(before.stream, status.ABORTED, "replaced by a newer connection of this cluster");
    }
    const session: Session = {
      cluster,
      fingerprint,
      instance,
      stream,
      outbox: new Outbox(stream),
      bucket: new TokenBucket({ burst: MESSAGE_BURST, perSecond: MESSAGES_PER_SECOND, nowMs: clock.monotonicMs() }),
      over: new AbortController(),
      pending: new Map(),
      continued: false,
    };
    sessions.set(cluster, session);
    options.failpoint("hub.agentAccepted");
    session.outbox.command({ welcome: { hubVersion: options.hubVersion, heartbeatIntervalMs: options.heartbeatIntervalMs } });
    listener.connected(cluster, instance, factsFromWire(hello.facts), generationFromWire(hello.highWater));
    void heartbeats(session);
    return session;
  }

  function noteReplaced(cluster: string, old: string, now: string): void {
    const known = replaced.get(cluster) ?? [];
    if (known.includes(now)) {
      logger.warn({ [LogField.Cluster]: cluster }, "two agents with the same identity connect in turn");
      listener.duplicate(cluster);
      replaced.delete(cluster);
    } else replaced.set(cluster, [old, ...known].slice(0, REPLACED_KEPT));
  }

  function receive(session: Session, message: AgentMessage__Output): void {
    const { cluster, outbox } = session;
    listener.heard(cluster);
    if (message.status) takeStatus(session, message.status);
    else if (message.inspectResult) takeInspection(session, message.inspectResult);
    outbox.ack(Number(message.sequence));
    const items = message.status ? message.status.exceptions.length + message.status.cleared.length + message.status.events.length : 0;
    throttle(session, 1 + items / ITEMS_PER_MESSAGE);
  }

  function takeStatus(session: Session, update: NonNullable<AgentMessage__Output["status"]>): void {
    const restart = update.full && !session.continued;
    session.continued = update.full && update.more;
    listener.status(session.cluster, {
      restart,
      complete: !session.continued,
      ...(update.cluster && { report: clusterFromWire(update.cluster) }),
      exceptions: update.exceptions.flatMap((exception) => exceptionFromWire(exception) ?? []),
      cleared: update.cleared.flatMap((ref) => refFromWire(ref) ?? []),
      events: update.events.map(eventFromWire),
      ...(update.facts && { facts: factsFromWire(update.facts) }),
    });
  }

  function takeInspection(session: Session, result: NonNullable<AgentMessage__Output["inspectResult"]>): void {
    const answer = result.code
      ? new CodedError("AGENT_OFFLINE", `The agent could not tell: ${result.message.slice(0, 500)}`)
      : inspectionFromWire(result);
    session.pending.get(result.id)?.(answer);
  }

  /** Stops reading for as long as the agent is over its budget; TCP then holds it back. */
  function throttle(session: Session, cost: number): void {
    const pauseMs = session.bucket.spend(cost, clock.monotonicMs());
    if (pauseMs === 0) return;
    session.stream.pause();
    void clock.sleep(pauseMs, session.over.signal).then(
      () => session.stream.resume(),
      () => {},
    );
  }

  function close(session: Session): void {
    sessions.delete(session.cluster);
    release(session, "has disconnected");
    listener.disconnected(session.cluster);
  }

  function release(session: Session, why: string): void {
    session.over.abort();
    for (const settle of session.pending.values()) settle(new CodedError("AGENT_OFFLINE", `The agent of ${session.cluster} ${why}`));
  }

  async function heartbeats({ outbox, over: { signal } }: Session): Promise<void> {
    while (!signal.aborted) {
      await clock.sleep(options.heartbeatIntervalMs, signal).catch(() => {});
      if (!signal.aborted) outbox.heartbeat(clock.wallMs());
    }
  }

  function sessionOf(cluster: string): Session {
    const session = sessions.get(cluster);
    if (session) return session;
    throw options.isDeclared(cluster)
      ? new CodedError("AGENT_OFFLINE", `The agent of ${cluster} is not connected`)
      : new CodedError("API_NOT_FOUND", `There is no cluster ${cluster}`);
  }

  const overloaded = (cluster: string) => new CodedError("AGENT_OFFLINE", `The agent of ${cluster} does not take commands fast enough`);

  return {
    start: () => server.listen(options.listen),
    hint: (cluster, generation) => sessions.get(cluster)?.outbox.hint(generation),
    dropUnfit() {
      for (const session of [...sessions.values()]) {
        const refusal = unfit(session.cluster, session.fingerprint);
        if (refusal === undefined) continue;
        close(session);
        endStream(session.stream, status.PERMISSION_DENIED, `${refusal} [AGENT_IDENTITY]`);
      }
    },
    isConnected: (cluster) => sessions.has(cluster),
    get count() {
      return sessions.size;
    },
    async reconcile(cluster, bundle) {
      const sent = sessionOf(cluster).outbox.command({ reconcile: { id: randomUUID(), bundle: bundle ?? "" } });
      if (!sent) throw overloaded(cluster);
    },
    async rotate(cluster) {
      if (!sessionOf(cluster).outbox.command({ rotate: {} })) throw overloaded(cluster);
    },
    async inspect(cluster, bundle) {
      const session = sessionOf(cluster);
      const id = randomUUID();
      const result = new Promise<InspectionView | CodedError>((resolve) => session.pending.set(id, resolve));
      const timer = setTimeout(
        () =>
          session.pending.get(id)?.(new CodedError("AGENT_OFFLINE", `The agent of ${cluster} did not answer in ${commandTimeoutMs} ms`)),
        commandTimeoutMs,
      );
      try {
        if (!session.outbox.command({ inspect: { id, bundle } })) throw overloaded(cluster);
        const answer = await result;
        if (answer instanceof CodedError) throw answer;
        return answer;
      } finally {
        clearTimeout(timer);
        session.pending.delete(id);
      }
    },
    async stop() {
      for (const session of [...sessions.values()]) {
        sessions.delete(session.cluster);
        release(session, "is disconnected: the hub is stopping");
        endStream(session.stream, status.UNAVAILABLE, "the hub is stopping");
      }
      await server.close();
    },
  };
}
