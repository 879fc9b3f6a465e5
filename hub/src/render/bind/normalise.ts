import { CodedError, type InputPosition } from "@muster/shared/errors";
import { BUNDLE_LABEL, isJsonObject, type JsonObject, type JsonValue, type Manifest, setOwn } from "@muster/shared/model";
import type { Scope } from "./scopes.ts";

/** Fields of metadata that only the API server writes; harmless in a manifest, and dropped. */
const SERVER_FIELDS = [
  "managedFields",
  "creationTimestamp",
  "deletionTimestamp",
  "deletionGracePeriodSeconds",
  "generation",
  "selfLink",
  "uid",
  "resourceVersion",
  "generateName",
];

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/**
 * The object as it is applied: namespaced or not as its scope says, labelled with its bundle, without what the server
 * writes, Secrets in the form in which the API stores them. Shares unchanged parts with its argument.
 */
export function normalise(manifest: Manifest, options: { bundle: string; namespace: string; scope: Scope; at: InputPosition }): Manifest {
  const result: JsonObject = {};
  for (const key of Object.keys(manifest)) if (key !== "status") setOwn(result, key, manifest[key] as JsonValue);
  result["metadata"] = metadataOf(manifest, options);
  const template = isJsonObject(result["spec"]) ? withoutTemplateTimestamp(result["spec"]) : undefined;
  if (template) result["spec"] = template;
  if (manifest.kind === "Secret" && manifest.apiVersion === "v1") withData(result, options.at);
  return result as Manifest;
}

function metadataOf(manifest: Manifest, options: { bundle: string; namespace: string; scope: Scope }): JsonObject {
  const metadata: JsonObject = { ...manifest.metadata };
  for (const field of SERVER_FIELDS) delete metadata[field];
  if (options.scope === "cluster") delete metadata["namespace"];
  else metadata["namespace"] = namespaceOf(manifest, options.namespace);
  const labels = metadata["labels"];
  metadata["labels"] = { ...(isJsonObject(labels) ? labels : {}), [BUNDLE_LABEL]: options.bundle };
  return metadata;
}

/** The namespace that a namespaced object says, or the default. */
export function namespaceOf(manifest: Manifest, fallback: string): string {
  const { namespace } = manifest.metadata;
  return typeof namespace === "string" && namespace !== "" ? namespace : fallback;
}

/** Generators write `creationTimestamp: null` into pod templates; applied, it is a difference that never goes away. */
function withoutTemplateTimestamp(spec: JsonObject): JsonObject | undefined {
  const { template, jobTemplate } = spec;
  if (isJsonObject(jobTemplate) && isJsonObject(jobTemplate["spec"])) {
    const inner = withoutTemplateTimestamp(jobTemplate["spec"]);
    return inner && { ...spec, jobTemplate: { ...jobTemplate, spec: inner } };
  }
  if (!isJsonObject(template) || !isJsonObject(template["metadata"]) || template["metadata"]["creationTimestamp"] !== null)
    return undefined;
  const { creationTimestamp: _, ...metadata } = template["metadata"];
  return { ...spec, template: { ...template, metadata } };
}

/** stringData becomes data as the API server does it: its keys win. Kept apart, a key removed from it would stay (kubernetes#108008). */
function withData(secret: JsonObject, at: InputPosition): void {
  const { data, stringData } = secret;
  for (const [field, map] of Object.entries({ data, stringData })) {
    const why = problemIn(field, map);
    if (why) throw new CodedError("OBJECT_INVALID", `Secret ${String((secret["metadata"] as JsonObject)["name"])} ${why}`, { at });
  }
  delete secret["stringData"];
  if (!isJsonObject(stringData)) return;
  const merged: JsonObject = isJsonObject(data) ? { ...data } : {};
  for (const [key, value] of Object.entries(stringData)) {
    setOwn(merged, key, Buffer.from(typeof value === "string" ? value : "").toString("base64"));
  }
  secret["data"] = merged;
}

/** What is wrong with the data or stringData of a Secret. The value itself is not shown: it is the secret. */
function problemIn(field: string, map: JsonValue | undefined): string | undefined {
  if (map === undefined || map === null) return undefined;
  if (!isJsonObject(map)) return `has a ${field} that is no map`;
  for (const [key, value] of Object.entries(map)) {
    if (value === null) continue;
    if (typeof value !== "string") return `has a ${typeof value} in ${field}[${JSON.stringify(key)}]; quote it`;
    if (field === "data" && !BASE64.test(value.replace(/[\r\n]/g, ""))) return `has no base64 in data[${JSON.stringify(key)}]`;
  }
  return undefined;
}
