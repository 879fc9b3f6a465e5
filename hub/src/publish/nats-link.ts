import { readFile } from "node:fs/promises";
import { CodedError } from "@muster/shared/errors";
import { type Clock, type Random, createBackoff } from "@muster/shared/runtime";
import type { Logger } from "@muster/shared/telemetry";
import { type JetStreamClient, type JetStreamManager, type NatsConnection, connect, credsAuthenticator } from "nats";
import { checkServerVersion, ensureStreams } from "./streams.ts";

/** Options of {@link createNatsLink}. */
export interface NatsLinkOptions {
  readonly url: string;
  readonly credsFile?: string;
  readonly caFile?: string;
  /** Replicas of the streams. */
  readonly replicas: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Called after every connect and reconnect, when the streams are there. */
  readonly onReady: () => void;
  readonly onLost: (why: string) => void;
}

/** A connection that is there, with its streams made sure of. */
export interface LiveLink {
  readonly connection: NatsConnection;
  readonly jetstream: JetStreamClient;
  readonly manager: JetStreamManager;
}

export interface NatsLink {
  /** Throws NATS_UNREACHABLE while there is no connection. */
  live(): LiveLink;
  readonly connected: boolean;
  /** Makes missing streams again. Gives true if one was missing. */
  ensure(): Promise<boolean>;
  run(signal: AbortSignal): Promise<void>;
}

/** Milliseconds for one JetStream request. */
const TIMEOUT_MS = 5_000;

export function createNatsLink(options: NatsLinkOptions): NatsLink {
  const { clock, random, logger } = options;
  let link: LiveLink | undefined;

  async function open(): Promise<LiveLink> {
    const connection = await connect({
      servers: options.url,
      name: "muster-hub",
      inboxPrefix: "_INBOX_muster-hub",
      maxReconnectAttempts: -1,
      reconnectTimeWait: 250,
      reconnectJitter: 500,
      pingInterval: 20_000,
      maxPingOut: 2,
      timeout: 5_000,
      ...(options.credsFile && { authenticator: credsAuthenticator(await readFile(options.credsFile)) }),
      ...(options.caFile && { tls: { caFile: options.caFile } }),
    });
    checkServerVersion(connection.info?.version ?? "0");
    const manager = await connection.jetstreamManager({ timeout: TIMEOUT_MS, checkAPI: false });
    return { connection, manager, jetstream: connection.jetstream({ timeout: TIMEOUT_MS }) };
  }

  async function becomeReady(): Promise<void> {
    if (!link) return;
    await ensureStreams(link.manager, options.replicas);
    options.onReady();
  }

  async function follow(live: LiveLink, signal: AbortSignal): Promise<void> {
    for await (const status of live.connection.status()) {
      if (status.type === "disconnect" && !signal.aborted) {
        logger.warn("the connection to NATS was lost");
        options.onLost("the connection to NATS was lost");
      }
      if (status.type === "reconnect") {
        logger.info("NATS is back");
        await becomeReady().catch((error: unknown) => logger.warn({ err: error }, "NATS is back but JetStream is not ready; the audit tries again"));
      }
    }
  }

  return {
    live() {
      if (!link || link.connection.isClosed()) throw new CodedError("NATS_UNREACHABLE", "There is no connection to NATS");
      return link;
    },
    get connected() {
      return link !== undefined && !link.connection.isClosed();
    },
    ensure: async () => {
      if (!link) throw new CodedError("NATS_UNREACHABLE", "There is no connection to NATS");
      return ensureStreams(link.manager, options.replicas);
    },
    async run(signal) {
      const backoff = createBackoff({ initialMs: 250, maxMs: 10_000, random });
      while (!signal.aborted) {
        try {
          const live = await open();
          link = live;
          const stop = () => void live.connection.close();
          signal.addEventListener("abort", stop, { once: true });
          void follow(live, signal);
          await becomeReady();
          backoff.reset();
          logger.info({ server: live.connection.getServer() }, "connected to NATS");
          const closed = await live.connection.closed();
          signal.removeEventListener("abort", stop);
          if (closed) options.onLost(closed.message);
        } catch (error) {
          const coded = error instanceof CodedError ? error : new CodedError("NATS_UNREACHABLE", `Cannot use NATS at ${options.url}: ${(error as Error).message}`, { cause: error });
          options.onLost(coded.message);
          logger.warn({ code: coded.code, err: coded }, "cannot use NATS");
          await link?.connection.close().catch(() => {});
        }
        link = undefined;
        if (!signal.aborted) await clock.sleep(backoff.next(), signal).catch(() => {});
      }
    },
  };
}
