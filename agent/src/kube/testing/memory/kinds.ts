import { isJsonObject, type Manifest } from "@muster/shared/model";
import type { ResourceType } from "../../cluster.ts";

const VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"];

function type(group: string, version: string, kind: string, plural: string, namespaced = true): ResourceType {
  return { group, version, kind, plural, namespaced, verbs: VERBS };
}

export const NAMESPACE = type("", "v1", "Namespace", "namespaces", false);
export const DEFINITION = type("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", false);

/** A kind of an aggregated API server, which may be down while all others work. */
export const AGGREGATED = type("metering.example.com", "v1", "Meter", "meters");

/** What is served from the beginning. */
export const BUILT_IN: readonly ResourceType[] = [
  NAMESPACE,
  DEFINITION,
  AGGREGATED,
  type("", "v1", "ConfigMap", "configmaps"),
  type("", "v1", "Secret", "secrets"),
  type("", "v1", "Service", "services"),
  type("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
  type("apps", "v1", "Deployment", "deployments"),
  type("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", false),
  type("rbac.authorization.k8s.io", "v1", "Role", "roles"),
  type("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings"),
  type("coordination.k8s.io", "v1", "Lease", "leases"),
];

/** What a definition makes the API server serve, once it is established. */
export function definedTypes({ spec }: Manifest): ResourceType[] {
  if (!isJsonObject(spec) || !isJsonObject(spec["names"])) return [];
  const { kind, plural } = spec["names"];
  const versions = (Array.isArray(spec["versions"]) ? spec["versions"] : []).filter(isJsonObject);
  return versions
    .filter((version) => version["served"] === true)
    .map((version) => type(String(spec["group"]), String(version["name"]), String(kind), String(plural), spec["scope"] === "Namespaced"));
}

export function isEstablished({ status }: Manifest): boolean {
  const conditions = isJsonObject(status) && Array.isArray(status["conditions"]) ? status["conditions"] : [];
  return conditions.some((one) => isJsonObject(one) && one["type"] === "Established" && one["status"] === "True");
}
