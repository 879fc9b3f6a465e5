import { CodedError } from "@muster/shared/errors";
import {
  describeObjectRef,
  FIELD_MANAGER,
  isManifest,
  type JsonObject,
  type JsonValue,
  type Manifest,
  objectRefOf,
} from "@muster/shared/model";
import { type Clock, type Random, systemClock } from "@muster/shared/runtime";
import type { AgentFailpoint } from "../failpoints.ts";
import type { ApplyOptions, Cluster, DeleteOptions, ListOptions, ListResult, ResourceType } from "./cluster.ts";
import { loadCredentials } from "./credentials.ts";
import { discover } from "./discovery.ts";
import { impersonating } from "./impersonate.ts";
import { listPages } from "./list-pages.ts";
import { readListRights } from "./may-list.ts";
import { createTransport, type KubeRequest, type KubeTransport } from "./transport.ts";
import { watchEvents } from "./watch.ts";
import { writtenWhile } from "./written-while.ts";

/** Options of {@link createCluster}. */
export interface CreateClusterOptions {
  /** Path of a kubeconfig; in-cluster configuration if absent. */
  readonly kubeconfig?: string;
  /** Connections for requests. Default 8. */
  readonly connections?: number;
  readonly userAgent: string;
  readonly clock?: Clock;
  readonly random?: Random;
  /** Default: none. */
  readonly failpoint?: AgentFailpoint;
}

/** The API server that a kubeconfig or the pod's ServiceAccount names. Throws CONFIG_INVALID. */
export function createCluster(options: CreateClusterOptions): Cluster {
  const { clock = systemClock, random = Math.random, kubeconfig, failpoint } = options;
  const credentials = loadCredentials({ clock, ...(kubeconfig && { kubeconfig }), ...(failpoint && { failpoint }) });
  const transport = createTransport({
    credentials,
    userAgent: options.userAgent,
    ...(options.connections && { connections: options.connections }),
  });
  return clusterOver(transport, random);
}

/** What `as` gives goes through `transport`, and is made from `base`, which speaks for nobody but us. */
function clusterOver(transport: KubeTransport, random: Random, base: KubeTransport = transport): Cluster {
  const sendObject = async (request: KubeRequest): Promise<Manifest> => {
    const value: unknown = JSON.parse((await transport.send(request)).body);
    if (!isManifest(value)) throw new CodedError("KUBE_SERVER", `${request.verb} ${request.what}: the answer is no object`);
    return value;
  };
  const aboutObject = (verb: string, manifest: Manifest) => ({
    verb,
    what: describeObjectRef(objectRefOf(manifest)),
    secret: manifest.kind === "Secret",
  });
  const about = (verb: string, type: ResourceType, namespace: string, name: string) => ({
    verb,
    what: describeObjectRef({ group: type.group, kind: type.kind, namespace, name }),
    secret: type.kind === "Secret",
  });
  const store = (verb: "create" | "replace", type: ResourceType, manifest: Manifest, signal?: AbortSignal) => {
    const namespace = objectRefOf(manifest).namespace;
    return sendObject({
      ...aboutObject(verb, manifest),
      method: verb === "create" ? "POST" : "PUT",
      path: `${resourcePath(type, namespace, verb === "create" ? undefined : manifest.metadata.name)}?fieldManager=${FIELD_MANAGER}`,
      body: JSON.stringify(manifest),
      contentType: "application/json",
      ...(signal && { signal }),
    });
  };

  return {
    async version(signal) {
      const { body } = await transport.send({ method: "GET", path: "/version", verb: "read", what: "/version", ...(signal && { signal }) });
      return String((JSON.parse(body) as { gitVersion?: unknown }).gitVersion ?? "");
    },
    discover: (signal) => discover(transport, signal),
    async get(type, namespace, name, signal) {
      try {
        return await sendObject({
          ...about("get", type, namespace, name),
          method: "GET",
          path: resourcePath(type, namespace, name),
          ...(signal && { signal }),
        });
      } catch (error) {
        if (error instanceof CodedError && (error.code === "KUBE_NOT_FOUND" || error.code === "NAMESPACE_MISSING")) return undefined;
        throw error;
      }
    },
    list: (type, options, signal) => list(type, options, signal),
    async mayList(namespace, signal) {
      const answer = await transport.send({
        method: "POST",
        path: "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews",
        verb: "create",
        what: "a review of the agent's rights",
        body: JSON.stringify({ apiVersion: "authorization.k8s.io/v1", kind: "SelfSubjectRulesReview", spec: { namespace } }),
        contentType: "application/json",
        ...(signal && { signal }),
      });
      return readListRights((JSON.parse(answer.body) as { status?: JsonValue }).status);
    },
    apply(type: ResourceType, manifest: Manifest, apply: ApplyOptions) {
      const { namespace, name } = objectRefOf(manifest);
      const query = new URLSearchParams({ fieldManager: FIELD_MANAGER, force: String(apply.force), fieldValidation: "Strict" });
      if (apply.dryRun) query.set("dryRun", "All");
      return sendObject({
        ...aboutObject("apply", manifest),
        method: "PATCH",
        path: `${resourcePath(type, namespace, name)}?${query}`,
        body: JSON.stringify(manifest),
        contentType: "application/apply-patch+yaml",
        ...(apply.isDue && { isDue: apply.isDue }),
        ...(apply.signal && { signal: apply.signal }),
      });
    },
    async delete(type: ResourceType, namespace: string, name: string, options: DeleteOptions) {
      try {
        const { body } = await transport.send({
          ...about("delete", type, namespace, name),
          method: "DELETE",
          path: resourcePath(type, namespace, name),
          body: JSON.stringify({
            apiVersion: "v1",
            kind: "DeleteOptions",
            preconditions: { uid: options.uid },
            propagationPolicy: options.propagation ?? "Background",
          }),
          contentType: "application/json",
          ...(options.isDue && { isDue: options.isDue }),
          ...(options.signal && { signal: options.signal }),
        });
        // The answer is the object while finalizers hold it, and a Status once it is gone.
        const value: unknown = JSON.parse(body);
        return isManifest(value) && value.kind !== "Status" && value.metadata["deletionTimestamp"] ? value : undefined;
      } catch (error) {
        if (error instanceof CodedError && error.code === "KUBE_NOT_FOUND") return undefined;
        throw error;
      }
    },
    create: (type, manifest, signal) => store("create", type, manifest, signal),
    replace: (type, manifest, signal) => store("replace", type, manifest, signal),
    mergePatch(type: ResourceType, namespace: string, name: string, patch: JsonObject, signal?: AbortSignal) {
      return sendObject({
        ...about("patch", type, namespace, name),
        method: "PATCH",
        path: `${resourcePath(type, namespace, name)}?fieldManager=${FIELD_MANAGER}`,
        body: JSON.stringify(patch),
        contentType: "application/merge-patch+json",
        ...(signal && { signal }),
      });
    },
    watch: (type, scope, signal) =>
      watchEvents({ transport, path: resourcePath(type, scope.namespace ?? ""), type, scope, signal, random }),
    as: (account) => clusterOver(impersonating(base, account), random, base),
    writtenWhile(isDue) {
      return writtenWhile(this, isDue);
    },
    close: () => transport.close(),
  };

  async function list(type: ResourceType, options: ListOptions, signal?: AbortSignal): Promise<ListResult> {
    const items: Manifest[] = [];
    const resourceVersion = await listPages({
      transport,
      path: resourcePath(type, options.namespace ?? ""),
      type,
      list: options,
      onPage: options.onPage ?? ((page) => void items.push(...page)),
      onRestart: () => {
        items.splice(0);
        options.onRestart?.();
      },
      ...(signal && { signal }),
    });
    return { items, resourceVersion };
  }
}

/** The URL path of a resource, a namespace's resources, or one object. An empty namespace means all or cluster-scoped. */
export function resourcePath(type: ResourceType, namespace: string, name?: string): string {
  const base = type.group === "" ? `/api/${type.version}` : `/apis/${type.group}/${type.version}`;
  const scope = type.namespaced && namespace !== "" ? `/namespaces/${encodeURIComponent(namespace)}` : "";
  if (name !== undefined && type.namespaced && scope === "") {
    throw new CodedError("OBJECT_INVALID", `${type.kind} ${name} needs a namespace`);
  }
  return `${base}${scope}/${type.plural}${name === undefined ? "" : `/${encodeURIComponent(name)}`}`;
}
