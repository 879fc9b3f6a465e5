import type { ApiClient } from "./api-client.ts";
import type { Fetched, ListRequest, Resource } from "./resources/resource.ts";
import { suggesting } from "./suggest-name.ts";

/**
 * Fetches what was asked for. An empty list is good news of many resources, and so it must not come from a mistyped name: whatever
 * cluster and bundle were named are looked up then. Throws API_NOT_FOUND, with the closest name.
 */
export function fetchNamed<T>(api: ApiClient, resource: Resource<T>, request: ListRequest): Promise<Fetched<T>> {
  return suggesting(api, request, async () => {
    const fetched = await resource.fetch(api, request);
    if (fetched.items.length > 0 || fetched.single) return fetched;
    const { cluster, bundle } = resource.names(request);
    if (cluster !== undefined) await api.get(`/clusters/${encodeURIComponent(cluster)}`);
    if (bundle !== undefined) await api.get(`/bundles/${encodeURIComponent(bundle)}`);
    return fetched;
  });
}
