import { createHash, timingSafeEqual } from "node:crypto";
import swagger from "@fastify/swagger";
import { CodedError, type ErrorCode, isErrorCode } from "@muster/shared/errors";
import Fastify, { type FastifyError, type FastifyInstance, type FastifyRequest } from "fastify";
import { createJsonSchemaTransform, serializerCompiler, validatorCompiler } from "fastify-type-provider-zod";
import type { ApiOptions } from "./api-options.ts";
import { registerCommandRoutes } from "./command-routes.ts";
import { registerQueryRoutes } from "./query-routes.ts";
import { registerWatchRoute } from "./watch-route.ts";

/** The operators' HTTP API. Call `listen` or `inject` on the result. */
export async function createApi(options: ApiOptions): Promise<FastifyInstance> {
  const app = Fastify({
    bodyLimit: 64 * 1024,
    requestTimeout: 30_000,
    logger: false,
    ...(options.tls && { https: { cert: options.tls.cert, key: options.tls.key, minVersion: "TLSv1.2" } }),
  } as object) as unknown as FastifyInstance;
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  await app.register(swagger, {
    openapi: {
      openapi: "3.1.0",
      info: { title: "Muster", version: options.version, description: "The fleet, as its operators ask for it. Lists take kubectl's label selectors and are paged by key." },
      components: { securitySchemes: { token: { type: "http", scheme: "bearer" } } },
      security: [{ token: [] }],
    },
    transform: createJsonSchemaTransform({ skipList: ["/healthz", "/readyz", "/metrics", "/openapi.json"] }),
  });

  app.addHook("onSend", async (_request, reply) => {
    reply.headers({ "x-content-type-options": "nosniff", "cache-control": "no-store", "content-security-policy": "default-src 'none'" });
  });
  app.addHook("onRequest", async (request) => {
    if (request.url.startsWith("/api/") && !request.url.startsWith("/api/v1/hooks/")) checkToken(request, options.token());
  });
  app.setErrorHandler((error: FastifyError, _request, reply) => {
    const coded = toCoded(error);
    if (coded.code === "INTERNAL") options.logger.error({ err: error }, "a request failed");
    const status = coded.info.httpStatus ?? 500;
    if (status === 401) reply.header("www-authenticate", "Bearer");
    return reply.code(status).send({ error: { code: coded.code, message: coded.code === "INTERNAL" ? "Internal error" : coded.message, hint: coded.info.hint } });
  });
  app.setNotFoundHandler((request, reply) => {
    const { hint } = new CodedError("API_NOT_FOUND", "").info;
    return reply.code(404).send({ error: { code: "API_NOT_FOUND", message: `There is nothing at ${request.method} ${request.url.split("?")[0]?.slice(0, 200)}`, hint } });
  });

  app.get("/healthz", async () => "ok\n");
  app.get("/readyz", async (_request, reply) => {
    const { ready, reasons } = options.ready();
    return reply.code(ready ? 200 : 503).type("text/plain").send(ready ? "ok\n" : `not ready: ${reasons.join(", ")}\n`);
  });
  app.get("/metrics", async (_request, reply) => reply.type(options.metrics.contentType).send(await options.metrics.text()));
  app.get("/openapi.json", async () => app.swagger());
  registerQueryRoutes(app, options.queries);
  registerCommandRoutes(app, options);
  registerWatchRoute(app, options.queries, options.clock);
  return app;
}

/** Compared as digests, so that neither length nor content can be told from the time it takes. */
function checkToken(request: FastifyRequest, wanted: string): void {
  const header = request.headers.authorization ?? "";
  const given = header.startsWith("Bearer ") ? header.slice("Bearer ".length) : "";
  const digest = (text: string) => createHash("sha256").update(text).digest();
  if (given === "" || !timingSafeEqual(digest(given), digest(wanted))) throw new CodedError("API_UNAUTHORIZED", "The request has no valid token");
}

function toCoded(error: FastifyError): CodedError {
  if (error instanceof CodedError) return error;
  if (error.statusCode === 413) return new CodedError("API_TOO_LARGE", "The request's body is too large");
  if (error.validation || (error.statusCode !== undefined && error.statusCode < 500)) return new CodedError("API_BAD_REQUEST", error.message);
  const code: string = (error as { code?: string }).code ?? "";
  return new CodedError(isErrorCode(code) ? (code as ErrorCode) : "INTERNAL", error.message, { cause: error });
}
