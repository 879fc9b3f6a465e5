import { randomUUID } from "node:crypto";
import swagger from "@fastify/swagger";
import Fastify, { type FastifyInstance } from "fastify";
import { serializerCompiler, validatorCompiler } from "fastify-type-provider-zod";
import { registerAgentRoutes } from "./agent-routes.ts";
import type { ApiOptions } from "./api-options.ts";
import { requireToken } from "./authentication.ts";
import { registerBackupRoute } from "./backup-route.ts";
import { registerCommandRoutes } from "./command-routes.ts";
import { registerErrorResponses, sendFrameworkError } from "./error-responses.ts";
import { openapiOptions } from "./openapi-options.ts";
import { registerProbes } from "./probes.ts";
import { registerQueryRoutes } from "./query-routes.ts";
import { registerTelemetry } from "./request-telemetry.ts";
import { limitConnections, serverOptions } from "./server-limits.ts";
import { registerWatchRoute } from "./watch-route.ts";

/** The operators' HTTP API. Call `listen` or `inject` on the result. */
export async function createApi(options: ApiOptions): Promise<FastifyInstance> {
  const app = Fastify({
    ...serverOptions(options.tls),
    genReqId: () => randomUUID(),
    frameworkErrors: sendFrameworkError,
    logger: false,
  } as object) as unknown as FastifyInstance;
  limitConnections(app, options.clock, options.logger);
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  await app.register(swagger, openapiOptions(options.version));
  // Before the routes: a hook holds for what is registered after it.
  registerTelemetry(app, options.logger, options.metrics);
  requireToken(app, options.token);
  registerErrorResponses(app, options.logger);
  registerProbes(app, options);
  registerQueryRoutes(app, options);
  registerCommandRoutes(app, options);
  registerAgentRoutes(app, options);
  registerBackupRoute(app, options.backup);
  registerWatchRoute(app, options);
  return app;
}
