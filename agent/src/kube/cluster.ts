import type { JsonObject, Manifest, ServiceAccountRef } from "@muster/shared/model";

/** A resource type as discovery tells it. */
export interface ResourceType {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  /** Plural for URLs: `deployments`. */
  readonly plural: string;
  readonly namespaced: boolean;
  readonly verbs: readonly string[];
}

/** What the API server serves. A group whose discovery failed is in `failedGroups`, and nothing may be concluded about it. */
export interface Discovery {
  /** The resource type for a kind at a version; with no version, the preferred one. */
  find(group: string, kind: string, version?: string): ResourceType | undefined;
  readonly all: readonly ResourceType[];
  /** Groups that could not be discovered, for example because an aggregated API is down. */
  readonly failedGroups: ReadonlySet<string>;
  /** Every version of a group, `v1` or `apps/v1`, also where its kinds could not be discovered. */
  readonly apiVersions: readonly string[];
}

/** Options of {@link Cluster.apply}. */
export interface ApplyOptions {
  /** Take fields from other managers. */
  readonly force: boolean;
  /** Nothing is stored; the answer is what would be. */
  readonly dryRun?: boolean;
  /** Asked whenever it is sent, also once more; false: SLICE_STALE. See {@link Cluster.writtenWhile}. */
  readonly isDue?: () => boolean;
  readonly signal?: AbortSignal;
}

/** Options of {@link Cluster.delete}. */
export interface DeleteOptions {
  /** Precondition: the object must still have this UID. */
  readonly uid: string;
  /** Default Background. */
  readonly propagation?: "Background" | "Foreground" | "Orphan";
  /** As of {@link ApplyOptions}. */
  readonly isDue?: () => boolean;
  readonly signal?: AbortSignal;
}

/** A watch event; `bookmark` only carries a resource version. */
export type WatchEvent =
  | { readonly type: "added" | "modified" | "deleted"; readonly object: Manifest }
  | { readonly type: "bookmark"; readonly resourceVersion: string };

/** Which objects a list or watch covers. */
export interface ListScope {
  /** All namespaces if absent. */
  readonly namespace?: string;
  readonly labelSelector?: string;
}

/** What a list gives of each object. */
export interface ListOptions extends ListScope {
  /** Only apiVersion, kind and metadata. */
  readonly metadataOnly?: boolean;
  /**
   * Hears the objects page by page, for who keeps little of each: then the result has none. A list that expires half-way begins
   * anew, and its pages come again. Use {@link listEach}.
   */
  readonly onPage?: (items: readonly Manifest[]) => void;
  /** A list begins anew: some of what was heard may not come again. */
  readonly onRestart?: () => void;
}

/** One page-less list. */
export interface ListResult {
  readonly items: readonly Manifest[];
  readonly resourceVersion: string;
}

/**
 * A Kubernetes API server. Every method throws a CodedError KUBE_* (mapped once, in this folder); a timeout or a cut
 * connection is KUBE_UNREACHABLE and means that the outcome is unknown. 404 is `undefined` where a method says so.
 */
export interface Cluster {
  /** For example `v1.36.3`. */
  version(signal?: AbortSignal): Promise<string>;
  /** Fresh discovery; throws if nothing at all could be discovered, and while the API server is starting. */
  discover(signal?: AbortSignal): Promise<Discovery>;
  /** undefined if it does not exist. */
  get(type: ResourceType, namespace: string, name: string, signal?: AbortSignal): Promise<Manifest | undefined>;
  /** Pages inside (500 objects a page, fewer of large ones). A list that expires half-way (410) begins anew. */
  list(type: ResourceType, options: ListOptions, signal?: AbortSignal): Promise<ListResult>;
  /** Tells which types may be listed in a namespace, so that nothing forbidden is asked for. Absent: that cannot be told. */
  mayList?(namespace: string, signal?: AbortSignal): Promise<(type: ResourceType) => boolean>;
  /** Server-side apply with the field manager `muster`; gives the live object. */
  apply(type: ResourceType, manifest: Manifest, options: ApplyOptions): Promise<Manifest>;
  /** Gives the object if it is still there (finalizers), undefined if it was deleted or did not exist. KUBE_CONFLICT if the UID differs. */
  delete(type: ResourceType, namespace: string, name: string, options: DeleteOptions): Promise<Manifest | undefined>;
  /** Plain create or replace (by resourceVersion) without apply, for the agent's own state. */
  create(type: ResourceType, manifest: Manifest, signal?: AbortSignal): Promise<Manifest>;
  replace(type: ResourceType, manifest: Manifest, signal?: AbortSignal): Promise<Manifest>;
  /** RFC 7386 merge patch. */
  mergePatch(type: ResourceType, namespace: string, name: string, patch: JsonObject, signal?: AbortSignal): Promise<Manifest>;
  /**
   * One watch from a resource version, with bookmarks; ends when the server ends it, throws KUBE_* on errors (410 is
   * code KUBE_CONFLICT with data.status 410) and when nothing (not even a bookmark or the request's own timeout)
   * arrives for `idleTimeoutMs`.
   */
  watch(
    type: ResourceType,
    scope: ListScope & { resourceVersion: string; idleTimeoutMs?: number },
    signal: AbortSignal,
  ): AsyncIterable<WatchEvent>;
  /**
   * The same API server, over the same connections, in the name of a ServiceAccount: every request is judged by its rights and none by
   * ours. Throws IMPERSONATION_FORBIDDEN where we may not act in its name, ACCOUNT_FORBIDDEN where it may not do what is asked.
   */
  as(account: ServiceAccountRef): Cluster;
  /** The same, written only while `isDue` holds, which is asked when a write is handed to the connections; then throws SLICE_STALE. */
  writtenWhile(isDue: () => boolean): Cluster;
  /** Closes the connection pool; of a view that {@link as} or {@link writtenWhile} gave, nothing. */
  close(): Promise<void>;
}

/**
 * Lists without holding all objects at once, however many there are; gives the resource version of the list. An object may come
 * twice, the later one being the newer.
 */
export async function listEach(
  cluster: Pick<Cluster, "list">,
  type: ResourceType,
  options: ListOptions,
  each: (item: Manifest) => void,
  signal?: AbortSignal,
): Promise<string> {
  const all = (items: readonly Manifest[]) => items.forEach(each);
  const { items, resourceVersion } = await cluster.list(type, { ...options, onPage: all }, signal);
  // A cluster that knows no pages gives all at once.
  all(items);
  return resourceVersion;
}
