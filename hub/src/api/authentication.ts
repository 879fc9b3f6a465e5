import { createHash, timingSafeEqual } from "node:crypto";
import { CodedError } from "@muster/shared/errors";
import type { FastifyInstance, FastifyRequest } from "fastify";

declare module "fastify" {
  interface FastifyContextConfig {
    /** true: no bearer token is asked for. Absent everywhere else, so that a new route is closed until somebody opens it. */
    anonymous?: true;
  }
}

/**
 * Asks every request for the bearer token, except on routes that say `config: { anonymous: true }`. What counts is the route
 * that the router chose, never the text of the URL: `/%61pi/v1/fleet` and `http://x/api/v1/fleet` lead to the same route as
 * `/api/v1/fleet`. A path that leads nowhere asks for the token, too, so that nobody can find out what there is.
 */
export function requireToken(app: FastifyInstance, token: () => string): void {
  app.addHook("onRequest", async (request) => {
    if (request.routeOptions.config?.anonymous === true) return;
    if (!hasToken(request, token())) throw new CodedError("API_UNAUTHORIZED", "The request has no valid token");
  });
}

/** Compared as digests, so that neither length nor content can be told from the time it takes. No token at all is never right. */
export function hasToken(request: FastifyRequest, wanted: string): boolean {
  const given = /^Bearer ([\u0021-\u007e]+)$/i.exec(request.headers.authorization ?? "")?.[1] ?? "";
  return timingSafeEqual(digest(given), digest(wanted)) && wanted !== "";
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
