import { CodedError } from "@muster/shared/errors";
import {
  cloneJson,
  formatObjectRef,
  isJsonObject,
  type JsonObject,
  type Manifest,
  type ObjectRefText,
  objectRefOf,
  type ServiceAccountRef,
} from "@muster/shared/model";
import type { Cluster, Discovery, ListScope, ResourceType, WatchEvent } from "../../kube/cluster.ts";
import { createDiscovery } from "../../kube/discovery.ts";
import { writtenWhile } from "../../kube/written-while.ts";

/** One request that the fake has taken. */
export interface FakeCall {
  readonly verb: "get" | "list" | "apply" | "delete" | "create" | "replace" | "patch";
  readonly ref: ObjectRefText;
  readonly dryRun?: true;
  /** In whose name, if not the agent's. */
  readonly as?: ServiceAccountRef;
}

/** An API server in memory: enough of one for fast tests of what the agent decides. Rig tests have the real one. */
export interface FakeCluster extends Cluster {
  readonly objects: Map<ObjectRefText, Manifest>;
  readonly calls: FakeCall[];
  /** What is served; requests for anything else are answered as an unserved path is. */
  types: readonly ResourceType[];
  /** Called before every request; what it throws is the answer. */
  onCall: ((call: FakeCall) => void | Promise<void>) | undefined;
  /** Somebody else's write, with its watch event. */
  put(manifest: Manifest): Manifest;
  /** Ends all watches, as a lost connection does. */
  cutWatches(): void;
  /** Somebody else's deletion. */
  take(ref: ObjectRefText): void;
}

const type = (group: string, version: string, kind: string, plural: string, namespaced = true): ResourceType => ({
  group,
  version,
  kind,
  plural,
  namespaced,
  verbs: ["get", "list", "watch", "patch", "delete", "create", "update"],
});

/** What the fake serves. */
export const FAKE_TYPES: readonly ResourceType[] = [
  type("", "v1", "ConfigMap", "configmaps"),
  type("", "v1", "Secret", "secrets"),
  type("", "v1", "Namespace", "namespaces", false),
  type("apps", "v1", "Deployment", "deployments"),
  type("rbac.authorization.k8s.io", "v1", "Role", "roles"),
  type("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", false),
];

export function createFakeCluster(): FakeCluster {
  const objects = new Map<ObjectRefText, Manifest>();
  const calls: FakeCall[] = [];
  const watchers = new Set<{ readonly type: ResourceType; push(event: WatchEvent): void; cut(): void }>();
  let version = 0;
  let uids = 0;

  const refOf = (manifest: Manifest) => formatObjectRef(objectRefOf(manifest));
  const refuseUnserved = (of: ResourceType) => {
    const served = fake.types.some((one) => one.group === of.group && one.version === of.version && one.plural === of.plural);
    if (!served) throw new CodedError("KUBE_SERVER", "404 page not found", { data: { status: 404 } });
  };
  const keyOf = (of: ResourceType, namespace: string, name: string) => formatObjectRef({ group: of.group, kind: of.kind, namespace, name });
  const tell = (event: WatchEvent & { readonly object: Manifest }) => {
    for (const watcher of watchers) if (watcher.type.kind === event.object.kind) watcher.push(event);
  };
  const store = (manifest: Manifest, verb: "added" | "modified"): Manifest => {
    const known = objects.get(refOf(manifest));
    const live = cloneJson(manifest);
    live.metadata["uid"] = known?.metadata["uid"] ?? `uid-${++uids}`;
    live.metadata["resourceVersion"] = String(1_000 + ++version);
    objects.set(refOf(live), live);
    tell({ type: verb, object: cloneJson(live) });
    return cloneJson(live);
  };
  let speaker: ServiceAccountRef | undefined;
  async function ask(asked: FakeCall): Promise<void> {
    const call = { ...asked, ...(speaker && { as: speaker }) };
    calls.push(call);
    await fake.onCall?.(call);
    await Promise.resolve();
  }
  const matches = (manifest: Manifest, of: ResourceType, scope: ListScope) => {
    const labels = manifest.metadata["labels"];
    const [label, value] = (scope.labelSelector ?? "").split("=");
    if (manifest.kind !== of.kind || (scope.namespace && manifest.metadata["namespace"] !== scope.namespace)) return false;
    return !label || (isJsonObject(labels) && labels[label] !== undefined && (value === undefined || labels[label] === value));
  };
  const remove = (ref: ObjectRefText) => {
    const live = objects.get(ref);
    objects.delete(ref);
    if (live) tell({ type: "deleted", object: live });
  };

  const fake: FakeCluster = {
    objects,
    calls,
    types: FAKE_TYPES,
    onCall: undefined,
    put: (manifest) => store(manifest, objects.has(refOf(manifest)) ? "modified" : "added"),
    take: remove,
    cutWatches: () => {
      for (const watcher of watchers) watcher.cut();
    },
    version: async () => "v1.36.0",
    discover: async (): Promise<Discovery> => createDiscovery({ types: fake.types }),
    async get(of, namespace, name) {
      const ref = keyOf(of, namespace, name);
      await ask({ verb: "get", ref });
      refuseUnserved(of);
      const live = objects.get(ref);
      return live && cloneJson(live);
    },
    async list(of, scope) {
      await ask({ verb: "list", ref: of.plural });
      return {
        items: [...objects.values()].filter((manifest) => matches(manifest, of, scope)).map((manifest) => cloneJson(manifest)),
        resourceVersion: String(1_000 + version),
      };
    },
    async apply(of, manifest, options) {
      const ref = refOf(manifest);
      await ask({ verb: "apply", ref, ...(options.dryRun && { dryRun: true }) });
      refuseUnserved(of);
      const before = objects.get(ref);
      const { uid, resourceVersion } = manifest.metadata;
      if (uid !== undefined && uid !== before?.metadata["uid"]) throw new CodedError("KUBE_CONFLICT", "the UID differs");
      if (before && resourceVersion !== undefined && resourceVersion !== before.metadata["resourceVersion"])
        throw new CodedError("KUBE_CONFLICT", "the object has been modified");
      const wanted = cloneJson(manifest);
      wanted.metadata["managedFields"] = [{ manager: "muster", operation: "Apply", fieldsV1: fieldsOf(manifest) }];
      // An apply ends no deletion.
      for (const key of ["deletionTimestamp", "finalizers"])
        if (before?.metadata[key] !== undefined) wanted.metadata[key] ??= before.metadata[key];
      if (before && same(before, wanted)) return cloneJson(before);
      if (options.dryRun)
        return {
          ...wanted,
          metadata: {
            ...wanted.metadata,
            uid: before?.metadata["uid"] ?? "never",
            resourceVersion: before?.metadata["resourceVersion"] ?? "",
          },
        };
      return store(wanted, before ? "modified" : "added");
    },
    async delete(of, namespace, name, options) {
      const ref = keyOf(of, namespace, name);
      await ask({ verb: "delete", ref });
      const live = objects.get(ref);
      if (!live) return undefined;
      if (live.metadata["uid"] !== options.uid) throw new CodedError("KUBE_CONFLICT", "the UID differs");
      if (Array.isArray(live.metadata["finalizers"])) {
        live.metadata["deletionTimestamp"] ??= "2026-01-01T00:00:00Z";
        return cloneJson(live);
      }
      remove(ref);
      return undefined;
    },
    async create(_of, manifest) {
      await ask({ verb: "create", ref: refOf(manifest) });
      if (objects.has(refOf(manifest))) throw new CodedError("KUBE_CONFLICT", "it exists");
      return store(manifest, "added");
    },
    async replace(_of, manifest) {
      await ask({ verb: "replace", ref: refOf(manifest) });
      const before = objects.get(refOf(manifest));
      if (!before) throw new CodedError("KUBE_NOT_FOUND", "it does not exist");
      const asked = manifest.metadata["resourceVersion"];
      if (asked !== undefined && asked !== before.metadata["resourceVersion"])
        throw new CodedError("KUBE_CONFLICT", "the object has been modified");
      return store(manifest, "modified");
    },
    async mergePatch(of, namespace, name, patch) {
      const ref = keyOf(of, namespace, name);
      await ask({ verb: "patch", ref });
      const live = objects.get(ref);
      if (!live) throw new CodedError("KUBE_NOT_FOUND", "it does not exist");
      return store(merged(live, patch) as Manifest, "modified");
    },
    async *watch(of, _scope, signal) {
      const queue: WatchEvent[] = [];
      let wake = () => {};
      const push = (event: WatchEvent) => {
        queue.push(event);
        wake();
      };
      let isCut = false;
      const cut = () => {
        isCut = true;
        wake();
      };
      const watcher = { type: of, push, cut };
      watchers.add(watcher);
      signal.addEventListener("abort", () => wake(), { once: true });
      try {
        while (!signal.aborted) {
          if (isCut) throw new CodedError("KUBE_UNREACHABLE", "the connection was lost");
          const next = queue.shift();
          if (next) yield next;
          else await new Promise<void>((resolve) => (wake = resolve));
        }
      } finally {
        watchers.delete(watcher);
      }
    },
    as(account) {
      // Every request is noted before anything else has a turn.
      const inItsName =
        <A extends unknown[], R>(method: (...args: A) => R) =>
        (...args: A): R => {
          speaker = account;
          try {
            return method(...args);
          } finally {
            speaker = undefined;
          }
        };
      const { get, list, apply, delete: remove, create, replace, mergePatch } = fake;
      const verbs = { get, list, apply, delete: remove, create, replace, mergePatch };
      return {
        ...fake,
        ...(Object.fromEntries(Object.entries(verbs).map(([name, verb]) => [name, inItsName(verb as never)])) as typeof verbs),
      };
    },
    writtenWhile(isDue) {
      return writtenWhile(this, isDue);
    },
    close: async () => {},
  };
  return fake;
}

/** Every leaf of the manifest, as managedFields names it; lists are taken whole. */
function fieldsOf(value: Manifest): Record<string, never> {
  const fields = (part: unknown): object =>
    isJsonObject(part) ? Object.fromEntries(Object.entries(part).map(([key, inner]) => [`f:${key}`, fields(inner)])) : {};
  const { apiVersion: _a, kind: _k, metadata, ...rest } = value;
  const labels = isJsonObject(metadata["labels"]) ? { labels: metadata["labels"] } : {};
  return fields({ ...rest, metadata: labels }) as Record<string, never>;
}

function merged(value: unknown, patch: JsonObject): JsonObject {
  const result: JsonObject = isJsonObject(value) ? { ...value } : {};
  for (const [key, part] of Object.entries(patch)) {
    if (part === null) delete result[key];
    else result[key] = isJsonObject(part) ? merged(result[key], part) : part;
  }
  return result;
}

function same(a: Manifest, b: Manifest): boolean {
  const strip = (manifest: Manifest) => {
    const { uid: _u, resourceVersion: _r, ...metadata } = manifest.metadata;
    return JSON.stringify({ ...manifest, metadata: Object.fromEntries(Object.entries(metadata).sort()) });
  };
  return strip(a) === strip(b);
}
