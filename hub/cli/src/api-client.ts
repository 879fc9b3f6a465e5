import { CodedError, type ErrorCode, isErrorCode } from "@muster/shared/errors";
import type { Connection } from "./connection.ts";
import { parseEvents, type ServerEvent } from "./event-stream.ts";

/** Milliseconds that one request may take. */
const REQUEST_TIMEOUT_MS = 30_000;
/** The most that the API gives on a page. */
const PAGE_ITEMS = 1_000;
const MAX_MESSAGE = 500;

/** Parameters of a list; undefined ones are left out. */
export type Query = Readonly<Record<string, string | number | undefined>>;

/** The hub's HTTP API. Every method throws a CodedError: HUB_UNREACHABLE, or the code of the hub's answer. */
export interface ApiClient {
  readonly url: string;
  get<T>(path: string, query?: Query): Promise<T>;
  /** Every item of a list, page after page; with `max`, no more than the first so many. */
  list<T>(path: string, query?: Query, max?: number): Promise<T[]>;
  post<T>(path: string, body: object): Promise<T>;
  /** Server-Sent Events until the hub closes the stream or the signal aborts. Resolves once the stream is open. */
  events(path: string, signal: AbortSignal): Promise<AsyncIterable<ServerEvent>>;
}

type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** With `signal`, every request ends when it aborts. */
export function createApiClient(connection: Connection, signal?: AbortSignal): ApiClient {
  let fetching: Promise<Fetch> | undefined;

  async function send(
    method: "GET" | "POST",
    path: string,
    options: { query?: Query; body?: object; signal: AbortSignal; accept?: string },
  ): Promise<Response> {
    const url = new URL(`${connection.url}/api/v1${path}`);
    for (const [key, value] of Object.entries(options.query ?? {})) if (value !== undefined) url.searchParams.set(key, String(value));
    const headers: Record<string, string> = { accept: options.accept ?? "application/json" };
    if (connection.token !== undefined) headers["authorization"] = `Bearer ${connection.token}`;
    if (options.body) headers["content-type"] = "application/json";
    fetching ??= fetchFor(connection);
    const fetchOnce = await fetching;
    let response: Response;
    try {
      // A redirect could carry the token elsewhere.
      response = await fetchOnce(url.href, {
        method,
        headers,
        redirect: "error",
        signal: options.signal,
        ...(options.body && { body: JSON.stringify(options.body) }),
      });
    } catch (error) {
      throw unreachable(connection.url, error);
    }
    if (!response.ok) throw await toError(response, connection);
    return response;
  }

  async function json<T>(method: "GET" | "POST", path: string, options: { query?: Query; body?: object }): Promise<T> {
    const response = await send(method, path, {
      ...options,
      signal: AbortSignal.any([AbortSignal.timeout(REQUEST_TIMEOUT_MS), ...(signal ? [signal] : [])]),
    });
    const text = await response.text().catch((error: unknown) => {
      throw unreachable(connection.url, error);
    });
    try {
      return JSON.parse(text) as T;
    } catch (error) {
      throw new CodedError("HUB_UNREACHABLE", `${connection.url} answers, but not as a hub does`, {
        cause: error,
        data: { detail: `${method} ${path} gave no JSON; is this the URL of the hub?` },
      });
    }
  }

  const client: ApiClient = {
    url: connection.url,
    get: async (path, query = {}) => await json("GET", path, { query }),
    async list<T>(path: string, query: Query = {}, max = Number.POSITIVE_INFINITY) {
      const items: T[] = [];
      let token: string | undefined;
      do {
        const page: { items: T[]; continue?: string } = await json("GET", path, {
          query: { ...query, limit: Math.min(PAGE_ITEMS, max - items.length), continue: token },
        });
        items.push(...page.items);
        token = page.continue;
      } while (token !== undefined && items.length < max);
      return items;
    },
    post: async (path, body) => await json("POST", path, { body }),
    async events(path, until) {
      const response = await send("GET", path, { signal: until, accept: "text/event-stream" });
      return parseEvents(response.body ?? new ReadableStream());
    },
  };
  return client;
}

/** Node's own fetch starts fastest; only a CA of one's own needs undici's, whose connector takes one. */
async function fetchFor(connection: Connection): Promise<Fetch> {
  if (connection.ca === undefined) return fetch;
  const undici = await import("undici");
  const dispatcher = new undici.Agent({ connect: { ca: connection.ca } });
  return async (url, init) => (await undici.fetch(url, { ...init, dispatcher } as object)) as unknown as Response;
}

function unreachable(url: string, error: unknown): CodedError {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const name = (error as { name?: string } | undefined)?.name;
  const detail = name === "TimeoutError" ? `No answer within ${REQUEST_TIMEOUT_MS / 1000} s` : explain(cause);
  const about = CERTIFICATE_ERRORS[(cause as NodeJS.ErrnoException | undefined)?.code ?? ""];
  const message = about ? `The certificate of the hub at ${url} is not trusted` : `The hub at ${url} cannot be reached`;
  return new CodedError("HUB_UNREACHABLE", message, { cause: error, data: { detail, ...about } });
}

const UNKNOWN_CA = {
  detail: "It is signed by a CA that this machine does not know",
  hint: "Name the PEM file of that CA with --ca-file, or in the context: muster context set NAME --ca-file FILE.",
};

/** What Node and OpenSSL call the ways in which a certificate is not to be trusted. */
const CERTIFICATE_ERRORS: Readonly<Record<string, { readonly detail?: string; readonly hint: string }>> = {
  DEPTH_ZERO_SELF_SIGNED_CERT: UNKNOWN_CA,
  SELF_SIGNED_CERT_IN_CHAIN: UNKNOWN_CA,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNKNOWN_CA,
  UNABLE_TO_GET_ISSUER_CERT: UNKNOWN_CA,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNKNOWN_CA,
  CERT_HAS_EXPIRED: { hint: "Renew the certificate of the hub's API, and restart the hub: it reads it at its start." },
  ERR_TLS_CERT_ALTNAME_INVALID: { hint: "Use a URL with a name that stands in the certificate." },
};

function explain(cause: unknown): string {
  // A host with several addresses gives one error per address.
  const errors = cause instanceof AggregateError ? cause.errors : [cause];
  const texts = errors.map((error) =>
    error instanceof Error ? error.message || String((error as NodeJS.ErrnoException).code ?? error.name) : String(error),
  );
  return [...new Set(texts)].join("; ");
}

/** An answer of the hub, or of something that stands in between. */
async function toError(response: Response, connection: Connection): Promise<CodedError> {
  const text = await response.text().catch(() => "");
  let error: { code?: unknown; message?: unknown } = {};
  try {
    error = (JSON.parse(text) as { error?: typeof error }).error ?? {};
  } catch {
    // A proxy's page.
  }
  const message = (typeof error.message === "string" ? error.message : `HTTP ${response.status} ${response.statusText}`.trim()).slice(
    0,
    MAX_MESSAGE,
  );
  if (typeof error.code === "string" && isErrorCode(error.code)) {
    return new CodedError(error.code, message, error.code === "API_UNAUTHORIZED" ? { data: unauthorized(connection) } : {});
  }
  const data = {
    detail:
      typeof error.code === "string"
        ? `The hub's code ${error.code} is newer than this command`
        : `${connection.url} answered with HTTP ${response.status}, and not as a hub does`,
  };
  return new CodedError(codeOfStatus(response.status), message, { data });
}

function unauthorized({ tokenFile }: Connection): { detail: string; hint: string } {
  return {
    detail: tokenFile ? `The token in ${tokenFile} is not the hub's` : "No token file is set",
    hint: "Put the hub's token (api-token in its data folder) into a file, and name it with --token-file or in the context.",
  };
}

function codeOfStatus(status: number): ErrorCode {
  if (status === 401 || status === 403) return "API_UNAUTHORIZED";
  if (status === 404) return "API_NOT_FOUND";
  if (status === 502 || status === 503 || status === 504) return "HUB_UNREACHABLE";
  return status < 500 ? "API_BAD_REQUEST" : "INTERNAL";
}
