import { CodedError, type InputPosition } from "@muster/shared/errors";
import { isJsonObject, type JsonObject, type JsonValue } from "@muster/shared/model";
import type { YamlDocument } from "./document-reader.ts";

/** Muster's own documents (Cluster, Bundle, Fleet) may stand beside manifests; they are not deployed. */
const OWN_GROUP = "muster.dev/";

const listItems = new WeakMap<JsonObject, readonly JsonObject[]>();

/**
 * The Kubernetes objects of a document: itself, or the items of a List, which kubectl flattens too. Throws
 * OBJECT_INVALID for what is no map, and for integers that would change on their way. `at` has a line if the document
 * stands in a file of the repository.
 */
export function objectsOf(document: YamlDocument, at: InputPosition): readonly JsonObject[] {
  const { value } = document;
  if (!isJsonObject(value)) throw new CodedError("OBJECT_INVALID", `A Kubernetes object is expected, not ${nameOfType(value)}`, { at });
  if (document.inexact && value["kind"] !== "CustomResourceDefinition") {
    // In a CRD such integers are bounds of a schema, which the API server reads as floating point anyway.
    throw inexactError(value, document.inexact, at);
  }
  if (typeof value["apiVersion"] === "string" && value["apiVersion"].startsWith(OWN_GROUP)) return [];
  if (!isList(value)) return [value];
  let items = listItems.get(value);
  if (!items) {
    items = flatten(value, at);
    listItems.set(value, items);
  }
  return items;
}

/** The integer itself is not shown where it may be a Secret's. */
function inexactError(object: JsonObject, { text, line }: NonNullable<YamlDocument["inexact"]>, at: InputPosition): CodedError {
  const which = object["kind"] === "Secret" || isList(object) ? "An integer" : `The integer ${text}`;
  return new CodedError("OBJECT_INVALID", `${which} is too large to be kept exactly; quote it if it is meant as text`, {
    at: at.line === undefined ? at : { ...at, line },
  });
}

/** `kind: List`, or a typed list (`ConfigMapList`) as `kubectl get -o yaml` and some charts write it. */
function isList(value: JsonObject): boolean {
  const { kind, items, metadata } = value;
  if (kind === "List") return true;
  const isNamed = isJsonObject(metadata) && metadata["name"] !== undefined;
  return typeof kind === "string" && kind.endsWith("List") && Array.isArray(items) && !isNamed;
}

function flatten(list: JsonObject, at: InputPosition): readonly JsonObject[] {
  const { apiVersion, kind, items } = list;
  if (items === null || items === undefined) return [];
  if (!Array.isArray(items)) throw new CodedError("OBJECT_INVALID", "The items of a List must be a list", { at });
  const typed =
    kind !== "List" && typeof kind === "string" && typeof apiVersion === "string"
      ? { apiVersion, kind: kind.slice(0, -"List".length) }
      : undefined;
  return items.flatMap((item) => {
    if (!isJsonObject(item)) throw new CodedError("OBJECT_INVALID", `An item of a List is ${nameOfType(item)}, not an object`, { at });
    if (isList(item)) return flatten(item, at);
    return typed === undefined ? [item] : [{ ...typed, ...item }];
  });
}

function nameOfType(value: JsonValue): string {
  if (Array.isArray(value)) return "a list";
  // Not the value: of a file that holds nothing else, nobody knows what it is.
  return value === null ? "null" : `a ${typeof value}`;
}
