import { CodedError } from "@muster/shared/errors";
import type { JsonObject, Manifest } from "@muster/shared/model";
import type { ListOptions, ResourceType } from "./cluster.ts";
import { apiVersionOf } from "./discovery.ts";
import { ANSWER_TOO_LARGE, type KubeTransport } from "./transport.ts";

/** A list without the objects' contents. */
const METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

/** Objects on one page at most. */
const MAX_PAGE = 500;

/** Bytes that a page should have at most: it is held as bytes, as text and as objects at once. */
const PAGE_BYTES = 4 * 1024 * 1024;

/** How often a list begins anew that takes longer than the API server keeps its place in history (5 minutes by default). */
const MAX_RESTARTS = 2;

/** Options of {@link listPages}. */
export interface ListPagesOptions {
  readonly transport: KubeTransport;
  /** Of the resource or of a namespace's. */
  readonly path: string;
  readonly type: ResourceType;
  readonly list: ListOptions;
  readonly signal?: AbortSignal;
  readonly onPage: (items: readonly Manifest[]) => void;
  /** The list begins anew: what was heard so far comes again. */
  readonly onRestart?: () => void;
}

/**
 * Lists in pages, in which there are fewer objects the larger they are. Gives the resource version of the list. A list that has
 * expired half-way begins anew, so pages may come twice.
 */
export async function listPages(options: ListPagesOptions): Promise<string> {
  for (let restarts = 0; ; restarts++) {
    const place: Place = { limit: MAX_PAGE, next: undefined, resourceVersion: "" };
    try {
      do await page(options, place);
      while (place.next);
      return place.resourceVersion;
    } catch (error) {
      const isExpired = error instanceof CodedError && error.data["status"] === 410;
      if (!isExpired || place.next === undefined || restarts >= MAX_RESTARTS) throw error;
      options.onRestart?.();
    }
  }
}

/** How far a list has come. */
interface Place {
  /** Objects of the next page. */
  limit: number;
  next: string | undefined;
  resourceVersion: string;
}

async function page(options: ListPagesOptions, place: Place): Promise<void> {
  const { transport, path, type, list, signal, onPage } = options;
  const query = new URLSearchParams({ limit: String(place.limit) });
  if (list.labelSelector) query.set("labelSelector", list.labelSelector);
  if (place.next) query.set("continue", place.next);
  let body: string;
  try {
    ({ body } = await transport.send({
      method: "GET",
      path: `${path}?${query}`,
      verb: "list",
      what: type.plural,
      ...(list.metadataOnly && { accept: METADATA_ONLY }),
      ...(signal && { signal }),
    }));
  } catch (error) {
    const isTooLarge = error instanceof CodedError && error.data[ANSWER_TOO_LARGE] === true;
    if (!isTooLarge || place.limit === 1) throw error;
    // Only then is it known how large the objects are.
    place.limit = Math.max(1, Math.floor(place.limit / 16));
    return page(options, place);
  }
  const answer = JSON.parse(body) as { metadata?: { resourceVersion?: string; continue?: string }; items?: JsonObject[] };
  const items = answer.items ?? [];
  place.resourceVersion = answer.metadata?.resourceVersion ?? place.resourceVersion;
  place.next = answer.metadata?.continue || undefined;
  if (items.length > 0) place.limit = Math.max(1, Math.min(MAX_PAGE, Math.floor((PAGE_BYTES * items.length) / body.length)));
  const apiVersion = apiVersionOf(type);
  // Items of a list carry neither kind nor apiVersion.
  onPage(items.map((item) => ({ ...item, apiVersion, kind: type.kind }) as unknown as Manifest));
}
