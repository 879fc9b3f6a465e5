import { CodedError } from "@muster/shared/errors";
import { Agent, type Dispatcher } from "undici";
import type { KubeCredentials } from "./credentials.ts";
import { errorFromAnswer, errorFromTransport, type RequestSubject } from "./map-error.ts";
import { refuseUndue } from "./written-while.ts";

/** Largest answer that is read, in bytes. */
const MAX_ANSWER_BYTES = 32 * 1024 * 1024;

/** Set in the data of the error of an answer that is larger than what is read. */
export const ANSWER_TOO_LARGE = "answerTooLarge";

/** One request to the API server. */
export interface KubeRequest extends RequestSubject {
  readonly method: Dispatcher.HttpMethod;
  /** Path with query. */
  readonly path: string;
  /** Already encoded. */
  readonly body?: string;
  readonly contentType?: string;
  readonly accept?: string;
  readonly signal?: AbortSignal;
  /** Asked whenever it is sent, also once more; false: SLICE_STALE. */
  readonly isDue?: () => boolean;
  /** User in whose name it is asked. Default: our own. */
  readonly impersonate?: string;
  /** Milliseconds until the answer must be complete. Default 30 000. */
  readonly timeoutMs?: number;
}

/** An answer below 400. */
export interface KubeAnswer {
  readonly status: number;
  readonly body: string;
}

/** HTTP/1.1 keep-alive connections to one API server (measured faster than HTTP/2 in undici). Watches have connections of their own, so that they never starve requests. */
export interface KubeTransport {
  /** Throws a CodedError KUBE_* for a status of 400 and above, and KUBE_UNREACHABLE if no answer came. */
  send(request: KubeRequest): Promise<KubeAnswer>;
  /** An answer that does not end: its body as it comes. The signal ends it. */
  stream(request: KubeRequest): Promise<AsyncIterable<Uint8Array>>;
  close(): Promise<void>;
}

/** Options of {@link createTransport}. */
export interface TransportOptions {
  readonly credentials: KubeCredentials;
  /** Connections for requests. Default 8. */
  readonly connections?: number;
  /** For example `muster-agent/0.1.0`. */
  readonly userAgent: string;
}

export function createTransport(options: TransportOptions): KubeTransport {
  const { credentials, connections = 8, userAgent } = options;
  const connect = { ...credentials.tls, timeout: 10_000 };
  const openPool = () =>
    new Agent({
      connections,
      pipelining: 1,
      allowH2: false,
      connect,
      keepAliveTimeout: 60_000,
      headersTimeout: 60_000,
      bodyTimeout: 60_000,
    });
  let requests = openPool();
  /** Pools that are used no more, and may still wait for answers. */
  const retired = new Set<Agent>();
  const server = new URL(credentials.server);
  const prefix = server.pathname.replace(/\/+$/, "");
  // A watch may be silent for as long as its own idle limit allows; undici must not end it before.
  const watches = new Agent({ pipelining: 1, allowH2: false, connect, headersTimeout: 60_000, bodyTimeout: 0 });

  async function dispatch(pool: () => Agent, request: KubeRequest, fresh: boolean): Promise<Dispatcher.ResponseData> {
    const authorization = await credentials.authorization(fresh);
    if (request.isDue) refuseUndue(request.isDue);
    return pool().request({
      origin: server.origin,
      path: `${prefix}${request.path}`,
      method: request.method,
      headers: {
        accept: request.accept ?? "application/json",
        "user-agent": userAgent,
        ...(authorization && { authorization }),
        ...(request.impersonate && { "impersonate-user": request.impersonate }),
        ...(request.contentType && { "content-type": request.contentType }),
      },
      ...(request.body !== undefined && { body: request.body }),
      ...(request.signal && { signal: request.signal }),
    });
  }

  /** One more try with a token read anew, where it was refused (E262). */
  async function authorized(pool: () => Agent, request: KubeRequest): Promise<Dispatcher.ResponseData> {
    const answer = await dispatch(pool, request, false);
    if (answer.statusCode !== 401) return answer;
    await answer.body.dump();
    return dispatch(pool, request, true);
  }

  /** One more try also on a kept connection that had been closed. Not for watches: who watches tries again, and not at once (E265). */
  async function attempt(pool: () => Agent, request: KubeRequest): Promise<Dispatcher.ResponseData> {
    try {
      return await authorized(pool, request);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (request.signal?.aborted || (code !== "UND_ERR_SOCKET" && code !== "ECONNRESET" && code !== "EPIPE")) throw error;
      return dispatch(pool, request, false);
    }
  }

  /** What is half open tells nobody: where one connection has swallowed a request, the others of its age may be as dead, and each would hold up one more. */
  function replacePool(silent: Agent): void {
    if (silent !== requests) return;
    requests = openPool();
    retired.add(silent);
    // Those that wait for an answer keep their connections, and their deadlines.
    void silent.close().then(
      () => retired.delete(silent),
      () => retired.delete(silent),
    );
  }

  return {
    async send(request) {
      let used = requests;
      const pool = () => {
        used = requests;
        return used;
      };
      const deadline = startDeadline(request.timeoutMs ?? 30_000, request.signal);
      let status: number;
      let body: string;
      let retryAfter: string | undefined;
      try {
        const answer = await attempt(pool, { ...request, signal: deadline.signal });
        status = answer.statusCode;
        retryAfter = header(answer, "retry-after");
        body = await readLimited(answer.body);
      } catch (error) {
        if (deadline.isMissed) replacePool(used);
        throw error instanceof CodedError ? error : errorFromTransport(error, request);
      } finally {
        deadline.over();
      }
      if (status >= 400) throw errorFromAnswer(status, body, request, retryAfter);
      return { status, body };
    },
    async stream(request) {
      let answer: Dispatcher.ResponseData;
      try {
        answer = await authorized(() => watches, request);
      } catch (error) {
        throw errorFromTransport(error, request);
      }
      if (answer.statusCode >= 400)
        throw errorFromAnswer(answer.statusCode, await readLimited(answer.body), request, header(answer, "retry-after"));
      return answer.body;
    },
    async close() {
      await Promise.all([...retired, requests, watches].map((pool) => pool.destroy()));
    },
  };
}

/** Until when one request may take. */
interface Deadline {
  readonly signal: AbortSignal;
  /** The time was over before anything else ended it. */
  readonly isMissed: boolean;
  over(): void;
}

/**
 * A signal that aborts after a time, or with another one. `AbortSignal.any` and `timeout` would do the same: with them it is the garbage
 * collector that ends what one request has hung on a signal that lives as long as the process.
 */
function startDeadline(ms: number, outer: AbortSignal | undefined): Deadline {
  const controller = new AbortController();
  let isMissed = false;
  const timer = setTimeout(() => {
    isMissed = true;
    controller.abort(Object.assign(new Error(`no answer within ${ms} ms`), { code: "ETIMEDOUT" }));
  }, ms);
  timer.unref();
  const stop = () => controller.abort(outer?.reason);
  if (outer?.aborted) stop();
  outer?.addEventListener("abort", stop, { once: true });
  return {
    signal: controller.signal,
    get isMissed() {
      return isMissed;
    },
    over() {
      clearTimeout(timer);
      outer?.removeEventListener("abort", stop);
    },
  };
}

function header(answer: Dispatcher.ResponseData, name: string): string | undefined {
  const value = answer.headers[name];
  return Array.isArray(value) ? value[0] : value;
}

async function readLimited(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body) {
    length += chunk.length;
    if (length > MAX_ANSWER_BYTES) {
      const message = `The API server's answer is larger than ${MAX_ANSWER_BYTES} bytes`;
      throw new CodedError("KUBE_SERVER", message, { data: { [ANSWER_TOO_LARGE]: true } });
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}
