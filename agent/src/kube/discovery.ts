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

/** Asks the API server what it serves. A group that could not be asked is in `failedGroups`. */
export async function discover(transport: KubeTransport, signal?: AbortSignal): Promise<Discovery> {
  const types: ResourceType[] = [];
  const failed = new Set<string>();
  for (const path of ["/api", "/apis"]) {
    const { body } = await transport.send({ method: "GET", path, accept: ACCEPT, verb: "discover", what: path, ...(signal && { signal }) });
    const list = JSON.parse(body) as GroupDiscoveryList;
    if (!list.items) throw new CodedError("KUBE_SERVER", "The API server has no aggregated discovery; Kubernetes 1.27 or newer is needed");
    for (const item of list.items) readGroup(item, types, failed);
  }
  return createDiscovery(types, failed);
}

function readGroup(item: NonNullable<GroupDiscoveryList["items"]>[number], types: ResourceType[], failed: Set<string>): void {
  const group = item.metadata?.name ?? "";
  for (const version of item.versions ?? []) {
    if (version.freshness === "Stale") failed.add(group);
    for (const resource of version.resources ?? []) {
      const kind = resource.responseKind;
      if (!kind?.kind) continue;
      types.push({
        group,
        version: version.version,
        kind: kind.kind,
        plural: resource.resource,
        namespaced: resource.scope === "Namespaced",
        verbs: resource.verbs,
      });
    }
  }
}

/** A discovery over known types; versions of a group stand in the server's order of preference. */
export function createDiscovery(types: readonly ResourceType[], failedGroups: ReadonlySet<string> = new Set()): Discovery {
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
    find(group, kind, version) {
      const known = byKind.get(`${group}/${kind}`);
      return version === undefined ? known?.[0] : known?.find((type) => type.version === version);
    },
  };
}
