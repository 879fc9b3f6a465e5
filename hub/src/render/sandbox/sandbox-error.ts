import { CodedError } from "@muster/shared/errors";

/** What the system says when it is short of something: processes, memory, open files, disk. */
const SHORT_OF = new Set(["EAGAIN", "ENOMEM", "EMFILE", "ENFILE", "ENOSPC", "EDQUOT", "EROFS"]);

/** unshare's own words, before the tool was started: "unshare: unshare failed: No space left on device". */
const UNSHARE = /^unshare: (.*)/;

/** An error of the system as RENDER_SANDBOX, where it has nothing to do with what is rendered; all others stay as they are. */
export function sandboxError(error: unknown): unknown {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (typeof code !== "string" || !SHORT_OF.has(code)) return error;
  return new CodedError("RENDER_SANDBOX", `The machine cannot make a sandbox (${code})`, { cause: error });
}

/**
 * RENDER_SANDBOX if the isolation failed instead of the tool, for example because somebody used up the user namespaces
 * (user.max_user_namespaces). It must not be taken for the chart's fault, which would be remembered.
 */
export function isolationError(stderr: string): CodedError | undefined {
  const why = UNSHARE.exec(stderr)?.[1];
  return why === undefined ? undefined : new CodedError("RENDER_SANDBOX", `The network isolation of a render failed: ${why.slice(0, 200)}`);
}
