import { readFileSync } from "node:fs";
import { CodedError } from "@muster/shared/errors";
import { type Clock, createBackoff, type Random, Wakeup } from "@muster/shared/runtime";
import type { Logger } from "@muster/shared/telemetry";
import { HUB_INBOX_PREFIX } from "@muster/shared/wire";
import { connect, credsAuthenticator, type JetStreamClient, type JetStreamManager, type NatsConnection } from "nats";
import { toNatsError } from "./jetstream-error.ts";
import { checkServerVersion, ensureStreams } from "./streams.ts";

/** Options of {@link createNatsLink}. */
export interface NatsLinkOptions {
  readonly url: string;
  /** Read again at every connect, so that renewed credentials need no restart. */
  readonly credsFile?: string;
  readonly caFile?: string;
  /** Replicas of the streams. */
  readonly replicas: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Called after every connect and reconnect, when the streams are there. */
  readonly onReady: () => void;
  /** Called with the reason when NATS cannot be used any more, and for every try that fails. */
  readonly onLost: (why: CodedError) => void;
}

/** A connection that is there, with its streams made sure of. */
export interface LiveLink {
  readonly connection: NatsConnection;
  readonly jetstream: JetStreamClient;
  readonly manager: JetStreamManager;
}

/** The hub's connection to NATS, kept for ever. */
export interface NatsLink {
  /** Throws NATS_UNREACHABLE while NATS cannot be used. */
  live(): LiveLink;
  /** true: connected, the server is new enough and both streams are safe. */
  readonly connected: boolean;
  /** Makes missing streams again. Gives true if one was missing. Throws NATS_STREAM, and is then not connected. */
  ensure(): Promise<boolean>;
  run(signal: AbortSignal): Promise<void>;
}

/** Milliseconds for one JetStream request. */
const TIMEOUT_MS = 5_000;

export function createNatsLink(options: NatsLinkOptions): NatsLink {
  const { clock, random, logger } = options;
  let link: LiveLink | undefined;
  let ready = false;
  const wakeup = new Wakeup();

  const lose = (error: unknown, what: string): void => {
    const coded = toNatsError(error, what);
    if (ready) logger.warn({ code: coded.code, err: coded }, "NATS cannot be used; agents go on with their last good slice");
    ready = false;
    options.onLost(coded);
  };

  async function open(): Promise<LiveLink> {
    const { credsFile, caFile } = options;
    const connection = await connect({
      servers: options.url.split(",").map((url) => url.trim()),
      name: "muster-hub",
      inboxPrefix: HUB_INBOX_PREFIX,
      maxReconnectAttempts: -1,
      // Without it the client gives up for good after two identical refusals, which a rotation of credentials can cause (E221).
      ignoreAuthErrorAbort: true,
      reconnectTimeWait: 250,
      reconnectJitter: 500,
      pingInterval: 20_000,
      maxPingOut: 2,
      timeout: TIMEOUT_MS,
      ...(credsFile && { authenticator: credsAuthenticator(() => readFileSync(credsFile)) }),
      ...(caFile && { tls: { caFile } }),
    });
    const manager = await connection.jetstreamManager({ timeout: TIMEOUT_MS, checkAPI: false });
    return { connection, manager, jetstream: connection.jetstream({ timeout: TIMEOUT_MS }) };
  }

  /** The client reconnects by itself; this hears of it. */
  async function follow(live: LiveLink): Promise<void> {
    for await (const { type } of live.connection.status()) {
      if (type === "disconnect" && !live.connection.isClosed()) lose(new Error("the connection was lost"), `NATS at ${options.url}`);
      if (type === "reconnect") wakeup.wake();
    }
  }

  /** From a connection to its end: whenever it is (again) there, the server and the streams are checked before it is used. */
  async function serve(live: LiveLink, signal: AbortSignal): Promise<void> {
    const backoff = createBackoff({ initialMs: 250, maxMs: 10_000, random });
    const over = new AbortController();
    void live.connection.closed().then(() => over.abort());
    const either = AbortSignal.any([signal, over.signal]);
    wakeup.wake();
    while (!either.aborted) {
      await wakeup.wait(ready ? undefined : backoff.next(), either);
      if (ready || either.aborted) continue;
      try {
        checkServerVersion(live.connection.info?.version ?? "0");
        await ensureStreams(live.manager, options.replicas);
        if (live.connection.isClosed()) continue;
        ready = true;
        backoff.reset();
        logger.info({ server: live.connection.getServer() }, "connected to NATS");
        options.onReady();
      } catch (error) {
        lose(error, `NATS at ${options.url}`);
      }
    }
  }

  return {
    live() {
      if (!link || !ready) throw new CodedError("NATS_UNREACHABLE", "There is no usable connection to NATS");
      return link;
    },
    get connected() {
      return ready;
    },
    async ensure() {
      if (!link || !ready) throw new CodedError("NATS_UNREACHABLE", "There is no usable connection to NATS");
      try {
        return await ensureStreams(link.manager, options.replicas);
      } catch (error) {
        lose(error, `NATS at ${options.url}`);
        wakeup.wake();
        throw toNatsError(error, "the streams cannot be checked");
      }
    },
    async run(signal) {
      const backoff = createBackoff({ initialMs: 250, maxMs: 10_000, random });
      while (!signal.aborted) {
        try {
          const live = await open();
          link = live;
          backoff.reset();
          void follow(live);
          await serve(live, signal);
          await live.connection.close();
          if (!signal.aborted) lose(new Error("the connection was closed"), `NATS at ${options.url}`);
        } catch (error) {
          lose(error, `NATS at ${options.url}`);
          logger.warn({ code: toNatsError(error, "").code, err: error }, "cannot connect to NATS");
        }
        link = undefined;
        ready = false;
        if (!signal.aborted) await clock.sleep(backoff.next(), signal).catch(() => {});
      }
    },
  };
}
