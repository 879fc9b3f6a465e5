import { isJsonObject, type JsonObject } from "./json.ts";

/**
 * The identity of a Kubernetes object. The API version is not part of it: `apps/v1` and `apps/v1beta1` name one object,
 * and pruning by version would delete the live one.
 */
export interface ObjectRef {
  /** API group; empty for the core group. */
  readonly group: string;
  readonly kind: string;
  /** Namespace; empty for cluster-scoped objects. */
  readonly namespace: string;
  readonly name: string;
}

/** One rendered or live Kubernetes object. */
export interface Manifest extends JsonObject {
  apiVersion: string;
  kind: string;
  metadata: JsonObject & { name: string };
}

/** An object ref as `<namespace>_<name>_<group>_<kind>`, the text form that cli-utils and Flux inventories use. */
export type ObjectRefText = string;

/** The text form of a ref. Names and namespaces cannot contain `_`, with one exception (RBAC names may), so only the name may hold one. */
export function formatObjectRef(ref: ObjectRef): ObjectRefText {
  return `${ref.namespace}_${ref.name}_${ref.group}_${ref.kind}`;
}

/** Inverse of {@link formatObjectRef}. Throws a RangeError on text that is not a ref. */
export function parseObjectRef(text: ObjectRefText): ObjectRef {
  const parts = text.split("_");
  const kind = parts.pop();
  const group = parts.pop();
  const namespace = parts.shift();
  if (!kind || group === undefined || namespace === undefined || parts.length === 0) {
    throw new RangeError(`not an object ref: ${text}`);
  }
  return { group, kind, namespace, name: parts.join("_") };
}

/** For people: `Deployment podinfo/web`, `ClusterRole reader`, `Widget.example.com lab/one`. */
export function describeObjectRef(ref: ObjectRef): string {
  const kind = ref.group === "" || ref.group.endsWith(".k8s.io") || !ref.group.includes(".") ? ref.kind : `${ref.kind}.${ref.group}`;
  return ref.namespace === "" ? `${kind} ${ref.name}` : `${kind} ${ref.namespace}/${ref.name}`;
}

/** Splits `apps/v1` into its group and version; the core group is empty. */
export function splitApiVersion(apiVersion: string): { group: string; version: string } {
  const slash = apiVersion.indexOf("/");
  return slash < 0 ? { group: "", version: apiVersion } : { group: apiVersion.slice(0, slash), version: apiVersion.slice(slash + 1) };
}

/** The ref of a manifest as it stands; a namespaced object without a namespace has an empty one. */
export function objectRefOf(manifest: Manifest): ObjectRef {
  const namespace = manifest.metadata["namespace"];
  return {
    group: splitApiVersion(manifest.apiVersion).group,
    kind: manifest.kind,
    namespace: typeof namespace === "string" ? namespace : "",
    name: manifest.metadata.name,
  };
}

/** True if the value has what every Kubernetes object must have: apiVersion, kind and metadata.name. */
export function isManifest(value: unknown): value is Manifest {
  if (!isJsonObject(value)) return false;
  const metadata = value["metadata"];
  return (
    typeof value["apiVersion"] === "string" &&
    value["apiVersion"] !== "" &&
    typeof value["kind"] === "string" &&
    value["kind"] !== "" &&
    isJsonObject(metadata) &&
    typeof metadata["name"] === "string" &&
    metadata["name"] !== ""
  );
}
