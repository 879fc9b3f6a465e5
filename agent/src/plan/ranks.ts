import type { ObjectRef } from "@muster/shared/model";

/** Ranks in the order in which they are applied; deletion goes the other way. */
export const Rank = {
  /** What other objects live in or are made of: namespaces and CRDs. Waited for before anything else. */
  Definitions: 0,
  /** What workloads refer to: accounts, RBAC, configuration, storage, quotas. */
  Foundations: 1,
  /** Bindings refer to the roles of the rank before. */
  Bindings: 2,
  Workloads: 3,
  /** Custom objects and whatever else there is. */
  Rest: 4,
  /** What can refuse other writes comes last, when what it calls is there (E014). */
  Admission: 5,
} as const;
export type Rank = (typeof Rank)[keyof typeof Rank];

const BY_KIND: Readonly<Record<string, Rank>> = {
  "/Namespace": Rank.Definitions,
  "apiextensions.k8s.io/CustomResourceDefinition": Rank.Definitions,
  "/ServiceAccount": Rank.Foundations,
  "/ConfigMap": Rank.Foundations,
  "/Secret": Rank.Foundations,
  "/PersistentVolume": Rank.Foundations,
  "/PersistentVolumeClaim": Rank.Foundations,
  "/ResourceQuota": Rank.Foundations,
  "/LimitRange": Rank.Foundations,
  "storage.k8s.io/StorageClass": Rank.Foundations,
  "scheduling.k8s.io/PriorityClass": Rank.Foundations,
  "rbac.authorization.k8s.io/Role": Rank.Foundations,
  "rbac.authorization.k8s.io/ClusterRole": Rank.Foundations,
  "networking.k8s.io/NetworkPolicy": Rank.Foundations,
  "rbac.authorization.k8s.io/RoleBinding": Rank.Bindings,
  "rbac.authorization.k8s.io/ClusterRoleBinding": Rank.Bindings,
  "/Service": Rank.Workloads,
  "/Pod": Rank.Workloads,
  "/ReplicationController": Rank.Workloads,
  "apps/Deployment": Rank.Workloads,
  "apps/StatefulSet": Rank.Workloads,
  "apps/DaemonSet": Rank.Workloads,
  "apps/ReplicaSet": Rank.Workloads,
  "batch/Job": Rank.Workloads,
  "batch/CronJob": Rank.Workloads,
  "admissionregistration.k8s.io/ValidatingWebhookConfiguration": Rank.Admission,
  "admissionregistration.k8s.io/MutatingWebhookConfiguration": Rank.Admission,
  "admissionregistration.k8s.io/ValidatingAdmissionPolicy": Rank.Admission,
  "admissionregistration.k8s.io/ValidatingAdmissionPolicyBinding": Rank.Admission,
  "admissionregistration.k8s.io/MutatingAdmissionPolicy": Rank.Admission,
  "admissionregistration.k8s.io/MutatingAdmissionPolicyBinding": Rank.Admission,
  "apiregistration.k8s.io/APIService": Rank.Admission,
};

/** The place of an object's kind in the apply order inside one bundle. */
export function rankOf(ref: Pick<ObjectRef, "group" | "kind">): Rank {
  return BY_KIND[`${ref.group}/${ref.kind}`] ?? Rank.Rest;
}
