import type { FastifyInstance, FastifySchema } from "fastify";
import { z } from "zod";
import type { ApiOptions } from "./api-options.ts";
import { errorAnswers } from "./error-answers.ts";

const plainText = (description: string) => ({ description, content: { "text/plain": { schema: z.string() } } });

/** What Kubernetes and Prometheus ask without a token, and the API's own description, with one. */
export function registerProbes(app: FastifyInstance, { ready, metrics }: Pick<ApiOptions, "ready" | "metrics">): void {
  const anonymous = (operationId: string, summary: string, response: object): { config: { anonymous: true }; schema: FastifySchema } => ({
    config: { anonymous: true },
    schema: { operationId, summary, security: [], response: { ...response, ...errorAnswers() } },
  });
  app.get("/healthz", anonymous("healthz", "Whether the process runs", { 200: plainText("It runs.") }), async (_request, reply) =>
    reply.type("text/plain").send("ok\n"),
  );
  const readiness = { 200: plainText("It can publish."), 503: plainText("It cannot publish, and why.") };
  app.get("/readyz", anonymous("readyz", "Whether the hub can publish, and if not, why", readiness), async (_request, reply) => {
    const state = ready();
    return reply
      .code(state.ready ? 200 : 503)
      .type("text/plain")
      .send(state.ready ? "ok\n" : `not ready: ${state.reasons.join(", ")}\n`);
  });
  const exposition = { 200: plainText("Prometheus's text format.") };
  app.get("/metrics", anonymous("metrics", "Metrics, as Prometheus reads them", exposition), async (_request, reply) =>
    reply.type(metrics.contentType).send(await metrics.text()),
  );
  const description = { operationId: "openapi", summary: "This description", querystring: z.strictObject({}) };
  const response = { 200: z.looseObject({ openapi: z.string() }), ...errorAnswers(400, 401) };
  app.get("/openapi.json", { schema: { ...description, response } }, async () => app.swagger());
}
