import type { FastifyInstance } from "fastify";
import type { ZodTypeProvider } from "fastify-type-provider-zod";
import { z } from "zod";
import type { ApiOptions } from "./api-options.ts";
import { ERROR, INSPECTED } from "./view-schemas.ts";
import { signatureOf, sourcesOfWebhook, verifyWebhook, WEBHOOK_BODY_BYTES } from "./webhook.ts";

const SIGNATURE = "x-hub-signature-256";

/** Routes that make somebody act: agents on request, and the webhook of the Git host. */
export function registerCommandRoutes(base: FastifyInstance, options: ApiOptions): void {
  const app = base.withTypeProvider<ZodTypeProvider>();
  const errors = { 401: ERROR, 404: ERROR, 503: ERROR };

  app.post(
    "/api/v1/clusters/:name/reconcile",
    {
      schema: {
        operationId: "reconcileCluster",
        summary: "Ask a cluster's agent to apply its slice again now",
        params: z.object({ name: z.string() }),
        body: z.strictObject({ bundle: z.string().max(63).optional() }).nullish(),
        response: { 202: z.object({ accepted: z.literal(true) }), ...errors },
      },
    },
    async ({ params, body }, reply) => {
      await options.commands.reconcile(params.name, body?.bundle);
      return reply.code(202).send({ accepted: true });
    },
  );
  app.get(
    "/api/v1/targets/:bundle/:cluster/objects",
    {
      schema: {
        operationId: "inspectTarget",
        summary: "Every object of a target, asked from its agent now",
        params: z.object({ bundle: z.string(), cluster: z.string() }),
        response: { 200: z.object({ items: z.array(INSPECTED) }), ...errors },
      },
    },
    async ({ params }) => ({ items: await options.commands.inspect(params.cluster, params.bundle) }) as never,
  );

  // In a scope of its own, because its body is wanted as bytes: the signature is over just these.
  base.register((scope, _options, done) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser("*", { parseAs: "buffer", bodyLimit: WEBHOOK_BODY_BYTES }, (_request, body, done) => done(null, body));
    scope.post(
      "/api/v1/hooks/git",
      {
        bodyLimit: WEBHOOK_BODY_BYTES,
        // The signature is the credential; without one the body is not even read.
        config: { anonymous: true },
        onRequest: async (request) => void signatureOf(request.headers[SIGNATURE]),
        schema: { operationId: "gitWebhook", summary: "Webhook of the Git host: look now", security: [] },
      },
      async (request, reply) => {
        const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
        verifyWebhook(body, request.headers[SIGNATURE], options.webhookSecret());
        const names = sourcesOfWebhook(body, options.sources);
        if (names === undefined) options.look();
        else for (const name of names) options.look(name);
        return reply.code(202).send({ accepted: true, sources: names ?? options.sources.map((source) => source.name) });
      },
    );
    done();
  });
}
