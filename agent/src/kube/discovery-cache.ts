import { CodedError } from "@muster/shared/errors";
import type { ObjectRef } from "@muster/shared/model";
import type { Clock } from "@muster/shared/runtime";
import type { Cluster, Discovery, ResourceType } from "./cluster.ts";
import { apiVersionOf, withFailedGroupsOf } from "./discovery.ts";

/** The last discovery, asked again when it turns out to be old. A group that does not answer is taken to serve what it served before. */
export interface DiscoveryCache {
  /** The last answer; asks if there is none yet. */
  current(signal?: AbortSignal): Promise<Discovery>;
  /** Asks anew, unless that was done less than `minAgeMs` (default 1 000) ago. */
  refresh(options?: { readonly minAgeMs?: number; readonly signal?: AbortSignal }): Promise<Discovery>;
  /** The type of a ref at a version; one refresh is made for an unknown one. Throws KIND_UNKNOWN. */
  typeOf(ref: Pick<ObjectRef, "group" | "kind">, version?: string): Promise<ResourceType>;
  /** Called with every new answer. */
  onChange(listener: (discovery: Discovery) => void): void;
}

export function createDiscoveryCache(cluster: Cluster, clock: Clock): DiscoveryCache {
  let last: { discovery: Discovery; at: number } | undefined;
  let pending: Promise<Discovery> | undefined;
  const listeners: ((discovery: Discovery) => void)[] = [];

  const ask = (signal?: AbortSignal): Promise<Discovery> => {
    pending ??= cluster
      .discover(signal)
      .then((fresh) => {
        const discovery = last ? withFailedGroupsOf(last.discovery, fresh) : fresh;
        last = { discovery, at: clock.monotonicMs() };
        for (const listener of listeners) listener(discovery);
        return discovery;
      })
      .finally(() => {
        pending = undefined;
      });
    return pending;
  };
  const cache: DiscoveryCache = {
    current: async (signal) => last?.discovery ?? ask(signal),
    async refresh({ minAgeMs = 1_000, signal } = {}) {
      if (last && clock.monotonicMs() - last.at < minAgeMs) return last.discovery;
      return ask(signal);
    },
    async typeOf(ref, version) {
      const find = (discovery: Discovery) => discovery.find(ref.group, ref.kind, version);
      const found = find(await cache.current()) ?? find(await cache.refresh());
      if (found) return found;
      const where = ref.group === "" ? (version ?? "v1") : `${ref.group}${version ? `/${version}` : ""}`;
      const known = await cache.current();
      // A group that does not answer may have the kind: nothing is concluded from its silence (E006).
      if (known.failedGroups.has(ref.group))
        throw new CodedError("KIND_UNAVAILABLE", `The API group ${ref.group}, of which ${ref.kind} is, does not answer`);
      const other = known.find(ref.group, ref.kind);
      const instead = other ? `; it serves it as ${apiVersionOf(other)}` : "";
      throw new CodedError("KIND_UNKNOWN", `The cluster does not know the kind ${ref.kind} of ${where}${instead}`);
    },
    onChange: (listener) => void listeners.push(listener),
  };
  return cache;
}
