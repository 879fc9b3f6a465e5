import type { Clock } from "@muster/shared/runtime";
import type { FastifyInstance } from "fastify";
import type { ChangeNotice, FleetQueries } from "../status/views.ts";

/** Milliseconds between two comments that keep proxies from closing a silent stream. */
const HEARTBEAT_MS = 15_000;
/** Bytes that may wait for a slow reader before it is cut off; it then asks anew. */
const MAX_BUFFERED = 1024 * 1024;

/**
 * GET /api/v1/watch: Server-Sent Events that say *that* something changed (`event: cluster`, `data: {"kind","name"}`), never
 * what: a reader asks for it, so it can miss notices and still be right.
 */
export function registerWatchRoute(app: FastifyInstance, queries: FleetQueries, clock: Clock): void {
  const open = new Set<() => void>();
  app.addHook("preClose", async () => {
    for (const close of open) close();
  });
  app.get("/api/v1/watch", { schema: { summary: "Notices of changes, as Server-Sent Events" } }, (request, reply) => {
    reply.hijack();
    const stream = reply.raw;
    stream.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store", "x-content-type-options": "nosniff", connection: "keep-alive" });
    stream.write(": watching\n\n");
    const ended = new AbortController();
    let id = 0;
    const send = (notice: ChangeNotice) => {
      if (stream.writableLength > MAX_BUFFERED) return close();
      stream.write(`id: ${++id}\nevent: ${notice.kind}\ndata: ${JSON.stringify(notice)}\n\n`);
    };
    const unsubscribe = queries.subscribe(send);
    function close(): void {
      if (ended.signal.aborted) return;
      ended.abort();
      unsubscribe();
      open.delete(close);
      stream.end();
    }
    open.add(close);
    request.raw.once("close", close);
    void (async () => {
      while (!ended.signal.aborted) {
        await clock.sleep(HEARTBEAT_MS, ended.signal).catch(() => {});
        if (!ended.signal.aborted) stream.write(": alive\n\n");
      }
    })();
  });
}
