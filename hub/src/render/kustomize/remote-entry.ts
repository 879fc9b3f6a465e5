import { CodedError, type InputPosition } from "@muster/shared/errors";

const REPOSITORY =
  /^(?:[a-z][a-z0-9+.-]*::?\/?\/?[^/\s]*\/|[\w.-]+@[\w.-]+:|(?:www\.)?(?:github|gitlab|bitbucket)\.)|\?(?:ref|version|timeout|submodules)=|\.git(?:\/|$)/i;

/** true for what kustomize fetches even if there is a file of this name: `https:x` has a scheme too. */
export function isUrl(entry: string): boolean {
  return /^\s*(?:https?:|[a-z][a-z0-9+.-]*:\/\/)/i.test(entry);
}

/** true for what kustomize takes for a Git repository when there is no file of this name. */
export function isRepository(entry: string): boolean {
  return REPOSITORY.test(entry);
}

export function remoteError(entry: string, at: InputPosition): CodedError {
  return new CodedError("RENDER_REMOTE", `${JSON.stringify(entry)} is on the network`, { at });
}
