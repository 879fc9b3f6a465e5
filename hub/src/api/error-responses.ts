import { CodedError } from "@muster/shared/errors";
import { LogField, type Logger } from "@muster/shared/telemetry";
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from "fastify";

/** Every error leaves as `{error: {code, message, hint}}`, with the HTTP status of the table of codes. */
export function registerErrorResponses(app: FastifyInstance, logger: Logger): void {
  app.setErrorHandler((error: FastifyError, request, reply) => {
    const coded = toCoded(error);
    if (coded.code === "INTERNAL") logger.error({ [LogField.Request]: request.id, err: error }, "a request failed");
    return sendError(reply, coded);
  });
  app.setNotFoundHandler((request, reply) => sendError(reply, nothingAt(request)));
}

/** For what goes wrong before a route is chosen, such as a URL that cannot be decoded. */
export function sendFrameworkError(error: FastifyError, _request: FastifyRequest, reply: FastifyReply): void {
  void sendError(reply, toCoded(error));
}

function sendError(reply: FastifyReply, { code, message, info }: CodedError): FastifyReply {
  const status = info.httpStatus ?? 500;
  if (status === 401) reply.header("www-authenticate", "Bearer");
  // What an unexpected error says is for the log; it may name files and addresses.
  return reply.code(status).send({ error: { code, message: code === "INTERNAL" ? "Internal error" : message, hint: info.hint } });
}

function nothingAt(request: FastifyRequest): CodedError {
  return new CodedError("API_NOT_FOUND", `There is nothing at ${request.method} ${request.url.split("?")[0]?.slice(0, 200)}`);
}

function toCoded(error: FastifyError): CodedError {
  if (error instanceof CodedError) return error;
  if (error.statusCode === 413) return new CodedError("API_TOO_LARGE", "The request's body is too large");
  if (error.validation || (error.statusCode !== undefined && error.statusCode < 500))
    return new CodedError("API_BAD_REQUEST", error.message);
  return new CodedError("INTERNAL", error.message, { cause: error });
}
