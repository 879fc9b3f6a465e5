import { CodedError } from "@muster/shared/errors";

/** Maps what a transfer threw. A clone that cannot be written is our own fault, all else is the server's: nothing else is read. */
export function remoteError(error: unknown, url: string): CodedError {
  if (error instanceof CodedError) return error;
  const { code, message } = describe(error);
  if (isFileError(code)) return cloneError(error, url);
  if (code === "HttpError") return new CodedError("SOURCE_UNREACHABLE", `${url}: ${message}`, { cause: error });
  // The ref has gone between the list of refs and the transfer.
  if (code === "NotFoundError") return new CodedError("SOURCE_REF_MISSING", `${url}: ${message}`, { cause: error });
  return new CodedError("SOURCE_PROTOCOL", `${url}: ${message}`, { cause: error });
}

/** Maps what reading or writing the clone on disk threw. */
export function cloneError(error: unknown, url: string): CodedError {
  if (error instanceof CodedError) return error;
  const { code, message } = describe(error);
  return new CodedError("SOURCE_CLONE", `The clone of ${url} on disk cannot be used: ${isFileError(code) ? code : message}`, {
    cause: error,
  });
}

/**
 * isomorphic-git wraps what it calls an internal error into advice for its authors, and quotes what it has received: a web
 * page in place of a repository would be long.
 */
function describe(error: unknown): { readonly code: string; readonly message: string } {
  const { code, data } = error as { code?: unknown; data?: { message?: unknown } };
  const message = error instanceof Error ? error.message : String(error);
  const inner = typeof data?.message === "string" ? data.message : message;
  return { code: typeof code === "string" ? code : "", message: inner.slice(0, 300) };
}

/** Node's own: ENOSPC, EIO, EACCES; isomorphic-git's codes are names of errors. */
function isFileError(code: string): boolean {
  return /^E[A-Z0-9]+$/.test(code);
}
