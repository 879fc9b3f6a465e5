import type { Clock } from "@muster/shared/runtime";
import { LogField, type Logger } from "@muster/shared/telemetry";
import type { FastifyInstance } from "fastify";

/** Largest body of a request, in bytes; the webhook has its own. */
const BODY_BYTES = 64 * 1024;
/** Milliseconds in which the headers must be there. Until then nobody has shown a token, so whoever trickles them is cut off soon. */
const HEADERS_TIMEOUT_MS = 10_000;
/** Milliseconds in which a request must have come in whole; no body is larger than some hundred KiB. */
const REQUEST_TIMEOUT_MS = 30_000;
/** Milliseconds between two looks for connections that are too slow; they live up to so much longer. Node's default is 30 s. */
const CHECK_INTERVAL_MS = 5_000;
/** Milliseconds for a TLS handshake. Node's default is 2 minutes. */
const TLS_HANDSHAKE_TIMEOUT_MS = 10_000;
/** Milliseconds without a byte in either direction, so that nobody holds an answer that he does not read. Live views beat every 15 s. */
const IDLE_TIMEOUT_MS = 60_000;
/** Milliseconds that a connection waits for its next request: longer than the 60 s of usual load balancers, who must close first. */
const KEEP_ALIVE_TIMEOUT_MS = 72_000;
/** Connections at once: four times the live views. Each takes a descriptor and memory before it has shown a token. */
const MAX_CONNECTIONS = 1_024;
/** Milliseconds between two log lines about connections that were dropped. */
const DROP_LOG_MS = 60_000;

/** Options of Fastify's that bound what one connection may take, with a TLS key or without. */
export function serverOptions(tls: { readonly cert: string; readonly key: string } | undefined): object {
  const node = { headersTimeout: HEADERS_TIMEOUT_MS, connectionsCheckingInterval: CHECK_INTERVAL_MS };
  return {
    bodyLimit: BODY_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    connectionTimeout: IDLE_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
    ...(tls
      ? { https: { ...node, cert: tls.cert, key: tls.key, minVersion: "TLSv1.2", handshakeTimeout: TLS_HANDSHAKE_TIMEOUT_MS } }
      : { http: node }),
  };
}

/** Drops connections beyond {@link MAX_CONNECTIONS}, and says so from time to time. */
export function limitConnections({ server }: FastifyInstance, clock: Pick<Clock, "monotonicMs">, logger: Logger): void {
  server.maxConnections = MAX_CONNECTIONS;
  let loggedAtMs: number | undefined;
  server.on("drop", () => {
    const nowMs = clock.monotonicMs();
    if (loggedAtMs !== undefined && nowMs - loggedAtMs < DROP_LOG_MS) return;
    loggedAtMs = nowMs;
    logger.warn({ [LogField.Count]: MAX_CONNECTIONS }, "as many connections to the HTTP API are open as the hub keeps; more are dropped");
  });
}
