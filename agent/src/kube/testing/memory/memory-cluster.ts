import { CodedError } from "@muster/shared/errors";
import { FIELD_MANAGER, type Manifest, objectRefOf } from "@muster/shared/model";
import type { Cluster, ListScope, ResourceType, WatchEvent } from "../../cluster.ts";
import { writtenWhile } from "../../written-while.ts";
import type { MemoryApi } from "./memory-api.ts";

/** One request, as it goes over a link. */
export interface LinkRequest {
  readonly verb: "version" | "discover" | "get" | "list" | "apply" | "delete" | "create" | "replace" | "patch" | "watch";
  readonly type?: ResourceType;
  readonly namespace: string;
  readonly name: string;
  /** It asks for a change. */
  readonly isWrite: boolean;
  /** UID that a deletion names. */
  readonly uid?: string;
  /** What is applied. */
  readonly manifest?: Manifest;
}

/** What lies between a client and the API server: by default nothing, in the simulation time and faults. */
export interface Link {
  request<T>(request: LinkRequest, work: () => T, signal: AbortSignal | undefined): Promise<T>;
  /** true: there may be something newer than the version; false: the server has ended the watch. Rejects when it is cut. */
  news(request: LinkRequest, version: string, signal: AbortSignal): Promise<boolean>;
}

/** A client of an API server in memory. */
export function createMemoryCluster(api: MemoryApi, link: Link = directLink(api), manager = FIELD_MANAGER): Cluster {
  const about = (
    verb: LinkRequest["verb"],
    type: ResourceType | undefined,
    namespace: string,
    name: string,
    isWrite = false,
  ): LinkRequest => ({
    verb,
    ...(type && { type }),
    namespace,
    name,
    isWrite,
  });
  const ofManifest = (verb: LinkRequest["verb"], type: ResourceType, manifest: Manifest, isWrite = true) => {
    const { namespace, name } = objectRefOf(manifest);
    if (type.namespaced && namespace === "") throw new CodedError("OBJECT_INVALID", `${type.kind} ${name} needs a namespace`);
    return about(verb, type, namespace, name, isWrite);
  };
  const author = { manager };

  return {
    version: (signal) => link.request(about("version", undefined, "", ""), () => "v1.36.3", signal),
    discover: (signal) => link.request(about("discover", undefined, "", ""), () => api.discover(), signal),
    get: (type, namespace, name, signal) => link.request(about("get", type, namespace, name), () => api.get(type, namespace, name), signal),
    list: (type, options, signal) => link.request(about("list", type, options.namespace ?? "", ""), () => api.list(type, options), signal),
    async apply(type, manifest, { force, dryRun = false, signal }) {
      const request = { ...ofManifest("apply", type, manifest, !dryRun), manifest };
      return link.request(request, () => api.apply(type, manifest, { ...author, force, dryRun }), signal);
    },
    delete(type, namespace, name, { signal, ...options }) {
      const request = { ...about("delete", type, namespace, name, true), uid: options.uid };
      return link.request(request, () => api.delete(type, namespace, name, options), signal);
    },
    async create(type, manifest, signal) {
      return link.request(ofManifest("create", type, manifest), () => api.create(type, manifest, author), signal);
    },
    async replace(type, manifest, signal) {
      return link.request(ofManifest("replace", type, manifest), () => api.replace(type, manifest, author), signal);
    },
    mergePatch: (type, namespace, name, patch, signal) =>
      link.request(about("patch", type, namespace, name, true), () => api.mergePatch(type, namespace, name, patch, author), signal),
    watch: (type, scope, signal) => watch(type, scope, signal),
    // Here everybody may do everything; what a ServiceAccount may not do is tested on a real API server.
    as: () => createMemoryCluster(api, link, manager),
    writtenWhile(isDue) {
      return writtenWhile(this, isDue);
    },
    close: async () => {},
  };

  async function* watch(
    type: ResourceType,
    { idleTimeoutMs, resourceVersion, ...scope }: ListScope & { resourceVersion: string; idleTimeoutMs?: number },
    signal: AbortSignal,
  ): AsyncGenerator<WatchEvent> {
    const request = about("watch", type, scope.namespace ?? "", "");
    let version = resourceVersion;
    let first = true;
    const idle = new AbortController();
    const timer = idleTimeoutMs === undefined ? undefined : setTimeout(() => idle.abort(), idleTimeoutMs);
    const ends = timer ? AbortSignal.any([signal, idle.signal]) : signal;
    try {
      while (!signal.aborted) {
        if (!first && !(await link.news(request, version, ends))) return;
        const since = version;
        const read = () => api.watch(type, scope, since);
        const found = first ? await link.request(request, read, ends) : read();
        first = false;
        version = found.version;
        if (found.events.length === 0) yield { type: "bookmark", resourceVersion: version };
        for (const event of found.events) {
          if (signal.aborted) return;
          yield event;
        }
      }
    } catch (error) {
      if (signal.aborted) return;
      if (idle.signal.aborted) throw new CodedError("KUBE_UNREACHABLE", `watch ${type.plural}: nothing arrived`);
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Answers in the next turn. */
function directLink(api: MemoryApi): Link {
  return {
    async request(_, work, signal) {
      await Promise.resolve();
      signal?.throwIfAborted();
      return work();
    },
    news: ({ type }, version, signal) =>
      new Promise((resolve, reject) => {
        if (type && api.store.newest(type) > Number(version)) return resolve(true);
        const end = api.store.onChange(() => {
          end();
          resolve(true);
        });
        const stop = () => {
          end();
          reject(signal.reason);
        };
        if (signal.aborted) stop();
        else signal.addEventListener("abort", stop, { once: true });
      }),
  };
}
