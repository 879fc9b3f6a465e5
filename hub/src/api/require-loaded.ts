import { CodedError } from "@muster/shared/errors";
import type { FastifyInstance } from "fastify";

/**
 * Lets the routes of this scope answer API_NOT_READY until Git was read: before that nobody can say that there is no such thing.
 */
export function requireLoaded(scope: FastifyInstance, loaded: () => boolean): void {
  scope.addHook("preHandler", async () => {
    if (!loaded()) throw new CodedError("API_NOT_READY", "The hub has not read Git yet");
  });
}
