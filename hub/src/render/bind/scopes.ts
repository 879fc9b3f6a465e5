import { isJsonObject, type JsonObject, splitApiVersion } from "@muster/shared/model";
import type { RenderedObject } from "../rendered-objects.ts";
import type { ClusterCapabilities } from "../renderer.ts";

/** Whether objects of a kind live in a namespace. */
export type Scope = "cluster" | "namespaced" | "unknown";

/** Kinds without a namespace in Kubernetes 1.36 and the minors before it, per group (from the API types' `+genclient:nonNamespaced`). */
const CLUSTER_SCOPED: Readonly<Record<string, readonly string[]>> = {
  "": ["Namespace", "Node", "PersistentVolume", "ComponentStatus"],
  "admissionregistration.k8s.io": [
    "MutatingAdmissionPolicy",
    "MutatingAdmissionPolicyBinding",
    "MutatingWebhookConfiguration",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "ValidatingWebhookConfiguration",
  ],
  "apiextensions.k8s.io": ["CustomResourceDefinition"],
  "apiregistration.k8s.io": ["APIService"],
  "authentication.k8s.io": ["SelfSubjectReview", "TokenReview"],
  "authorization.k8s.io": ["SelfSubjectAccessReview", "SelfSubjectRulesReview", "SubjectAccessReview"],
  "certificates.k8s.io": ["CertificateSigningRequest", "ClusterTrustBundle"],
  "flowcontrol.apiserver.k8s.io": ["FlowSchema", "PriorityLevelConfiguration"],
  "internal.apiserver.k8s.io": ["StorageVersion"],
  "networking.k8s.io": ["IPAddress", "IngressClass", "ServiceCIDR"],
  "node.k8s.io": ["RuntimeClass"],
  "rbac.authorization.k8s.io": ["ClusterRole", "ClusterRoleBinding"],
  "resource.k8s.io": ["DeviceClass", "DeviceTaintRule", "ResourcePoolStatusRequest", "ResourceSlice"],
  "scheduling.k8s.io": ["PriorityClass"],
  "storage.k8s.io": ["CSIDriver", "CSINode", "StorageClass", "VolumeAttachment", "VolumeAttributesClass"],
  "storagemigration.k8s.io": ["StorageVersionMigration"],
};

/** Built-in groups whose kinds all live in namespaces. */
const NAMESPACED_GROUPS = [
  "apps",
  "autoscaling",
  "batch",
  "coordination.k8s.io",
  "discovery.k8s.io",
  "events.k8s.io",
  "extensions",
  "policy",
];

const builtInClusterScoped = new Set(Object.entries(CLUSTER_SCOPED).flatMap(([group, kinds]) => kinds.map((kind) => `${group}/${kind}`)));
const builtInGroups = new Set([...Object.keys(CLUSTER_SCOPED), ...NAMESPACED_GROUPS]);

/** Scopes by `group/Kind` that the CustomResourceDefinitions among the objects declare. */
export function declaredScopes(objects: readonly RenderedObject[]): ReadonlyMap<string, Scope> {
  const scopes = new Map<string, Scope>();
  for (const { object } of objects) {
    if (object["kind"] !== "CustomResourceDefinition" || !isJsonObject(object["spec"])) continue;
    const { group, names, scope } = object["spec"];
    if (typeof group !== "string" || !isJsonObject(names) || typeof names["kind"] !== "string") continue;
    scopes.set(`${group}/${names["kind"]}`, scope === "Cluster" ? "cluster" : "namespaced");
  }
  return scopes;
}

/** Where objects of a kind live. What the bundle itself declares counts before what the cluster has today. */
export function scopeOf(
  object: JsonObject,
  declared: ReadonlyMap<string, Scope>,
  capabilities: Pick<ClusterCapabilities, "apiVersions" | "clusterScopedKinds">,
): Scope {
  const { apiVersion, kind } = object;
  if (typeof apiVersion !== "string" || typeof kind !== "string") return "unknown";
  const { group } = splitApiVersion(apiVersion);
  const name = `${group}/${kind}`;
  if (builtInClusterScoped.has(name)) return "cluster";
  if (builtInGroups.has(group)) return "namespaced";
  const own = declared.get(name);
  if (own) return own;
  if (capabilities.clusterScopedKinds.has(name)) return "cluster";
  return knownKinds(capabilities.apiVersions).has(`${apiVersion}/${kind}`) ? "namespaced" : "unknown";
}

const kindSets = new WeakMap<readonly string[], ReadonlySet<string>>();

function knownKinds(apiVersions: readonly string[]): ReadonlySet<string> {
  let kinds = kindSets.get(apiVersions);
  if (!kinds) {
    kinds = new Set(apiVersions);
    kindSets.set(apiVersions, kinds);
  }
  return kinds;
}
