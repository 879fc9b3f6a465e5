import { createServer, type Server } from "node:http";
import type { Metrics } from "@muster/shared/telemetry";

/** Options of {@link startHealthServer}. */
export interface HealthServerOptions {
  /** `host:port` or `:port`. */
  readonly listen: string;
  readonly metrics: Metrics;
  /** What is not ready yet; empty: ready. */
  readonly notReady: () => readonly string[];
}

/** /healthz says that the process works, /readyz that it can do its job, /metrics the rest. */
export async function startHealthServer(options: HealthServerOptions): Promise<{ readonly port: number; close(): Promise<void> }> {
  const server: Server = createServer((request, response) => {
    const path = (request.url ?? "").split("?")[0];
    if (request.method !== "GET") response.writeHead(405).end();
    else if (path === "/healthz") response.writeHead(200).end("ok\n");
    else if (path === "/readyz") {
      const missing = options.notReady();
      response.writeHead(missing.length === 0 ? 200 : 503).end(missing.length === 0 ? "ok\n" : `not ready: ${missing.join(", ")}\n`);
    } else if (path === "/metrics") {
      options.metrics.text().then(
        (text) => response.writeHead(200, { "content-type": options.metrics.contentType }).end(text),
        () => response.writeHead(500).end(),
      );
    } else response.writeHead(404).end();
  });
  server.headersTimeout = 5_000;
  server.requestTimeout = 10_000;
  const colon = options.listen.lastIndexOf(":");
  const host = options.listen.slice(0, colon);
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(Number(options.listen.slice(colon + 1)), ...(host === "" ? [] : [host]), resolve);
  });
  const address = server.address();
  return {
    port: typeof address === "object" && address ? address.port : 0,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}
