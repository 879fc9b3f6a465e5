import { randomUUID } from "node:crypto";
import swagger from "@fastify/swagger";
import Fastify, { type FastifyInstance } from "fastify";
import { jsonSchemaTransform, jsonSchemaTransformObject, serializerCompiler, validatorCompiler } from "fastify-type-provider-zod";
import type { ApiOptions } from "./api-options.ts";
import { requireToken } from "./authentication.ts";
import { registerCommandRoutes } from "./command-routes.ts";
import { registerErrorResponses, sendFrameworkError } from "./error-responses.ts";
import { registerProbes } from "./probes.ts";
import { registerQueryRoutes } from "./query-routes.ts";
import { registerTelemetry } from "./request-telemetry.ts";
import { registerWatchRoute } from "./watch-route.ts";

/** Largest body of a request, in bytes; the webhook has its own. */
const BODY_BYTES = 64 * 1024;
/** Milliseconds in which a request must have come in whole. */
const REQUEST_TIMEOUT_MS = 30_000;

/** The operators' HTTP API. Call `listen` or `inject` on the result. */
export async function createApi(options: ApiOptions): Promise<FastifyInstance> {
  const app = Fastify({
    bodyLimit: BODY_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    genReqId: () => randomUUID(),
    frameworkErrors: sendFrameworkError,
    logger: false,
    ...(options.tls && { https: { cert: options.tls.cert, key: options.tls.key, minVersion: "TLSv1.2" } }),
  } as object) as unknown as FastifyInstance;
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  await app.register(swagger, {
    openapi: {
      openapi: "3.1.0",
      info: {
        title: "Muster",
        version: options.version,
        description:
          "The fleet, as its operators ask for it. Lists take kubectl's label selectors and are paged by key. Errors are `{error: {code, message, hint}}`; their codes are stable.",
      },
      components: { securitySchemes: { token: { type: "http", scheme: "bearer" } } },
      security: [{ token: [] }],
    },
    transform: jsonSchemaTransform,
    // Puts the shapes that have a name into the components that the others refer to.
    transformObject: jsonSchemaTransformObject,
  });
  // Before the routes: a hook holds for what is registered after it.
  registerTelemetry(app, options.logger, options.metrics);
  requireToken(app, options.token);
  registerErrorResponses(app, options.logger);
  registerProbes(app, options);
  registerQueryRoutes(app, options);
  registerCommandRoutes(app, options);
  registerWatchRoute(app, options);
  return app;
}
