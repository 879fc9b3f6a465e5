import type { ServerResponse } from "node:http";
import { CodedError } from "@muster/shared/errors";
import type { Clock } from "@muster/shared/runtime";
import { LogField, type Logger } from "@muster/shared/telemetry";
import type { FastifyInstance } from "fastify";
import { z } from "zod";
import type { FleetQueries } from "../status/views.ts";
import type { ApiOptions } from "./api-options.ts";
import { hasToken } from "./authentication.ts";
import { errorAnswers } from "./error-answers.ts";
import { NoticeQueue } from "./notice-queue.ts";
import { WATCH_DESCRIPTION } from "./watch-description.ts";

/** Milliseconds between two comments that keep proxies from closing a silent stream. */
const HEARTBEAT_MS = 15_000;
/** Milliseconds that a reader may take nothing before it is cut off; it then asks anew. */
const MAX_STALL_MS = 30_000;
/** Streams at once. */
const MAX_STREAMS = 256;

/**
 * GET /api/v1/watch. Notices are hints, so they may be merged, and a reader that misses some and asks again is right. A stream
 * ends when the hub stops, when the token is replaced, and when its reader takes nothing for too long.
 */
export function registerWatchRoute(app: FastifyInstance, options: Pick<ApiOptions, "queries" | "clock" | "logger" | "token">): void {
  const open = new Set<WatchStream>();
  let lastId = 0;
  app.addHook("preClose", async () => {
    for (const stream of open) stream.close();
  });
  const schema = {
    operationId: "watch",
    summary: "Notices of changes, as Server-Sent Events",
    description: WATCH_DESCRIPTION,
    querystring: z.strictObject({}),
    response: {
      200: { description: "Notices, until somebody hangs up.", content: { "text/event-stream": { schema: z.string() } } },
      ...errorAnswers(400, 401, 429),
    },
  };
  app.get("/api/v1/watch", { schema, config: { stream: true }, exposeHeadRoute: false }, (request, reply) => {
    if (open.size >= MAX_STREAMS) throw new CodedError("API_TOO_MANY", `${MAX_STREAMS} live views are open already`);
    reply.hijack();
    const stream = new WatchStream(reply.raw, {
      queries: options.queries,
      clock: options.clock,
      logger: options.logger,
      nextId: () => ++lastId,
      mayGoOn: () => hasToken(request, options.token()),
      onClose: () => open.delete(stream),
    });
    open.add(stream);
    // What happened while the reader was away is not kept: let it ask for everything.
    stream.start(request.headers["last-event-id"] !== undefined, request.id);
  });
}

interface WatchStreamOptions {
  readonly queries: Pick<FleetQueries, "subscribe">;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly nextId: () => number;
  readonly mayGoOn: () => boolean;
  readonly onClose: () => void;
}

/** One reader. What it has not taken yet is bounded: one chunk on its way, and a queue that merges. */
class WatchStream {
  readonly #response: ServerResponse;
  readonly #options: WatchStreamOptions;
  readonly #queue = new NoticeQueue();
  readonly #ended = new AbortController();
  #unsubscribe = () => {};
  #scheduled = false;
  #stalledSinceMs: number | undefined;

  constructor(response: ServerResponse, options: WatchStreamOptions) {
    this.#response = response;
    this.#options = options;
  }

  start(askAnew: boolean, requestId: string): void {
    this.#response.once("close", () => this.close());
    this.#response.on("error", () => this.close());
    this.#response.writeHead(200, {
      "content-type": "text/event-stream",
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
      "x-request-id": requestId,
    });
    this.#write(": watching\n\n");
    this.#unsubscribe = this.#options.queries.subscribe((notice) => {
      this.#queue.add(notice);
      this.#schedule();
    });
    if (askAnew) {
      this.#queue.add({ kind: "fleet", name: "" });
      this.#schedule();
    }
    // Nobody waits for it: what it throws would end the hub. A stream that cannot be watched over is not kept.
    this.#beat().catch((error: unknown) => {
      this.#options.logger.warn({ [LogField.Request]: requestId, err: error }, "a live view was ended by a failure");
      this.close();
    });
  }

  close(): void {
    if (this.#ended.signal.aborted) return;
    this.#ended.abort();
    this.#unsubscribe();
    this.#options.onClose();
    // Waiting for somebody who takes nothing would keep the hub from stopping.
    if (this.#stalledSinceMs === undefined) this.#response.end();
    else this.#response.destroy();
  }

  /** After the current turn, so that a thousand changes in it become one write. */
  #schedule(): void {
    if (this.#scheduled || this.#stalledSinceMs !== undefined) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      if (this.#ended.signal.aborted || this.#queue.isEmpty) return;
      const { nextId } = this.#options;
      this.#write(
        this.#queue
          .take()
          .map((notice) => `id: ${nextId()}\nevent: ${notice.kind}\ndata: ${JSON.stringify(notice)}\n\n`)
          .join(""),
      );
    });
  }

  #write(text: string): void {
    if (this.#response.write(text)) return;
    this.#stalledSinceMs ??= this.#options.clock.monotonicMs();
    this.#response.once("drain", () => {
      this.#stalledSinceMs = undefined;
      if (!this.#queue.isEmpty) this.#schedule();
    });
  }

  async #beat(): Promise<void> {
    const { clock, mayGoOn } = this.#options;
    for (;;) {
      await clock.sleep(HEARTBEAT_MS, this.#ended.signal).catch(() => {});
      if (this.#ended.signal.aborted) return;
      if (!mayGoOn()) return this.close();
      if (this.#stalledSinceMs === undefined) this.#write(": alive\n\n");
      else if (clock.monotonicMs() - this.#stalledSinceMs >= MAX_STALL_MS) return this.close();
    }
  }
}
