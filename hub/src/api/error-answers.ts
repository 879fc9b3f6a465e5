import { ERROR } from "./view-schemas.ts";

/** What each status of an error means, with the codes that it comes with. */
const MEANINGS = {
  400: "A parameter or the body is malformed, or there is no such parameter: API_BAD_REQUEST.",
  401: "The request has no valid token: API_UNAUTHORIZED.",
  404: "There is no such thing: API_NOT_FOUND; or nobody waits: AGENT_NOT_PENDING.",
  413: "The body is too large: API_TOO_LARGE.",
  429: "As many live views are open as the hub keeps at once: API_TOO_MANY.",
  500: "The hub failed; its log says why, under the answer's x-request-id: INTERNAL.",
  503: "Not now: the hub has not read Git yet (API_NOT_READY), or the cluster's agent is not connected (AGENT_OFFLINE).",
} as const;

/** An answer of one status, as the description shows it. */
interface ErrorAnswer {
  readonly description: string;
  readonly content: { readonly "application/json": { readonly schema: typeof ERROR } };
}

/** The errors that a route may answer, for its description. Every route may fail, so 500 need not be said. */
export function errorAnswers<S extends keyof typeof MEANINGS = never>(...statuses: readonly S[]): Record<S | 500, ErrorAnswer> {
  const all = new Set<S | 500>([...statuses, 500]);
  return Object.fromEntries([...all].map((status) => [status, errorAnswer(MEANINGS[status])])) as Record<S | 500, ErrorAnswer>;
}

/** One error with a meaning of its own. */
export function errorAnswer(description: string): ErrorAnswer {
  return { description, content: { "application/json": { schema: ERROR } } };
}
