import type { FastifyInstance } from "fastify";
import type { ZodTypeProvider } from "fastify-type-provider-zod";
import { z } from "zod";
import type { ApiOptions } from "./api-options.ts";
import { errorAnswer, errorAnswers } from "./error-answers.ts";
import { requireLoaded } from "./require-loaded.ts";
import { INSPECTION } from "./view-schemas.ts";
import { signatureOf, sourcesOfWebhook, verifyWebhook, WEBHOOK_BODY_BYTES } from "./webhook.ts";

const SIGNATURE = "x-hub-signature-256";

const HOOK_DESCRIPTION = `Checks the signature and makes the hub look at the sources that the push is about, or at all of them if the body names none.
What is fetched is configured, never what a webhook says.

GitHub, Gitea and Forgejo work as they are, with the secret of the hub and the content type JSON: they sign with \`X-Hub-Signature-256\`.
GitLab (\`X-Gitlab-Token\`, \`webhook-signature\`), Bitbucket (\`X-Hub-Signature\`) and Gogs (\`X-Gogs-Signature\`) do not: without a webhook
the hub polls.`;
/** Only for the description: whatever is signed is taken, and what is no such push makes the hub look at everything. */
const PUSH = z.unknown().meta({
  description: "A push, as Git hosts describe it. Everything else in it is left out.",
  type: "object",
  properties: {
    ref: { type: "string", description: "The branch or tag that was pushed, such as `refs/heads/main`." },
    repository: {
      type: "object",
      description: "Compared with the URLs of the sources.",
      properties: { clone_url: { type: "string" }, html_url: { type: "string" }, git_http_url: { type: "string" } },
    },
  },
});

/** Routes that make somebody act: agents on request, and the webhook of the Git host. */
export function registerCommandRoutes(base: FastifyInstance, options: ApiOptions): void {
  base.register((scope, _options, done) => {
    // As for lists: before Git was read, nobody can say that there is no such cluster.
    requireLoaded(scope, options.loaded ?? (() => true));
    registerAgentCommands(scope, options);
    done();
  });
  // In a scope of its own, because its body is wanted as bytes: the signature is over just these.
  base.register((scope, _options, done) => {
    registerWebhook(scope, options);
    done();
  });
}

function registerAgentCommands(scope: FastifyInstance, { commands }: ApiOptions): void {
  const app = scope.withTypeProvider<ZodTypeProvider>();
  app.post(
    "/api/v1/clusters/:name/reconcile",
    {
      schema: {
        operationId: "reconcileCluster",
        summary: "Ask a cluster's agent to apply its slice again now",
        params: z.object({ name: z.string() }),
        querystring: z.strictObject({}),
        body: z.strictObject({ bundle: z.string().max(63).optional() }).nullish(),
        response: { 202: z.object({ accepted: z.literal(true) }), ...errorAnswers(400, 401, 404, 413, 503) },
      },
    },
    async ({ params, body }, reply) => {
      await commands.reconcile(params.name, body?.bundle);
      return reply.code(202).send({ accepted: true });
    },
  );
  app.get(
    "/api/v1/targets/:bundle/:cluster/objects",
    {
      schema: {
        operationId: "inspectTarget",
        summary: "The objects of a target, asked from its agent now",
        description: "Every object, as far as one answer of the agent holds them; `truncated` says if some are left out.",
        params: z.object({ bundle: z.string(), cluster: z.string() }),
        querystring: z.strictObject({}),
        response: { 200: INSPECTION, ...errorAnswers(400, 401, 404, 503) },
      },
    },
    async ({ params }) => (await commands.inspect(params.cluster, params.bundle)) as never,
  );
}

function registerWebhook(scope: FastifyInstance, { look, sources, webhookSecret }: ApiOptions): void {
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser("*", { parseAs: "buffer", bodyLimit: WEBHOOK_BODY_BYTES }, (_request, body, done) => done(null, body));
  scope.post(
    "/api/v1/hooks/git",
    {
      bodyLimit: WEBHOOK_BODY_BYTES,
      // The signature is the credential; without one the body is not even read.
      config: { anonymous: true },
      onRequest: async (request) => void signatureOf(request.headers[SIGNATURE]),
      schema: {
        operationId: "gitWebhook",
        summary: "Webhook of the Git host: look now",
        description: HOOK_DESCRIPTION,
        security: [{ webhookSignature: [] }],
        body: PUSH,
        response: {
          202: z.object({ accepted: z.literal(true), sources: z.array(z.string()).describe("Names of the sources that are looked at") }),
          ...errorAnswers(413),
          401: errorAnswer("The signature is missing or does not fit the body: HOOK_SIGNATURE."),
        },
      },
    },
    async (request, reply) => {
      const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
      verifyWebhook(body, request.headers[SIGNATURE], webhookSecret());
      const names = sourcesOfWebhook(body, sources);
      if (names === undefined) look();
      else for (const name of names) look(name);
      return reply.code(202).send({ accepted: true, sources: names ?? sources.map((source) => source.name) });
    },
  );
}
