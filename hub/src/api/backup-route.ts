import type { FastifyInstance } from "fastify";
import type { ZodTypeProvider } from "fastify-type-provider-zod";
import { z } from "zod";
import { errorAnswers } from "./error-answers.ts";

/** Gives the hub's keys, encrypted. Throws API_BAD_REQUEST where the hub's configuration names nobody who may have them. */
export type MakeBackup = () => Promise<string>;

/**
 * The hub's keys, for whom the hub's own configuration names, and for nobody that a request names: whoever has a token is not to have the keys
 * for ever.
 */
export function registerBackupRoute(base: FastifyInstance, backup: MakeBackup): void {
  base.withTypeProvider<ZodTypeProvider>().post(
    "/api/v1/backup",
    {
      schema: {
        operationId: "backupHub",
        summary: "The hub's keys, encrypted with age",
        description:
          "With it, and with Git, a hub that was lost is the same one again: `muster-hub restore`. It is encrypted to the recipients in the hub's configuration (`backup.recipients`).",
        querystring: z.strictObject({}),
        body: z.strictObject({}).nullish(),
        response: { 200: z.object({ backup: z.string().describe("An armoured age file") }), ...errorAnswers(400, 401, 413) },
      },
    },
    async (_request, reply) => reply.header("cache-control", "no-store").send({ backup: await backup() }),
  );
}
