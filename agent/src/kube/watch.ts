import { CodedError } from "@muster/shared/errors";
import { isManifest, type Manifest } from "@muster/shared/model";
import type { Random } from "@muster/shared/runtime";
import type { ListScope, ResourceType, WatchEvent } from "./cluster.ts";
import { errorFromAnswer, errorFromTransport } from "./map-error.ts";
import type { KubeTransport } from "./transport.ts";

/** The server is asked to end a watch after this time, spread so that not all end at once. Seconds. */
const MIN_SECONDS = 240;
const MAX_SECONDS = 480;

/** Bookmarks come about once a minute; a watch that is silent for longer than this is dead. Milliseconds. */
const IDLE_MS = 150_000;

/** Options of {@link watchEvents}. */
export interface WatchOptions {
  readonly transport: KubeTransport;
  readonly path: string;
  readonly type: ResourceType;
  readonly scope: ListScope & { readonly resourceVersion: string; readonly idleTimeoutMs?: number };
  readonly signal: AbortSignal;
  readonly random: Random;
}

/** One watch, as newline-separated JSON. Our own, because stock informers stop for good on a dropped connection (E263, E264). */
export async function* watchEvents(options: WatchOptions): AsyncGenerator<WatchEvent> {
  const { transport, path, type, scope, signal, random } = options;
  const query = new URLSearchParams({
    watch: "1",
    allowWatchBookmarks: "true",
    resourceVersion: scope.resourceVersion,
    timeoutSeconds: String(Math.round(MIN_SECONDS + (MAX_SECONDS - MIN_SECONDS) * random())),
  });
  if (scope.labelSelector) query.set("labelSelector", scope.labelSelector);
  const subject = { verb: "watch", what: type.plural };
  const idle = new AbortController();
  const both = AbortSignal.any([signal, idle.signal]);
  let timer: NodeJS.Timeout | undefined;
  const alive = () => {
    clearTimeout(timer);
    timer = setTimeout(() => idle.abort(new Error("nothing arrived")), scope.idleTimeoutMs ?? IDLE_MS);
  };
  alive();
  try {
    const body = await transport.stream({ method: "GET", path: `${path}?${query}`, signal: both, ...subject });
    for await (const line of lines(body, alive)) {
      const event = toEvent(JSON.parse(line) as RawEvent, type, subject);
      if (event) yield event;
    }
  } catch (error) {
    if (signal.aborted) return;
    throw error instanceof CodedError ? error : errorFromTransport(error, subject);
  } finally {
    clearTimeout(timer);
  }
}

interface RawEvent {
  readonly type: string;
  readonly object: unknown;
}

function toEvent(raw: RawEvent, type: ResourceType, subject: { verb: string; what: string }): WatchEvent | undefined {
  if (raw.type === "ERROR") {
    const status = (raw.object as { code?: number } | null)?.code ?? 500;
    throw errorFromAnswer(status, JSON.stringify(raw.object), subject);
  }
  if (raw.type === "BOOKMARK") {
    const metadata = (raw.object as { metadata?: { resourceVersion?: string } }).metadata;
    return { type: "bookmark", resourceVersion: metadata?.resourceVersion ?? "" };
  }
  if (!isManifest(raw.object)) return undefined;
  const object: Manifest = raw.object;
  if (object.kind !== type.kind) return undefined;
  switch (raw.type) {
    case "ADDED":
      return { type: "added", object };
    case "MODIFIED":
      return { type: "modified", object };
    case "DELETED":
      return { type: "deleted", object };
    default:
      return undefined;
  }
}

/** Splits a stream into lines without ever joining more than one line's bytes. */
async function* lines(body: AsyncIterable<Uint8Array>, onData: () => void): AsyncGenerator<string> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of body) {
    onData();
    rest = rest.length === 0 ? Buffer.from(chunk) : Buffer.concat([rest, chunk]);
    for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
      const line = rest.subarray(0, end).toString("utf8");
      rest = rest.subarray(end + 1);
      if (line !== "") yield line;
    }
  }
}
