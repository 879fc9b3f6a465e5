import { CodedError } from "@muster/shared/errors";
import type { Discovery, ResourceType } from "./cluster.ts";
import type { KubeTransport } from "./transport.ts";

/** Aggregated discovery (KEP-3352): everything in two requests, with each group's freshness. */
const ACCEPT =
  "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";

interface GroupDiscoveryList {
  readonly items?: readonly {
    readonly metadata?: { readonly name?: string };
    readonly versions?: readonly {
      readonly version: string;
      /** `Stale`: an aggregated API did not answer, and what is told of it is old or empty. */
      readonly freshness?: string;
      readonly resources?: readonly {
        readonly resource: string;
        readonly responseKind?: { readonly group: string; readonly version: string; readonly kind: string };
        readonly scope: "Namespaced" | "Cluster";
        readonly verbs: readonly string[];
      }[];
    }[];
  }[];
}

/** Asks the API server what it serves. A group that could not be asked is in `failedGroups`. Throws while it is starting. */
export async function discover(transport: KubeTransport, signal?: AbortSignal): Promise<Discovery> {
  await refuseUnready(transport, signal);
  const types: ResourceType[] = [];
  const failed = new Set<string>();
  const apiVersions: string[] = [];
  for (const path of ["/api", "/apis"]) {
    const { body } = await transport.send({ method: "GET", path, accept: ACCEPT, verb: "discover", what: path, ...(signal && { signal }) });
    const list = JSON.parse(body) as GroupDiscoveryList;
    if (!list.items) throw new CodedError("KUBE_SERVER", "The API server has no aggregated discovery; Kubernetes 1.29 or newer is needed");
    for (const item of list.items) {
      const group = item.metadata?.name ?? "";
      for (const version of item.versions ?? []) {
        apiVersions.push(group === "" ? version.version : `${group}/${version.version}`);
        if (version.freshness === "Stale") failed.add(group);
        types.push(...typesOf(group, version));
      }
    }
  }
  return createDiscovery({ types, failedGroups: failed, apiVersions });
}

/**
 * An API server that is starting answers before it has read its CustomResourceDefinitions, and tells of no gap: taken at its
 * word, every custom kind would be gone (I4). It is ready only once it knows them.
 */
async function refuseUnready(transport: KubeTransport, signal?: AbortSignal): Promise<void> {
  const request = { method: "GET", path: "/readyz", verb: "discover", what: "/readyz", ...(signal && { signal }) } as const;
  await transport.send(request).catch((error: unknown) => {
    const status = error instanceof CodedError ? error.data["status"] : undefined;
    // What stands between us and the API server may keep this path to itself; it sends nobody to one that is starting.
    if (status !== 403 && status !== 404) throw error;
  });
}

type GroupVersion = NonNullable<NonNullable<GroupDiscoveryList["items"]>[number]["versions"]>[number];

function typesOf(group: string, { version, resources = [] }: GroupVersion): ResourceType[] {
  return resources.flatMap(({ resource, responseKind, scope, verbs }) =>
    responseKind?.kind ? [{ group, version, kind: responseKind.kind, plural: resource, namespaced: scope === "Namespaced", verbs }] : [],
  );
}

/** What a discovery is made of. */
export interface DiscoveryParts {
  /** Versions of a group stand in the server's order of preference. */
  readonly types: readonly ResourceType[];
  readonly failedGroups?: ReadonlySet<string>;
  /** Default: those of the types. */
  readonly apiVersions?: readonly string[];
}

export function createDiscovery(parts: DiscoveryParts): Discovery {
  const { types, failedGroups = new Set(), apiVersions = types.map(apiVersionOf) } = parts;
  const byKind = new Map<string, ResourceType[]>();
  for (const type of types) {
    const key = `${type.group}/${type.kind}`;
    const known = byKind.get(key);
    if (known) known.push(type);
    else byKind.set(key, [type]);
  }
  return {
    all: types,
    failedGroups,
    apiVersions: [...new Set(apiVersions)],
    find(group, kind, version) {
      const known = byKind.get(`${group}/${kind}`);
      return version === undefined ? known?.[0] : known?.find((type) => type.version === version);
    },
  };
}

/** What is known after an answer that has gaps: a group that could not be discovered now serves what it served before. */
export function withFailedGroupsOf(before: Discovery, fresh: Discovery): Discovery {
  const failed = (type: ResourceType) => fresh.failedGroups.has(type.group) && !fresh.find(type.group, type.kind, type.version);
  const kept = before.all.filter(failed);
  if (kept.length === 0) return fresh;
  return createDiscovery({
    types: [...fresh.all, ...kept],
    failedGroups: fresh.failedGroups,
    apiVersions: [...fresh.apiVersions, ...kept.map(apiVersionOf)],
  });
}

/** `v1` or `apps/v1`. */
export function apiVersionOf(type: Pick<ResourceType, "group" | "version">): string {
  return type.group === "" ? type.version : `${type.group}/${type.version}`;
}
