import { LogField, type Logger, type Metrics } from "@muster/shared/telemetry";
import type { FastifyInstance } from "fastify";

declare module "fastify" {
  interface FastifyContextConfig {
    /** true: the answer goes on until somebody hangs up, so its duration says nothing. */
    stream?: true;
  }
}

/**
 * Headers that every answer has, a duration per route, and a line in the log: of what makes somebody act, and of what failed;
 * of the rest only at level debug. Neither headers nor the query are logged: tokens stand there.
 */
export function registerTelemetry(app: FastifyInstance, logger: Logger, metrics: Metrics): void {
  const duration = metrics.histogram("muster_hub_http_request_duration_seconds", "Time of one request to the HTTP API", {
    labels: ["method", "route", "status"],
  });
  app.addHook("onSend", async (request, reply) => {
    reply.headers({
      "x-request-id": request.id,
      "x-content-type-options": "nosniff",
      "cache-control": "no-store",
      "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
      "referrer-policy": "no-referrer",
    });
  });
  app.addHook("onResponse", async (request, reply) => {
    const { url, config } = request.routeOptions;
    const route = url ?? "none";
    // The pattern and not the path: names must not multiply the series.
    if (config?.stream !== true)
      duration.observe(reply.elapsedTime / 1_000, { method: request.method, route, status: String(reply.statusCode) });
    const level = reply.statusCode >= 500 ? "warn" : request.method === "POST" ? "info" : "debug";
    logger[level](
      {
        [LogField.Request]: request.id,
        [LogField.Route]: `${request.method} ${route}`,
        [LogField.Status]: reply.statusCode,
        [LogField.DurationMs]: Math.round(reply.elapsedTime),
      },
      "answered",
    );
  });
}
