import { readFileSync } from "node:fs";
import { CodedError } from "@muster/shared/errors";
import type { ManifestSetRef } from "@muster/shared/model";
import { type Clock, createBackoff, jitter, type Random, Wakeup } from "@muster/shared/runtime";
import { LogField, type Logger } from "@muster/shared/telemetry";
import { BLOB_STREAM, blobSubject, inboxPrefix, SLICE_STREAM, sliceSubject } from "@muster/shared/wire";
import { type ConnectionOptions, connect, credsAuthenticator, ErrorCode, type Msg, type NatsConnection } from "nats";
import { natsAuthenticator } from "./nats-user.ts";

/** Options of {@link createSlicePuller}. */
export interface SlicePullerOptions {
  readonly cluster: string;
  readonly url: string;
  /** NATS credentials file; read again at every connect. */
  readonly credsFile?: string;
  /** In place of a file: asked at every connect. */
  readonly user?: () => { readonly jwt: string; readonly seed: string };
  readonly caFile?: string;
  /** Milliseconds between two polls, ±10 %. Default 30 000. The poll is the correct path; the subscription is only faster. */
  readonly pollIntervalMs?: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** NATS, seen from an agent: slice messages in, manifest sets on demand. Nothing here is trusted; nothing is missing data. */
export interface SlicePuller {
  /** Called with every slice message that arrives, old and foreign ones too. */
  onMessage(listener: (message: string) => void): void;
  /** Asks for the newest slice now. */
  poll(): void;
  /** Compressed bytes of a manifest set. Throws BLOB_MISSING or NATS_UNREACHABLE. */
  fetchBlob(ref: ManifestSetRef): Promise<Uint8Array>;
  readonly connected: boolean;
  /** Connects again and again until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
}

const REQUEST_TIMEOUT_MS = 5_000;

/** Polls without an answer, one right after the other, until the connection is taken for dead: the client's own pings need a minute. */
const MAX_UNANSWERED = 2;
/** Milliseconds between them. */
const ASK_AGAIN_MS = 1_000;

export function createSlicePuller(options: SlicePullerOptions): SlicePuller {
  const { cluster, clock, random, logger, pollIntervalMs = 30_000 } = options;
  const listeners: ((message: string) => void)[] = [];
  let connection: NatsConnection | undefined;
  /** The client keeps a connection object through an outage, and connects again by itself. */
  let isUp = false;
  /** Of the poll loop of the connection. */
  let wakeup = new Wakeup();
  let outage = newOutage();
  const deliver = (text: string) => {
    for (const listener of listeners) listener(text);
  };

  /** Read at every (re)connect, so that renewed credentials need no restart; while the file is unreadable the last ones serve. */
  function credentialsOf(path: string): () => Uint8Array {
    let last: Uint8Array | undefined;
    return () => {
      try {
        last = readFileSync(path);
      } catch (cause) {
        if (!last) throw new CodedError("NATS_AUTH", `Cannot read the NATS credentials file ${path}`, { cause });
        logger.warn({ [LogField.Code]: "NATS_AUTH" }, `cannot read the NATS credentials file ${path}; using what it said before`);
      }
      return last;
    };
  }

  /** The options are made anew each time: `connect` changes what it is given. */
  async function connectOnce(): Promise<NatsConnection> {
    const connectOptions: ConnectionOptions = {
      servers: options.url.split(",").map((url) => url.trim()),
      name: `muster-agent ${cluster}`,
      inboxPrefix: inboxPrefix(cluster),
      maxReconnectAttempts: -1,
      // Refused credentials may be renewed; the client would otherwise give up at the second refusal.
      ignoreAuthErrorAbort: true,
      reconnectDelayHandler: () => 250 + 1_750 * random(),
      pingInterval: 20_000,
      maxPingOut: 2,
      timeout: 10_000,
      ...(options.credsFile && { authenticator: credsAuthenticator(credentialsOf(options.credsFile)) }),
      ...(options.user && { authenticator: natsAuthenticator(options.user) }),
      ...(options.caFile && { tls: { caFile: options.caFile } }),
    };
    return connect(connectOptions);
  }

  /** A direct get. What was asked on a connection that is lost gets no answer; the client itself would wait for it to the end. */
  function ask(live: NatsConnection, stream: string, subject: string): Promise<Msg> {
    // Only the form with the subject appended can be permissioned to one cluster's slice (ADR-31).
    return Promise.race([
      live.request(`$JS.API.DIRECT.GET.${stream}.${subject}`, undefined, { timeout: REQUEST_TIMEOUT_MS }),
      outage.promise,
    ]);
  }

  function giveUpWaiting(): void {
    outage.reject(new Error("the connection was lost"));
    outage = newOutage();
  }

  async function pollOnce(live: NatsConnection): Promise<void> {
    const answer = await ask(live, SLICE_STREAM, sliceSubject(cluster));
    const status = answer.headers?.code;
    if (status) {
      // 404: nothing is published for this cluster. Absence keeps the last good state.
      logger.debug({ status }, "no slice in the stream");
      return;
    }
    deliver(answer.string());
  }

  async function pollLoop(live: NatsConnection, woken: Wakeup, signal: AbortSignal): Promise<void> {
    let unanswered = 0;
    while (!signal.aborted && !live.isClosed()) {
      try {
        await pollOnce(live);
        unanswered = 0;
      } catch (error) {
        logger.debug({ err: error }, "poll failed");
        unanswered = isTimeout(error) ? unanswered + 1 : 0;
      }
      if (unanswered >= MAX_UNANSWERED) {
        unanswered = 0;
        logger.warn({ [LogField.Code]: "NATS_UNREACHABLE" }, "NATS does not answer on a connection that is open; connecting anew");
        await live.reconnect().catch((error: unknown) => logger.debug({ err: error }, "the connection could not be given up"));
      }
      await woken.wait(unanswered > 0 ? ASK_AGAIN_MS : jitter(pollIntervalMs, random), signal);
    }
  }

  async function statusLoop(live: NatsConnection, woken: Wakeup): Promise<void> {
    for await (const status of live.status()) {
      if (status.type === "disconnect") {
        isUp = false;
        logger.warn("NATS is not reachable; working on with the last good slice");
        giveUpWaiting();
      }
      if (status.type === "reconnect") {
        isUp = true;
        logger.info("NATS is back");
        // Also what was asked in between: it went nowhere.
        giveUpWaiting();
        woken.wake();
      }
    }
  }

  return {
    onMessage: (listener) => void listeners.push(listener),
    poll: () => wakeup.wake(),
    get connected() {
      return isUp && connection !== undefined && !connection.isClosed();
    },
    async fetchBlob(ref) {
      const live = connection;
      if (!live) throw new CodedError("NATS_UNREACHABLE", "There is no connection to NATS");
      const chunks = await Promise.all(
        Array.from({ length: ref.chunks }, async (_, index) => {
          let answer: Msg;
          try {
            answer = await ask(live, BLOB_STREAM, blobSubject(ref.blob, index));
          } catch (cause) {
            throw new CodedError(
              "NATS_UNREACHABLE",
              `NATS did not answer for chunk ${index} of the manifest set ${ref.digest.slice(0, 19)}`,
              { cause },
            );
          }
          if (answer.headers?.code)
            throw new CodedError("BLOB_MISSING", `Chunk ${index} of the manifest set ${ref.digest.slice(0, 19)} is not in JetStream`);
          return answer.data;
        }),
      );
      return Buffer.concat(chunks);
    },
    async run(signal) {
      const backoff = createBackoff({ initialMs: 200, maxMs: 10_000, random });
      while (!signal.aborted) {
        try {
          const live = await connectOnce();
          connection = live;
          isUp = true;
          backoff.reset();
          const stop = () => void live.close();
          signal.addEventListener("abort", stop, { once: true });
          live.subscribe(sliceSubject(cluster), {
            callback: (error, message) => {
              if (error)
                logger.warn({ [LogField.Code]: "NATS_AUTH", err: error }, "NATS refuses the subscription; slices arrive by polling only");
              else if (!isAnswer(message)) deliver(message.string());
            },
          });
          logger.info({ server: live.getServer() }, "connected to NATS");
          // One for each connection: two waiters on one would lose a wake-up.
          wakeup = new Wakeup();
          void pollLoop(live, wakeup, signal);
          void statusLoop(live, wakeup);
          const closed = await live.closed();
          signal.removeEventListener("abort", stop);
          wakeup.wake();
          if (closed && !signal.aborted) logger.warn({ err: closed }, "the connection to NATS was closed; connecting anew");
        } catch (error) {
          const code = /auth/i.test((error as { code?: string }).code ?? "") ? "NATS_AUTH" : "NATS_UNREACHABLE";
          logger.warn({ code, err: error }, "cannot connect to NATS");
        }
        connection = undefined;
        if (!signal.aborted) await clock.sleep(backoff.next(), signal).catch(() => {});
      }
    },
  };
}

/**
 * JetStream marks what it answers. Any agent can have its answer sent to the subject of this cluster's slices (ADR 0007); what was
 * published there has no such mark. This keeps others from filling the one place in which a new slice waits; it proves nothing.
 */
function isAnswer(message: Msg): boolean {
  return message.headers !== undefined && (message.headers.hasError || message.headers.has("Nats-Stream"));
}

function newOutage(): PromiseWithResolvers<never> {
  const outage = Promise.withResolvers<never>();
  // Mostly nobody waits.
  outage.promise.catch(() => {});
  return outage;
}

function isTimeout(error: unknown): boolean {
  return (error as { readonly code?: unknown }).code === ErrorCode.Timeout;
}
