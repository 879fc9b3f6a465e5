import { CodedError, type InputPosition } from "@muster/shared/errors";
import { isJsonObject, type JsonObject, type JsonValue } from "@muster/shared/model";
import { resolveInBundle } from "../bundle/bundle-path.ts";
import type { DocumentReader } from "../documents/document-reader.ts";
import { foldKey } from "./kustomization-fields.ts";
import { isUrl, remoteError } from "./remote-entry.ts";

/** Keys below which the configuration of a built-in plugin names files, folded. */
const FILE_KEYS = new Set([
  ...["files", "envs", "env", "path", "paths", "targetfilepath"],
  ...["valuesfile", "additionalvaluesfiles", "charthome", "confighome", "repo", "url"],
]);
/** Lists of paths inside of objects. */
const FIELD_PATHS = "fieldspecs";
const PARENT_STEP = /(?:^|\/)\.\.(?:\/|$)/;

/**
 * The resources in an entry that kustomize takes for configuration or patch instead of a path, because it parses as such;
 * undefined for all others. One that parses for us and not for kustomize would be a path after all: so it must have all
 * that kustomize asks for. Throws BUNDLE_PATH_ESCAPE for one that would lead out then, YAML_LIMIT.
 */
export async function readInline(entry: string, at: InputPosition, reader: DocumentReader): Promise<readonly JsonObject[] | undefined> {
  // kind and name make two lines, or a map in braces; without this, `https://host/x: y` would be a map.
  if (!entry.includes("\n") && !/^\s*\{/.test(entry)) return undefined;
  const documents = await reader.read(Buffer.from(entry), at).catch((error: unknown) => {
    if (error instanceof CodedError && error.code === "YAML_SYNTAX") return [];
    throw error;
  });
  const resources = documents.map(({ value }) => value).filter(isJsonObject);
  if (resources.length === 0 || resources.length < documents.length || !resources.every(isResource)) return undefined;
  if (PARENT_STEP.test(entry)) throw new CodedError("BUNDLE_PATH_ESCAPE", "An inline configuration has a path with .. in it", { at });
  return resources;
}

function isResource({ apiVersion, kind, metadata }: JsonObject): boolean {
  const isText = (value: JsonValue | undefined) => typeof value === "string" && value !== "";
  return isText(apiVersion) && isText(kind) && isJsonObject(metadata) && isText(metadata["name"]);
}

/** Refuses a plugin's configuration that names something on the network (RENDER_REMOTE) or out of the bundle (BUNDLE_PATH_ESCAPE). */
export function checkPluginConfiguration(configuration: JsonValue, directory: string, at: InputPosition): void {
  for (const { key, text } of namedFiles(configuration, "")) {
    // `key=path` where files are listed; a URL may have an equals sign of its own.
    const path = key === "files" ? text.slice(text.indexOf("=") + 1) : text;
    if (isUrl(text) || isUrl(path)) throw remoteError(text, at);
    resolveInBundle(path, directory, at);
  }
}

/** Texts below the keys that name files, in whatever spelling. */
function namedFiles(value: JsonValue, key: string): { readonly key: string; readonly text: string }[] {
  if (typeof value === "string") return FILE_KEYS.has(key) ? [{ key, text: value }] : [];
  if (Array.isArray(value)) return value.flatMap((item) => namedFiles(item, key));
  if (!isJsonObject(value)) return [];
  return Object.entries(value).flatMap(([name, item]) => (foldKey(name) === FIELD_PATHS ? [] : namedFiles(item, foldKey(name))));
}
