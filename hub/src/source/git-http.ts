import { readFile } from "node:fs/promises";
import { CodedError } from "@muster/shared/errors";
import type { GitHttpRequest, GitHttpResponse, HttpClient } from "isomorphic-git";
import { request } from "undici";
import { parse } from "yaml";
import type { GitTrust } from "./git-trust.ts";

/** Options of {@link createGitHttp}. */
export interface GitHttpOptions {
  /** The repository's URL, without credentials. */
  readonly url: string;
  /** YAML file with `username` and `password`, or `token`; read again at every request, so that a new one needs no restart. */
  readonly credentialsFile?: string;
  /** Milliseconds without a byte after which a request is given up. */
  readonly idleTimeoutMs: number;
  /** Largest answer in bytes. */
  readonly maxBytes: number;
  /** Whose certificates are trusted. Default: those that Node trusts. */
  readonly trust?: GitTrust;
}

/** HTTP for isomorphic-git: with limits, without redirects to other hosts, and with our error codes. */
export function createGitHttp(options: GitHttpOptions, signal: AbortSignal): HttpClient {
  const origin = new URL(options.url).origin;
  return {
    async request({ url, method = "GET", headers = {}, body }: GitHttpRequest): Promise<GitHttpResponse> {
      // Credentials belong to one origin; nothing that a server says may send them elsewhere.
      if (new URL(url).origin !== origin)
        throw new CodedError("SOURCE_PROTOCOL", `The Git server sent us to another host: ${new URL(url).origin}`);
      const authorization = await readAuthorization(options.credentialsFile);
      const chunks: Uint8Array[] = [];
      for await (const chunk of body ?? []) chunks.push(chunk);
      const agent = await options.trust?.agent();
      let answer: Awaited<ReturnType<typeof request>>;
      try {
        answer = await request(url, {
          method: method as "GET" | "POST",
          headers: { ...headers, "user-agent": "git/muster", ...(authorization && { authorization }) },
          ...(chunks.length > 0 && { body: Buffer.concat(chunks) }),
          signal,
          headersTimeout: options.idleTimeoutMs,
          bodyTimeout: options.idleTimeoutMs,
          ...(agent && { dispatcher: agent }),
        });
      } catch (cause) {
        throw unreachable(options.url, cause);
      }
      checkStatus(answer.statusCode, options.url);
      return {
        url,
        method,
        statusCode: answer.statusCode,
        statusMessage: "",
        headers: Object.fromEntries(Object.entries(answer.headers).map(([name, value]) => [name, String(value)])),
        body: await readWhole(answer.body, options),
      };
    },
  };
}

function checkStatus(status: number, url: string): void {
  if (status === 401 || status === 403) throw new CodedError("SOURCE_AUTH", `${url}: the Git server answered ${status}`);
  if (status === 404)
    throw new CodedError("SOURCE_PROTOCOL", `${url}: the Git server knows no such repository (404), or hides it from these credentials`);
  if (status >= 500 || status === 429) throw new CodedError("SOURCE_UNREACHABLE", `${url}: the Git server answered ${status}`);
  if (status >= 300) throw new CodedError("SOURCE_PROTOCOL", `${url}: the Git server answered ${status}; redirects are not followed`);
}

/**
 * Reads the whole answer before isomorphic-git sees any of it: its stream reader takes a cut connection for the end of the
 * data, so half a list of refs would look like a whole one (E156). It collects packs in memory anyway.
 */
async function readWhole(body: AsyncIterable<Uint8Array>, options: GitHttpOptions): Promise<AsyncIterableIterator<Uint8Array>> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const chunk of body) {
      length += chunk.length;
      if (length > options.maxBytes)
        throw new CodedError("SOURCE_PROTOCOL", `${options.url}: the answer is larger than ${options.maxBytes} bytes`);
      chunks.push(chunk);
    }
  } catch (error) {
    throw error instanceof CodedError ? error : unreachable(options.url, error);
  }
  return (async function* () {
    yield* chunks;
  })();
}

function unreachable(url: string, cause: unknown): CodedError {
  const { code, name } = cause as { code?: unknown; name?: string };
  // A DOMException has a number for a code, and only one comes here: the time for the whole look is over.
  if (name === "TimeoutError")
    return new CodedError("SOURCE_UNREACHABLE", `${url}: no complete answer within timeoutMs; give a large repository more`, { cause });
  const why = typeof code === "string" ? code : name;
  return new CodedError("SOURCE_UNREACHABLE", `${url}: no complete answer from the Git server (${why})`, { cause });
}

async function readAuthorization(path: string | undefined): Promise<string | undefined> {
  if (!path) return undefined;
  let values: { username?: unknown; password?: unknown; token?: unknown };
  try {
    values = parse(await readFile(path, "utf8")) as typeof values;
  } catch (cause) {
    throw new CodedError("SOURCE_AUTH", `The credentials file ${path} cannot be read`, { cause });
  }
  const password = values?.password ?? values?.token;
  if (typeof password !== "string")
    throw new CodedError("SOURCE_AUTH", `The credentials file ${path} needs username and password, or token`);
  return `Basic ${Buffer.from(`${String(values.username ?? "git")}:${password}`).toString("base64")}`;
}
