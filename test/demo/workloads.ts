import type { KubeApiserver } from "../rig/kube-apiserver.ts";

interface Deployment {
  readonly metadata: { readonly namespace: string; readonly name: string; readonly generation: number };
  readonly spec: { readonly replicas?: number };
  readonly status?: { readonly observedGeneration?: number };
}

/**
 * Stands in for kubelets, which the demo does not have: reports every Deployment as available, in its /status, as its
 * controller would. Everything else in the demo is real.
 */
export function reportDeploymentsAsRunning(apiservers: readonly KubeApiserver[]): { stop(): Promise<void> } {
  const controller = new AbortController();
  const loop = (async () => {
    while (!controller.signal.aborted) {
      await Promise.all(apiservers.map((apiserver) => reportOnce(apiserver).catch(() => {})));
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
  })();
  return {
    async stop() {
      controller.abort();
      await loop;
    },
  };
}

async function reportOnce(apiserver: KubeApiserver): Promise<void> {
  const { items } = await apiserver.admin.request<{ items: Deployment[] }>("GET", "/apis/apps/v1/deployments");
  for (const { metadata, spec, status } of items) {
    if (status?.observedGeneration === metadata.generation) continue;
    const replicas = spec.replicas ?? 1;
    const now = new Date().toISOString();
    await apiserver.admin.request(
      "PATCH",
      `/apis/apps/v1/namespaces/${metadata.namespace}/deployments/${metadata.name}/status?fieldManager=demo-kubelet`,
      {
        status: {
          observedGeneration: metadata.generation,
          replicas,
          updatedReplicas: replicas,
          readyReplicas: replicas,
          availableReplicas: replicas,
          conditions: [
            {
              type: "Available",
              status: "True",
              reason: "MinimumReplicasAvailable",
              message: "",
              lastTransitionTime: now,
              lastUpdateTime: now,
            },
          ],
        },
      },
      "application/merge-patch+json",
    );
  }
}
