import { CodedError, type InputPosition } from "@muster/shared/errors";
import { isJsonObject, isManifest, type JsonObject, type JsonValue, type Manifest } from "@muster/shared/model";

const API_VERSION = /^(?:[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?\/)?[a-z0-9](?:[-a-z0-9]*[a-z0-9])?$/;
const KIND = /^[A-Za-z][A-Za-z0-9]{0,62}$/;
const NAMESPACE = /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/;

/** Names as the API server takes them for any kind (path segment names); RBAC has `:` and upper case. */
const NAME = /^(?!\.{1,2}$)[^/%\s]{1,253}$/;

/** Reads a rendered object as a manifest. Throws OBJECT_INVALID with the field that is wrong. */
export function asManifest(object: JsonObject, at: InputPosition): Manifest {
  const refuse = (why: string) => new CodedError("OBJECT_INVALID", `${describeLoosely(object)} ${why}`, { at });
  const { apiVersion, kind, metadata } = object;
  if (typeof apiVersion !== "string" || !API_VERSION.test(apiVersion)) throw refuse(`has no valid apiVersion (${show(apiVersion)})`);
  if (typeof kind !== "string" || !KIND.test(kind)) throw refuse(`has no valid kind (${show(kind)})`);
  if (!isJsonObject(metadata)) throw refuse("has no metadata");
  const { name, namespace, generateName, uid, resourceVersion } = metadata;
  if (generateName !== undefined && (name === undefined || name === ""))
    throw refuse("has generateName instead of a name; what is applied again and again needs a fixed name");
  if (typeof name !== "string" || !NAME.test(name)) throw refuse(`has no valid metadata.name (${show(name)})`);
  if (namespace !== undefined && namespace !== null && namespace !== "" && (typeof namespace !== "string" || !NAMESPACE.test(namespace))) {
    throw refuse(`has no valid metadata.namespace (${show(namespace)})`);
  }
  for (const [field, value] of Object.entries({ generateName, uid, resourceVersion })) {
    if (value !== undefined && value !== null && value !== "") throw refuse(`has metadata.${field}, which only the API server sets`);
  }
  for (const field of ["labels", "annotations"]) checkTexts(metadata[field], `metadata.${field}`, refuse);
  if (!isManifest(object)) throw refuse("is not a Kubernetes object");
  return object;
}

function checkTexts(map: JsonValue | undefined, path: string, refuse: (why: string) => CodedError): void {
  if (map === undefined || map === null) return;
  if (!isJsonObject(map)) throw refuse(`has a ${path} that is no map`);
  for (const [key, value] of Object.entries(map)) {
    if (typeof value !== "string" && value !== null) throw refuse(`has a ${typeof value} in ${path}[${JSON.stringify(key)}]; quote it`);
  }
}

/** What can be said of an object that may lack a kind or a name. */
export function describeLoosely(object: JsonObject): string {
  const { kind, metadata } = object;
  const name = isJsonObject(metadata) ? (metadata["name"] ?? metadata["generateName"]) : undefined;
  return [typeof kind === "string" && kind !== "" ? kind : "The object", ...(typeof name === "string" && name !== "" ? [name] : [])].join(
    " ",
  );
}

function show(value: JsonValue | undefined): string {
  return value === undefined ? "missing" : JSON.stringify(value).slice(0, 80);
}
