import { isDeepStrictEqual } from "node:util";
import { isJsonObject, type JsonObject, type JsonValue, type Manifest, objectRefOf } from "@muster/shared/model";
import type { DeleteOptions, Discovery, ListOptions, ListResult, ListScope, ResourceType, WatchEvent } from "../../cluster.ts";
import { createDiscovery } from "../../discovery.ts";
import { Answers, type Subject } from "./answers.ts";
import { createControllers } from "./controllers.ts";
import { AGGREGATED, BUILT_IN, DEFINITION, definedTypes, isEstablished, NAMESPACE } from "./kinds.ts";
import { applied, updated, type Writer } from "./managers.ts";
import { type Schema, schemaFor } from "./schema.ts";
import { createMemoryStore, type MemoryStore } from "./store.ts";

/** Options of {@link createMemoryApi}. */
export interface MemoryApiOptions {
  /** Milliseconds since 1970. */
  readonly wallMs: () => number;
  /** Runs what the API server and its controllers do by themselves, some time after what made it necessary. */
  readonly later: (work: () => void) => void;
  /** true: Deployments get a status, as from their controller. Default false: there is none, as on the rig. */
  readonly workloads?: boolean;
}

/** A write's author. */
export interface Author {
  readonly manager: string;
}

/**
 * An API server in memory that answers at once: server-side apply with owners of fields, preconditions, finalizers, definitions and
 * namespaces, watches and discovery. Whatever passes the contract suite of {@link Cluster} behaves as the real one does. It knows a
 * few kinds, no users, no quotas and no webhooks. Its refusals are thrown as a real one's are read.
 */
export interface MemoryApi {
  readonly store: MemoryStore;
  /** true: the aggregated API server does not answer. */
  aggregatedDown: boolean;
  discover(): Discovery;
  get(type: ResourceType, namespace: string, name: string): Manifest | undefined;
  list(type: ResourceType, options: ListOptions): ListResult;
  apply(type: ResourceType, manifest: Manifest, options: Author & { readonly force: boolean; readonly dryRun?: boolean }): Manifest;
  create(type: ResourceType, manifest: Manifest, author: Author): Manifest;
  replace(type: ResourceType, manifest: Manifest, author: Author): Manifest;
  mergePatch(type: ResourceType, namespace: string, name: string, patch: JsonObject, author: Author): Manifest;
  /** undefined: it is gone, or was not there. Without `uid`: whatever has the name. */
  delete(type: ResourceType, namespace: string, name: string, options: Partial<DeleteOptions>): Manifest | undefined;
  setStatus(type: ResourceType, object: Manifest, status: JsonObject): Manifest;
  /** Events after a version, and the version to go on from. */
  watch(type: ResourceType, scope: ListScope, version: string): { readonly events: readonly WatchEvent[]; readonly version: string };
}

export function createMemoryApi(options: MemoryApiOptions): MemoryApi {
  const store = createMemoryStore();
  let uids = 0;

  const about = (verb: string, type: ResourceType, namespace: string, name: string): Subject => ({ verb, type, namespace, name });
  const author = ({ manager }: Author): Writer => ({ manager, now: rfc3339(options.wallMs()) });

  function served(): ResourceType[] {
    const definitions = store.list(DEFINITION).filter(isEstablished);
    return [...BUILT_IN, ...definitions.flatMap(definedTypes)];
  }

  function refuseUnserved(subject: Subject): void {
    const { group, version, plural } = subject.type;
    if (group === AGGREGATED.group && api.aggregatedDown) throw Answers.unavailable(subject);
    if (BUILT_IN.some((one) => one.group === group && one.version === version && one.plural === plural)) return;
    const isServed = served().some((one) => one.group === group && one.version === version && one.plural === plural);
    if (!isServed) throw Answers.unserved(subject);
  }

  function refuseHomeless(subject: Subject): void {
    if (!subject.type.namespaced) return;
    const home = store.get(NAMESPACE, "", subject.namespace);
    if (!home) throw Answers.namespaceMissing(subject);
    if (home.metadata["deletionTimestamp"]) throw Answers.namespaceTerminating(subject);
  }

  function refuseInvalid(subject: Subject, object: Manifest, before: Manifest | undefined, schema: Schema): void {
    const unknown = schema.top && Object.keys(object).find((key) => !schema.top?.has(key));
    if (unknown !== undefined) throw Answers.unknownField(subject, unknown);
    if (object.kind === "Secret" && Object.values(object["data"] ?? {}).some((value) => !isBase64(value))) throw Answers.notBase64(subject);
    if (!before) return;
    if (before["immutable"] === true && (object["immutable"] !== true || !isDeepStrictEqual(before["data"], object["data"])))
      throw Answers.frozen(subject);
    for (const path of schema.immutable) if (!isDeepStrictEqual(at(before, path), at(object, path))) throw Answers.immutable(subject, path);
    const finalizers = (manifest: Manifest) => (manifest.metadata["finalizers"] ?? []) as string[];
    if (before.metadata["deletionTimestamp"] && finalizers(object).some((one) => !finalizers(before).includes(one)))
      throw Answers.noNewFinalizers(subject);
  }

  /** Stores what was decided, unless nothing changed or only the answer is wanted. */
  function settle(subject: Subject, before: Manifest | undefined, object: Manifest, how: { readonly dryRun?: boolean }): Manifest {
    const { type } = subject;
    const schema = schemaFor(type.group, type.kind);
    refuseInvalid(subject, object, before, schema);
    if (!before) {
      const created = rfc3339(options.wallMs());
      Object.assign(object.metadata, { uid: how.dryRun ? "never" : `uid-${++uids}`, creationTimestamp: created });
      if (schema.countsGenerations) object.metadata["generation"] = 1;
      controllers.adorn(type, object);
    } else {
      Object.assign(object.metadata, { resourceVersion: before.metadata["resourceVersion"] });
      if (isDeepStrictEqual(before, object)) return before;
      if (schema.countsGenerations && !isDeepStrictEqual(before["spec"], object["spec"]))
        object.metadata["generation"] = Number(before.metadata["generation"] ?? 0) + 1;
    }
    if (how.dryRun) return object;
    return controllers.written(type, store.put(type, object));
  }

  const controllers = createControllers({
    store,
    later: options.later,
    workloads: options.workloads ?? false,
    now: () => rfc3339(options.wallMs()),
  });

  function existing(subject: Subject): Manifest {
    refuseUnserved(subject);
    const before = store.get(subject.type, subject.namespace, subject.name);
    if (!before) throw Answers.notFound(subject);
    return before;
  }

  function refuseStale(subject: Subject, asked: Manifest["metadata"] | JsonObject, before: Manifest): void {
    const { uid, resourceVersion } = asked;
    if (uid !== undefined && uid !== "" && uid !== before.metadata["uid"])
      throw Answers.otherUid(subject, String(uid), String(before.metadata["uid"]));
    if (resourceVersion !== undefined && resourceVersion !== "" && resourceVersion !== before.metadata["resourceVersion"])
      throw Answers.modified(subject);
  }

  const api: MemoryApi = {
    store,
    aggregatedDown: false,
    discover() {
      const all = served();
      if (!api.aggregatedDown) return createDiscovery({ types: all });
      const { group, version } = AGGREGATED;
      const types = all.filter((type) => type.group !== group);
      const apiVersions = [
        ...types.map((type) => (type.group === "" ? type.version : `${type.group}/${type.version}`)),
        `${group}/${version}`,
      ];
      return createDiscovery({ types, failedGroups: new Set([group]), apiVersions });
    },
    get(type, namespace, name) {
      refuseUnserved(about("get", type, namespace, name));
      return store.get(type, namespace, name);
    },
    list(type, { metadataOnly, ...scope }) {
      refuseUnserved(about("list", type, scope.namespace ?? "", ""));
      const items = store.list(type, scope);
      const bare = ({ apiVersion, kind, metadata }: Manifest): Manifest => ({ apiVersion, kind, metadata });
      return { items: metadataOnly ? items.map(bare) : items, resourceVersion: String(store.version) };
    },
    apply(type, manifest, { manager, force, dryRun = false }) {
      const { namespace, name } = objectRefOf(manifest);
      const subject = about("apply", type, namespace, name);
      refuseUnserved(subject);
      const before = store.get(type, namespace, name);
      const { uid } = manifest.metadata;
      // Of an object that is not there, a resource version means nothing.
      if (before) refuseStale(subject, manifest.metadata, before);
      else if (uid !== undefined) throw Answers.otherUid(subject, String(uid), "none");
      else refuseHomeless(subject);
      const schema = schemaFor(type.group, type.kind);
      refuseInvalid(subject, manifest, undefined, schema);
      const outcome = applied(before, manifest, schema, { ...author({ manager }), force });
      if ("conflicts" in outcome) throw Answers.ownedByOthers(subject, outcome.conflicts);
      return settle(subject, before, outcome.object, { dryRun });
    },
    create(type, manifest, by) {
      const { namespace, name } = objectRefOf(manifest);
      const subject = about("create", type, namespace, name);
      refuseUnserved(subject);
      refuseHomeless(subject);
      if (store.get(type, namespace, name)) throw Answers.exists(subject);
      return settle(subject, undefined, updated(undefined, manifest, schemaFor(type.group, type.kind), author(by)), {});
    },
    replace(type, manifest, by) {
      const { namespace, name } = objectRefOf(manifest);
      const subject = about("replace", type, namespace, name);
      const before = existing(subject);
      refuseStale(subject, manifest.metadata, before);
      return settle(subject, before, updated(before, manifest, schemaFor(type.group, type.kind), author(by)), {});
    },
    mergePatch(type, namespace, name, patch, by) {
      const subject = about("patch", type, namespace, name);
      const before = existing(subject);
      if (isJsonObject(patch["metadata"])) refuseStale(subject, patch["metadata"], before);
      const wanted = merged(before, patch) as Manifest;
      return settle(subject, before, updated(before, wanted, schemaFor(type.group, type.kind), author(by)), {});
    },
    delete(type, namespace, name, { uid, propagation }) {
      const subject = about("delete", type, namespace, name);
      refuseUnserved(subject);
      const before = store.get(type, namespace, name);
      if (!before) return undefined;
      if (uid !== undefined && uid !== before.metadata["uid"]) throw Answers.otherUid(subject, uid, String(before.metadata["uid"]));
      return controllers.deleted(type, before, propagation === "Orphan");
    },
    setStatus(type, object, status) {
      return controllers.setStatus(type, object, status);
    },
    watch(type, scope, version) {
      const subject = about("watch", type, scope.namespace ?? "", "");
      refuseUnserved(subject);
      const found = store.changesSince(type, scope, Number(version));
      if (!found) throw Answers.compacted(subject, Number(version));
      return { events: found.events, version: String(found.version) };
    },
  };
  return api;
}

function rfc3339(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, "Z");
}

function at(object: Manifest, path: string): JsonValue | undefined {
  return path.split(".").reduce<JsonValue | undefined>((value, key) => (isJsonObject(value) ? value[key] : undefined), object);
}

function isBase64(value: JsonValue): boolean {
  return typeof value === "string" && /^[A-Za-z0-9+/]*={0,2}$/.test(value) && value.length % 4 === 0;
}

/** RFC 7386. */
function merged(value: JsonValue | undefined, patch: JsonObject): JsonObject {
  const result: JsonObject = isJsonObject(value) ? { ...value } : {};
  for (const [key, part] of Object.entries(patch)) {
    if (part === null) delete result[key];
    else result[key] = isJsonObject(part) ? merged(result[key], part) : part;
  }
  return result;
}
