import { CodedError } from "@muster/shared/errors";
import type { FastifyInstance } from "fastify";
import type { ZodTypeProvider } from "fastify-type-provider-zod";
import { z } from "zod";
import type { AgentView } from "../enrolment/agent-views.ts";
import { errorAnswers } from "./error-answers.ts";
import { pageByKey } from "./paging.ts";
import { requireLoaded } from "./require-loaded.ts";
import { AGENT, JOIN, listOf } from "./view-schemas.ts";

/** All that an agent has to be given to enrol: a secret that is good once, and whom to trust. */
export interface JoinView {
  readonly cluster: string;
  readonly token: string;
  readonly expiresAt: string;
  readonly trustDomain: string;
  /** host:port of the hub's gRPC, and of its enrolment. */
  readonly hubAddress: string;
  readonly enrolAddress: string;
  readonly natsUrl: string;
  /** PEM. */
  readonly ca: string;
  readonly natsCa?: string;
  readonly signingKeys: string;
}

/** Who acts for the clusters, and who is to. */
export interface AgentAdministration {
  /** Of every declared cluster, and of those that somebody once acted for. */
  list(): readonly AgentView[];
  /** Throws API_NOT_FOUND. */
  join(cluster: string, options: { readonly ttlMs?: number }): JoinView;
  /** Throws AGENT_NOT_PENDING. */
  approve(cluster: string, fingerprint?: string): AgentView;
  /** Throws API_NOT_FOUND. */
  revoke(cluster: string): AgentView;
  /** Rejects with API_NOT_FOUND or AGENT_OFFLINE. */
  rotate(cluster: string): Promise<void>;
}

const params = z.object({ cluster: z.string().max(63) });
const none = z.strictObject({});

/** Agents: tokens for new ones, approvals, revocations. */
export function registerAgentRoutes(
  base: FastifyInstance,
  { agents, loaded = () => true }: { readonly agents: AgentAdministration; readonly loaded?: () => boolean },
): void {
  base.register((scope, _options, done) => {
    requireLoaded(scope, loaded);
    register(scope, agents);
    done();
  });
  registerRevocation(base, agents);
}

function register(scope: FastifyInstance, agents: AgentAdministration): void {
  const app = scope.withTypeProvider<ZodTypeProvider>();
  app.get(
    "/api/v1/agents",
    {
      schema: {
        operationId: "listAgents",
        summary: "Who acts for which cluster",
        querystring: z.strictObject({
          limit: z.coerce.number().int().min(1).max(1_000).default(100).describe("Items on a page"),
          continue: z.string().max(1_000).optional().describe("Token of the page before"),
        }),
        response: { 200: listOf(AGENT), ...errorAnswers(400, 401, 503) },
      },
    },
    async ({ query }) => pageByKey({ name: "agents", items: agents.list(), keyOf: ({ cluster }) => cluster }, query) as never,
  );
  app.get(
    "/api/v1/agents/:cluster",
    {
      schema: {
        operationId: "getAgent",
        summary: "Who acts for a cluster",
        params,
        querystring: none,
        response: { 200: AGENT, ...errorAnswers(400, 401, 404, 503) },
      },
    },
    async ({ params: { cluster } }) => {
      const found = agents.list().find((agent) => agent.cluster === cluster);
      if (!found) throw new CodedError("API_NOT_FOUND", `There is no cluster ${cluster}`);
      return found as never;
    },
  );
  app.post(
    "/api/v1/agents/:cluster/token",
    {
      schema: {
        operationId: "createJoinToken",
        summary: "A one-time token for a cluster's agent",
        description:
          "What a new agent needs to enrol. The token is shown this once, is good for one agent of this cluster, and makes one that was given out before void. Where an agent acts for the cluster already, the new one waits for an approval.",
        params,
        querystring: none,
        body: z.strictObject({ ttlSeconds: z.int().min(60).max(86_400).optional().describe("Default: 15 minutes") }).nullish(),
        response: { 201: JOIN, ...errorAnswers(400, 401, 404, 413, 503) },
      },
    },
    async ({ params: { cluster }, body }, reply) => {
      const ttlMs = body?.ttlSeconds === undefined ? {} : { ttlMs: body.ttlSeconds * 1_000 };
      return reply.code(201).header("cache-control", "no-store").send(agents.join(cluster, ttlMs));
    },
  );
  app.post(
    "/api/v1/agents/:cluster/approve",
    {
      schema: {
        operationId: "approveAgent",
        summary: "Let the agent that waits act for the cluster",
        description: "Who acted for it before is revoked.",
        params,
        querystring: none,
        body: z
          .strictObject({ fingerprint: z.string().max(64).optional().describe("The one that was looked at; another one is not approved") })
          .nullish(),
        response: { 200: AGENT, ...errorAnswers(400, 401, 404, 413, 503) },
      },
    },
    async ({ params: { cluster }, body }) => agents.approve(cluster, body?.fingerprint) as never,
  );
  app.post(
    "/api/v1/agents/:cluster/rotate",
    {
      schema: {
        operationId: "rotateAgent",
        summary: "Let the agent make other keys",
        description: "It renews with them at once; the ones that it had are revoked then.",
        params,
        querystring: none,
        body: z.strictObject({}).nullish(),
        response: { 202: z.object({ accepted: z.literal(true) }), ...errorAnswers(400, 401, 404, 413, 503) },
      },
    },
    async ({ params: { cluster } }, reply) => {
      await agents.rotate(cluster);
      return reply.code(202).send({ accepted: true });
    },
  );
}

/** Also while Git cannot be read: whoever must be kept out must not wait for that. */
function registerRevocation(base: FastifyInstance, agents: AgentAdministration): void {
  const app = base.withTypeProvider<ZodTypeProvider>();
  app.post(
    "/api/v1/agents/:cluster/revoke",
    {
      schema: {
        operationId: "revokeAgent",
        summary: "Let nobody act for the cluster any more",
        description: "Its connections are ended. What it has applied stays; so does what it keeps for itself.",
        params,
        querystring: none,
        body: z.strictObject({}).nullish(),
        response: { 200: AGENT, ...errorAnswers(400, 401, 404, 413, 503) },
      },
    },
    async ({ params: { cluster } }) => agents.revoke(cluster) as never,
  );
}
