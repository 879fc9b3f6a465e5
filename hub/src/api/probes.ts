import type { FastifyInstance } from "fastify";
import type { ApiOptions } from "./api-options.ts";

/** What Kubernetes and Prometheus ask without a token, and the API's own description, with one. */
export function registerProbes(app: FastifyInstance, { ready, metrics }: Pick<ApiOptions, "ready" | "metrics">): void {
  const anonymous = (operationId: string, summary: string) =>
    ({ config: { anonymous: true }, schema: { operationId, summary, security: [] } }) as const;
  app.get("/healthz", anonymous("healthz", "Whether the process runs"), async () => "ok\n");
  app.get("/readyz", anonymous("readyz", "Whether the hub can publish, and if not, why"), async (_request, reply) => {
    const state = ready();
    return reply
      .code(state.ready ? 200 : 503)
      .type("text/plain")
      .send(state.ready ? "ok\n" : `not ready: ${state.reasons.join(", ")}\n`);
  });
  app.get("/metrics", anonymous("metrics", "Metrics, as Prometheus reads them"), async (_request, reply) =>
    reply.type(metrics.contentType).send(await metrics.text()),
  );
  app.get("/openapi.json", { schema: { operationId: "openapi", summary: "This description" } }, async () => app.swagger());
}
