import type { DriftIgnore } from "@muster/shared/model";

/**
 * Rules for what other controllers are known to write into objects of ours, by the name that a bundle asks for them with. Each names
 * the manager where it is known, so that the same field changed by anybody else is drift.
 */
export const IGNORE_PRESETS = {
  /** A HorizontalPodAutoscaler scales through the scale subresource, in the name of kube-controller-manager. */
  hpaReplicas: ["Deployment", "StatefulSet", "ReplicaSet"].map((kind) => ({
    group: "apps",
    kind,
    paths: ["/spec/replicas"],
    managers: ["kube-controller-manager"],
  })),
  /** cert-manager, the certificate jobs of charts and operators put the CA of a webhook's server where the API server needs it. */
  webhookCaBundle: [
    ...["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"].map((kind) => ({
      group: "admissionregistration.k8s.io",
      kind,
      paths: ["/webhooks/*/clientConfig/caBundle"],
    })),
    {
      group: "apiextensions.k8s.io",
      kind: "CustomResourceDefinition",
      paths: ["/spec/conversion/webhook/clientConfig/caBundle"],
    },
    { group: "apiregistration.k8s.io", kind: "APIService", paths: ["/spec/caBundle"] },
  ],
  /** The rules of an aggregated ClusterRole are the aggregation controller's. */
  aggregatedClusterRoles: [
    {
      group: "rbac.authorization.k8s.io",
      kind: "ClusterRole",
      when: "has(object.aggregationRule)",
      paths: ["/rules"],
    },
  ],
} as const satisfies Readonly<Record<string, readonly DriftIgnore[]>>;

export type IgnorePreset = keyof typeof IGNORE_PRESETS;
