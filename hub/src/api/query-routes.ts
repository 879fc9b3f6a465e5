import { CodedError } from "@muster/shared/errors";
import { type Labels, formatObjectRef, matchesSelector } from "@muster/shared/model";
import type { FastifyInstance } from "fastify";
import type { ZodTypeProvider } from "fastify-type-provider-zod";
import { z } from "zod";
import type { FleetQueries } from "../status/views.ts";
import { parseLabelSelector } from "./label-selector-query.ts";
import { type Page, pageOf } from "./paging.ts";
import { BUNDLE, CLUSTER, DRIFT, ERROR, EVENT, FLEET, REVISION, TARGET, TARGET_DETAIL, listOf } from "./view-schemas.ts";

const paging = {
  limit: z.coerce.number().int().min(1).max(1_000).default(100).describe("Items on a page"),
  continue: z.string().max(1_000).optional().describe("Token of the page before"),
};
const selector = { labelSelector: z.string().max(4_000).optional().describe("Labels of the cluster, as kubectl's -l takes them") };
const ofCluster = { cluster: z.string().max(63).optional() };
const ofBundle = { bundle: z.string().max(63).optional() };
const errors = { 400: ERROR, 401: ERROR, 404: ERROR };

/** GET routes: what the fleet is and how it does. */
export function registerQueryRoutes(base: FastifyInstance, queries: FleetQueries): void {
  const app = base.withTypeProvider<ZodTypeProvider>();

  app.get("/api/v1/fleet", { schema: { summary: "The fleet at a glance", response: { 200: FLEET, ...errors } } }, async () => send(queries.fleet()));

  app.get("/api/v1/clusters", { schema: { summary: "Clusters", querystring: z.object({ ...paging, ...selector }), response: { 200: listOf(CLUSTER), ...errors } } }, async ({ query }) =>
    send(list(queries.clusters(), (view) => view.name, query)),
  );
  app.get("/api/v1/clusters/:name", { schema: { summary: "One cluster", params: z.object({ name: z.string() }), response: { 200: CLUSTER, ...errors } } }, async ({ params }) =>
    send(found(queries.cluster(params.name), `cluster ${params.name}`)),
  );

  app.get("/api/v1/bundles", { schema: { summary: "Bundles", querystring: z.object(paging), response: { 200: listOf(BUNDLE), ...errors } } }, async ({ query }) =>
    send(pageOf(sorted(queries.bundles(), (view) => view.name), (view) => view.name, query)),
  );
  app.get("/api/v1/bundles/:name", { schema: { summary: "One bundle", params: z.object({ name: z.string() }), response: { 200: BUNDLE, ...errors } } }, async ({ params }) =>
    send(found(queries.bundle(params.name), `bundle ${params.name}`)),
  );

  app.get(
    "/api/v1/targets",
    { schema: { summary: "Targets: bundle and cluster pairs", querystring: z.object({ ...paging, ...selector, ...ofCluster, ...ofBundle }), response: { 200: listOf(TARGET), ...errors } } },
    async ({ query }) =>
      send(list(queries.targets({ ...(query.cluster && { cluster: query.cluster }), ...(query.bundle && { bundle: query.bundle }) }), (view) => `${view.cluster}/${view.bundle}`, query)),
  );
  app.get(
    "/api/v1/targets/:bundle/:cluster",
    { schema: { summary: "One target with its exceptional objects", params: z.object({ bundle: z.string(), cluster: z.string() }), response: { 200: TARGET_DETAIL, ...errors } } },
    async ({ params }) => send(found(queries.target(params.bundle, params.cluster), `bundle ${params.bundle} on cluster ${params.cluster}`)),
  );

  app.get("/api/v1/drift", { schema: { summary: "Objects that have drifted", querystring: z.object({ ...paging, ...selector, ...ofCluster, ...ofBundle }), response: { 200: listOf(DRIFT), ...errors } } }, async ({ query }) => {
    const views = queries.drift().filter((view) => (!query.cluster || view.cluster === query.cluster) && (!query.bundle || view.bundle === query.bundle));
    return send(list(views, (view) => `${view.cluster}/${formatObjectRef(view.ref)}`, query));
  });

  app.get("/api/v1/revisions", { schema: { summary: "Revisions, newest first", querystring: z.object(paging), response: { 200: listOf(REVISION), ...errors } } }, async ({ query }) => {
    const views = queries.revisions().map((view, index) => ({ view, key: String(index).padStart(6, "0") }));
    return send(unkeyed(pageOf(views, ({ key }) => key, query)));
  });
  app.get("/api/v1/events", { schema: { summary: "Events, newest first", querystring: z.object({ ...paging, ...ofCluster, ...ofBundle }), response: { 200: listOf(EVENT), ...errors } } }, async ({ query }) => {
    const views = queries
      .events()
      .filter((view) => (!query.cluster || view.cluster === query.cluster) && (!query.bundle || view.bundle === query.bundle))
      // Newest first: the key counts down, so that new events do not shift a page that is being read.
      .map((view) => ({ view, key: String(Number.MAX_SAFE_INTEGER - view.id) }));
    return send(unkeyed(pageOf(views, ({ key }) => key, query)));
  });
}

/** Views are readonly and the serializer's types are not; the value is the same. */
function send<T>(value: T): never {
  return value as never;
}

function found<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new CodedError("API_NOT_FOUND", `There is no ${what}`);
  return value;
}

function sorted<T>(items: readonly T[], keyOf: (item: T) => string): T[] {
  return [...items].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
}

function list<T extends { readonly labels: Labels }>(items: readonly T[], keyOf: (item: T) => string, query: { limit: number; continue?: string | undefined; labelSelector?: string | undefined }): Page<T> {
  const wanted = query.labelSelector ? parseLabelSelector(query.labelSelector) : undefined;
  const selected = wanted ? items.filter((item) => matchesSelector(wanted, item.labels)) : items;
  return pageOf(sorted(selected, keyOf), keyOf, query);
}

function unkeyed<T>(page: Page<{ view: T; key: string }>): Page<T> {
  return { ...page, items: page.items.map(({ view }) => view) };
}
