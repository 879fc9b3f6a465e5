import type { Manifest } from "@muster/shared/model";
import type { Cluster, ResourceType } from "../../agent/src/kube/cluster.ts";
import { createCluster } from "../../agent/src/kube/create-cluster.ts";
import type { KubeApiserver } from "../rig/kube-apiserver.ts";

const CONFIG_MAPS: ResourceType = { group: "", version: "v1", kind: "ConfigMap", plural: "configmaps", namespaced: true, verbs: [] };

/** Sees every ConfigMap of one namespace as the API server tells it, with the time of arrival here. */
export interface ObjectWatch {
  /** Resolves with the time (monotonic ms) at which `count` objects had satisfied the condition. */
  until(count: number, condition: (object: Manifest) => boolean, timeoutMs?: number): Promise<number>;
  stop(): Promise<void>;
}

export async function watchConfigMaps(apiserver: KubeApiserver, namespace: string): Promise<ObjectWatch> {
  const cluster: Cluster = createCluster({ kubeconfig: apiserver.kubeconfigPath, userAgent: "muster-bench" });
  const controller = new AbortController();
  const live = new Map<string, Manifest>();
  const waiters = new Set<{ count: number; condition: (object: Manifest) => boolean; done: Set<string>; resolve: (at: number) => void }>();
  const { items, resourceVersion } = await cluster.list(CONFIG_MAPS, { namespace });
  for (const item of items) live.set(item.metadata.name, item);
  const check = (object: Manifest, at: number) => {
    for (const waiter of waiters) {
      if (!waiter.condition(object)) continue;
      waiter.done.add(object.metadata.name);
      if (waiter.done.size >= waiter.count) {
        waiters.delete(waiter);
        waiter.resolve(at);
      }
    }
  };
  const loop = (async () => {
    let version = resourceVersion;
    while (!controller.signal.aborted) {
      for await (const event of cluster.watch(CONFIG_MAPS, { namespace, resourceVersion: version }, controller.signal)) {
        if (event.type === "bookmark") {
          version = event.resourceVersion;
          continue;
        }
        const at = performance.now();
        version = String(event.object.metadata["resourceVersion"]);
        if (event.type === "deleted") live.delete(event.object.metadata.name);
        else {
          live.set(event.object.metadata.name, event.object);
          check(event.object, at);
        }
      }
    }
  })();
  return {
    until(count, condition, timeoutMs = 60_000) {
      return new Promise((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`only ${waiter.done.size} of ${count} objects in ${timeoutMs} ms`)), timeoutMs);
        const waiter = {
          count,
          condition,
          done: new Set([...live.values()].filter(condition).map((object) => object.metadata.name)),
          resolve: (at: number) => {
            clearTimeout(timer);
            resolve(at);
          },
        };
        if (waiter.done.size >= count) waiter.resolve(performance.now());
        else waiters.add(waiter);
      });
    },
    async stop() {
      controller.abort();
      await loop.catch(() => {});
      await cluster.close();
    },
  };
}
