import type { KubeApiserver } from "../rig/kube-apiserver.ts";
import { type ChartName, type HelmRelease, helmRelease } from "./helm.ts";

/** The parts of a pod that these tests read. */
export interface PodSpec {
  readonly serviceAccountName?: string;
  readonly automountServiceAccountToken?: boolean;
  readonly securityContext?: object;
  readonly containers: readonly Container[];
  readonly volumes?: readonly Volume[];
}

export interface Container {
  readonly name: string;
  readonly image: string;
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly env?: readonly { readonly name: string; readonly value?: string; readonly valueFrom?: object }[];
  readonly ports?: readonly { readonly name: string; readonly containerPort: number }[];
  readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string; readonly readOnly?: boolean }[];
  readonly securityContext?: object;
}

export interface Volume {
  readonly name: string;
  readonly secret?: { readonly secretName: string; readonly optional?: boolean; readonly items?: readonly KeyToPath[] };
  readonly configMap?: { readonly name: string; readonly items?: readonly KeyToPath[] };
  readonly emptyDir?: object;
  readonly persistentVolumeClaim?: { readonly claimName: string };
}

interface KeyToPath {
  readonly key: string;
  readonly path: string;
}

/** A release in a real API server, as it has stored it. */
export interface InstalledChart {
  readonly apiserver: KubeApiserver;
  readonly helm: HelmRelease;
  readonly namespace: string;
  readonly notes: string;
  readonly pod: PodSpec;
  /** Sends the pod of the workload to the API server as a dry run, so that Pod Security admission judges it. Throws if it is refused. */
  admit(change?: (pod: PodSpec) => object): Promise<void>;
  /** True if the pod's ServiceAccount may do this. */
  may(verb: string, resource: string, options?: { group?: string; namespace?: string; name?: string }): Promise<boolean>;
}

/** Options of {@link installChart}. */
export interface InstallOptions {
  readonly apiserver: KubeApiserver;
  readonly chart: ChartName;
  readonly release: string;
  readonly namespace: string;
  readonly values: object;
}

/** Makes a namespace in which the API server enforces the Pod Security level "restricted". */
export async function createRestrictedNamespace(apiserver: KubeApiserver, name: string): Promise<void> {
  const labels = { "pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/enforce-version": "latest" };
  await apiserver.admin.request("POST", "/api/v1/namespaces", { metadata: { name, labels } });
}

/** `helm install` of a chart of this repository. The namespace must exist. */
export async function installChart(options: InstallOptions): Promise<InstalledChart> {
  const { apiserver, chart, release, namespace, values } = options;
  const helm = helmRelease({ chart, release, namespace, kubeconfig: apiserver.kubeconfigPath });
  const notes = await helm.install(values);
  const kind = chart === "hub" ? "statefulsets" : "deployments";
  const path = `/apis/apps/v1/namespaces/${namespace}/${kind}?labelSelector=app.kubernetes.io%2Finstance%3D${release}`;
  const workloads = await apiserver.admin.request<{ items: { spec: { template: { metadata: object; spec: PodSpec } } }[] }>("GET", path);
  const template = workloads.items[0]?.spec.template;
  if (!template || workloads.items.length !== 1) throw new Error(`the release ${release} has ${workloads.items.length} ${kind}`);
  const pod = template.spec;
  const account = `system:serviceaccount:${namespace}:${pod.serviceAccountName ?? "default"}`;

  return {
    apiserver,
    helm,
    namespace,
    notes,
    pod,
    async admit(change = (spec) => spec) {
      const body = { metadata: { ...template.metadata, name: `${release}-admission` }, spec: change(structuredClone(pod)) };
      await apiserver.admin.request("POST", `/api/v1/namespaces/${namespace}/pods?dryRun=All`, body);
    },
    async may(verb, resource, target = {}) {
      const [plural, subresource] = resource.split("/");
      const resourceAttributes = { verb, resource: plural, ...(subresource && { subresource }), ...target };
      const groups = ["system:authenticated", "system:serviceaccounts", `system:serviceaccounts:${namespace}`];
      const review = await apiserver.admin.request<{ status: { allowed: boolean } }>(
        "POST",
        "/apis/authorization.k8s.io/v1/subjectaccessreviews",
        { spec: { user: account, groups, resourceAttributes } },
      );
      return review.status.allowed;
    },
  };
}
