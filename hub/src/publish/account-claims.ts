import { readFileSync } from "node:fs";
import { CodedError } from "@muster/shared/errors";
import { type Clock, createBackoff, type Random, Wakeup } from "@muster/shared/runtime";
import type { Logger } from "@muster/shared/telemetry";
import { connect, credsAuthenticator, type NatsConnection } from "nats";

/** Options of {@link createAccountClaims}. */
export interface AccountClaimsOptions {
  readonly url: string;
  /** Credentials of the system account, that may do just this. */
  readonly credsFile: string;
  readonly caFile?: string;
  readonly inboxPrefix: string;
  readonly subject: string;
  /** JWTs of all accounts, as the server is to have them now. Equal ones are equal texts. */
  readonly claims: () => Promise<readonly string[]>;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** Keeps what nats-server knows of the hub's accounts as the hub wants it: that is how users are revoked, live connections included. */
export interface AccountClaims {
  /** There may be something new. */
  push(): void;
  /** false: what the server has may be older than what the hub wants. */
  readonly isCurrent: boolean;
  run(signal: AbortSignal): Promise<void>;
}

const TIMEOUT_MS = 5_000;
/** A server that has lost its folder gets everything again after so many milliseconds at the latest. */
const AGAIN_MS = 60_000;

export function createAccountClaims(options: AccountClaimsOptions): AccountClaims {
  const { clock, random, logger } = options;
  const wakeup = new Wakeup();
  let isCurrent = false;

  /** Gives false if there was nothing to tell yet. */
  async function pushAll(connection: NatsConnection): Promise<boolean> {
    const all = await options.claims();
    for (const claims of all) {
      const answer = await connection.request(options.subject, claims, { timeout: TIMEOUT_MS });
      const { data, error } = answer.json<{
        readonly data?: { readonly code: number };
        readonly error?: { readonly description?: string };
      }>();
      if (data?.code !== 200) throw new Error(`nats-server refused the claims of an account: ${error?.description ?? "without a reason"}`);
    }
    return all.length > 0;
  }

  async function serve(connection: NatsConnection, signal: AbortSignal): Promise<void> {
    const backoff = createBackoff({ initialMs: 500, maxMs: 30_000, random });
    while (!signal.aborted && !connection.isClosed()) {
      try {
        const pushed = await pushAll(connection);
        if (!isCurrent && pushed) logger.info("nats-server knows the hub's accounts as they are now");
        isCurrent = pushed;
        backoff.reset();
      } catch (error) {
        isCurrent = false;
        logger.warn({ code: "NATS_CLAIMS", err: error }, "nats-server does not take the claims of the hub's accounts");
      }
      await wakeup.wait(isCurrent ? AGAIN_MS : backoff.next(), signal, clock);
    }
  }

  return {
    push: () => wakeup.wake(),
    get isCurrent() {
      return isCurrent;
    },
    async run(signal) {
      const backoff = createBackoff({ initialMs: 250, maxMs: 10_000, random });
      while (!signal.aborted) {
        try {
          const connection = await connect({
            servers: options.url.split(",").map((url) => url.trim()),
            name: "muster-hub claims",
            inboxPrefix: options.inboxPrefix,
            reconnect: false,
            timeout: TIMEOUT_MS,
            pingInterval: 20_000,
            maxPingOut: 2,
            authenticator: credsAuthenticator(() => readFileSync(options.credsFile)),
            ...(options.caFile && { tls: { caFile: options.caFile } }),
          });
          backoff.reset();
          const stop = () => void connection.close();
          signal.addEventListener("abort", stop, { once: true });
          void connection.closed().then(() => wakeup.wake());
          await serve(connection, signal);
          signal.removeEventListener("abort", stop);
          await connection.close();
        } catch (error) {
          logger.debug({ err: CodedError.from(error) }, "no connection to the system account of NATS");
        }
        isCurrent = false;
        if (!signal.aborted) await clock.sleep(backoff.next(), signal).catch(() => {});
      }
    },
  };
}
