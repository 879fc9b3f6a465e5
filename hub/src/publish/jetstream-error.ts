import { CodedError, type ErrorCode } from "@muster/shared/errors";
import { ErrorCode as NatsCode, NatsError } from "nats";

/** JetStream's API error codes that mean something to us (nats-server, server/errors.json). */
const API = {
  StreamNotFound: 10059,
  NoMessageFound: 10037,
  WrongLastSequence: 10071,
  WrongLastSequenceConstant: 10164,
} as const;

/** There is no such stream, or no such message. */
export function isNotFound(error: unknown): boolean {
  if (!(error instanceof NatsError)) return false;
  const code = error.api_error?.err_code;
  return error.code === "404" || code === API.StreamNotFound || code === API.NoMessageFound;
}

/** Somebody wrote the subject since we looked. */
export function isWrongSequence(error: unknown): boolean {
  if (!(error instanceof NatsError)) return false;
  const code = error.api_error?.err_code;
  return code === API.WrongLastSequence || code === API.WrongLastSequenceConstant;
}

/** The server has answered, and the answer is no: nothing was stored. Anything else leaves it open. */
export function isRefusal(error: unknown): boolean {
  return error instanceof NatsError && error.api_error !== undefined;
}

/** An error of the client library as one that people can act on. The texts of the library are only quoted. */
export function toNatsError(error: unknown, what: string): CodedError {
  if (error instanceof CodedError) return error;
  const quoted = error instanceof Error ? error.message : String(error);
  return new CodedError(codeOf(error), `${what}: ${quoted}`, { cause: error });
}

function codeOf(error: unknown): ErrorCode {
  if (!(error instanceof NatsError)) return "NATS_UNREACHABLE";
  // An API error, "no responders" (no stream takes the subject) and a message over max_payload are about streams.
  if (error.api_error || error.code === NatsCode.NoResponders || error.code === NatsCode.MaxPayloadExceeded) return "NATS_STREAM";
  const auth: readonly string[] = [
    NatsCode.AuthorizationViolation,
    NatsCode.AuthenticationExpired,
    NatsCode.AuthenticationTimeout,
    NatsCode.PermissionsViolation,
    NatsCode.BadCreds,
  ];
  return auth.includes(error.code) ? "NATS_AUTH" : "NATS_UNREACHABLE";
}
