import { randomUUID } from "node:crypto";
import { CodedError } from "@muster/shared/errors";
import { formatObjectRef, type Labels } from "@muster/shared/model";
import type { FastifyBaseLogger, FastifyInstance, RawReplyDefaultExpression, RawRequestDefaultExpression, RawServerDefault } from "fastify";
import type { ZodTypeProvider } from "fastify-type-provider-zod";
import { z } from "zod";
import type { FleetQueries } from "../status/views.ts";
import type { ApiOptions } from "./api-options.ts";
import { errorAnswers } from "./error-answers.ts";
import { matchesLabelQuery, parseLabelSelector } from "./label-selector-query.ts";
import { type Listing, type Page, type PageQuery, pageByKey, pageInOrder } from "./paging.ts";
import { requireLoaded } from "./require-loaded.ts";
import { BUNDLE, CLUSTER, DRIFT, EVENT, FLEET, listOf, REVISION, TARGET, TARGET_DETAIL } from "./view-schemas.ts";

const paging = {
  limit: z.coerce.number().int().min(1).max(1_000).default(100).describe("Items on a page"),
  continue: z.string().max(1_000).optional().describe("Token of the page before"),
};
const selector = { labelSelector: z.string().max(4_000).optional().describe("Labels of the cluster, as kubectl's -l takes them") };
const ofCluster = { cluster: z.string().max(63).optional() };
const ofBundle = { bundle: z.string().max(63).optional() };
type TypedApp = FastifyInstance<
  RawServerDefault,
  RawRequestDefaultExpression,
  RawReplyDefaultExpression,
  FastifyBaseLogger,
  ZodTypeProvider
>;

/** Unknown parameters are refused: a misspelt filter would show the whole fleet. */
const none = z.strictObject({});
const ofList = errorAnswers(400, 401, 503);
const ofOne = errorAnswers(400, 401, 404, 503);

/** GET routes: what the fleet is and how it does. */
export function registerQueryRoutes(base: FastifyInstance, { queries, loaded = () => true }: Pick<ApiOptions, "queries" | "loaded">): void {
  const app = base.withTypeProvider<ZodTypeProvider>();

  app.get(
    "/api/v1/fleet",
    {
      schema: {
        operationId: "getFleet",
        summary: "The fleet at a glance",
        querystring: none,
        response: { 200: FLEET, ...errorAnswers(400, 401) },
      },
    },
    async () => send(queries.fleet()),
  );

  // Everything else is a list, or a thing of one: before Git was read, nobody can say that it is empty.
  base.register((scope, _options, done) => {
    requireLoaded(scope, loaded);
    registerFleetRoutes(scope.withTypeProvider<ZodTypeProvider>(), queries);
    registerHistoryRoutes(scope.withTypeProvider<ZodTypeProvider>(), queries);
    done();
  });
}

function registerFleetRoutes(app: TypedApp, queries: FleetQueries): void {
  app.get(
    "/api/v1/clusters",
    {
      schema: {
        operationId: "listClusters",
        summary: "Clusters",
        querystring: z.strictObject({ ...paging, ...selector }),
        response: { 200: listOf(CLUSTER), ...ofList },
      },
    },
    async ({ query }) => send(selected({ name: "clusters", items: queries.clusters(), keyOf: ({ name }) => name }, query)),
  );
  app.get(
    "/api/v1/clusters/:name",
    {
      schema: {
        operationId: "getCluster",
        summary: "One cluster",
        params: z.object({ name: z.string() }),
        querystring: none,
        response: { 200: CLUSTER, ...ofOne },
      },
    },
    async ({ params }) => send(found(queries.cluster(params.name), `cluster ${params.name}`)),
  );
  app.get(
    "/api/v1/bundles",
    {
      schema: {
        operationId: "listBundles",
        summary: "Bundles",
        querystring: z.strictObject(paging),
        response: { 200: listOf(BUNDLE), ...ofList },
      },
    },
    async ({ query }) => send(pageByKey({ name: "bundles", items: queries.bundles(), keyOf: ({ name }) => name }, query)),
  );
  app.get(
    "/api/v1/bundles/:name",
    {
      schema: {
        operationId: "getBundle",
        summary: "One bundle",
        params: z.object({ name: z.string() }),
        querystring: none,
        response: { 200: BUNDLE, ...ofOne },
      },
    },
    async ({ params }) => send(found(queries.bundle(params.name), `bundle ${params.name}`)),
  );
  app.get(
    "/api/v1/targets",
    {
      schema: {
        operationId: "listTargets",
        summary: "Targets: bundle and cluster pairs",
        querystring: z.strictObject({ ...paging, ...selector, ...ofCluster, ...ofBundle }),
        response: { 200: listOf(TARGET), ...ofList },
      },
    },
    async ({ query }) => {
      const items = queries.targets({ ...(query.cluster && { cluster: query.cluster }), ...(query.bundle && { bundle: query.bundle }) });
      return send(selected({ name: "targets", items, keyOf: ({ cluster, bundle }) => `${cluster}/${bundle}` }, query));
    },
  );
  app.get(
    "/api/v1/targets/:bundle/:cluster",
    {
      schema: {
        operationId: "getTarget",
        summary: "One target with its exceptional objects",
        params: z.object({ bundle: z.string(), cluster: z.string() }),
        querystring: none,
        response: { 200: TARGET_DETAIL, ...ofOne },
      },
    },
    async ({ params }) =>
      send(found(queries.target(params.bundle, params.cluster), `bundle ${params.bundle} on cluster ${params.cluster}`)),
  );
  app.get(
    "/api/v1/drift",
    {
      schema: {
        operationId: "listDrift",
        summary: "Objects that have drifted",
        querystring: z.strictObject({ ...paging, ...selector, ...ofCluster, ...ofBundle }),
        response: { 200: listOf(DRIFT), ...ofList },
      },
    },
    async ({ query }) => {
      const items = queries.drift().filter((view) => isOf(view, query));
      return send(selected({ name: "drift", items, keyOf: ({ cluster, ref }) => `${cluster}/${formatObjectRef(ref)}` }, query));
    },
  );
}

function registerHistoryRoutes(app: TypedApp, queries: FleetQueries): void {
  // Events are numbered from 1 by every process.
  const run = randomUUID();
  app.get(
    "/api/v1/revisions",
    {
      schema: {
        operationId: "listRevisions",
        summary: "Revisions, newest first",
        querystring: z.strictObject(paging),
        response: { 200: listOf(REVISION), ...ofList },
      },
    },
    async ({ query }) =>
      send(pageInOrder({ name: "revisions", items: queries.revisions(), keyOf: ({ revision, at }) => `${at}/${revision}` }, query)),
  );
  app.get(
    "/api/v1/events",
    {
      schema: {
        operationId: "listEvents",
        summary: "Events, newest first",
        querystring: z.strictObject({ ...paging, ...ofCluster, ...ofBundle }),
        response: { 200: listOf(EVENT), ...ofList },
      },
    },
    async ({ query }) => {
      const items = queries.events().filter((view) => isOf(view, query));
      return send(pageInOrder({ name: "events", items, keyOf: ({ id }) => String(id), run }, query));
    },
  );
}

/** Views are readonly and the serializer's types are not; the value is the same. */
function send<T>(value: T): never {
  return value as never;
}

function found<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new CodedError("API_NOT_FOUND", `There is no ${what}`);
  return value;
}

function isOf(
  view: { readonly cluster?: string; readonly bundle?: string },
  query: { readonly cluster?: string | undefined; readonly bundle?: string | undefined },
): boolean {
  return (!query.cluster || view.cluster === query.cluster) && (!query.bundle || view.bundle === query.bundle);
}

function selected<T extends { readonly labels: Labels }>(
  listing: Listing<T>,
  query: PageQuery & { readonly labelSelector?: string | undefined },
): Page<T> {
  if (query.labelSelector === undefined) return pageByKey(listing, query);
  const wanted = parseLabelSelector(query.labelSelector);
  return pageByKey({ ...listing, items: listing.items.filter(({ labels }) => matchesLabelQuery(wanted, labels)) }, query);
}
