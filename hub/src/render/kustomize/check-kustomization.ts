import { CodedError } from "@muster/shared/errors";
import { isJsonObject, type JsonObject, type JsonValue } from "@muster/shared/model";
import type { BundleFiles } from "../bundle/bundle-files.ts";
import { joinPath, resolveInBundle } from "../bundle/bundle-path.ts";
import type { DocumentReader } from "../yaml/document-reader.ts";

const FILE_NAMES = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/** Fields that list files, directories or remote things. */
const RESOURCE_FIELDS = ["resources", "components", "bases"];
/** Fields that list files, directories or inline YAML. */
const PLUGIN_FIELDS = ["generators", "transformers", "validators"];
const FILE_FIELDS = ["crds", "configurations", "patchesStrategicMerge"];
/** Fields that list maps with a `path`. */
const PATH_FIELDS = ["patches", "patchesJson6902", "replacements"];
const GENERATOR_FIELDS = ["configMapGenerator", "secretGenerator"];
/** Keys below which a plugin's configuration may name files. */
const PLUGIN_FILE_KEYS = new Set(["files", "envs", "env", "path", "paths", "repo", "url"]);

const REMOTE =
  /^(?:[a-z][a-z0-9+.-]*::?\/?\/?[^/]*\/|[a-z][a-z0-9+.-]*:\/\/|[\w.-]+@[\w.-]+:|(?:www\.)?(?:github|gitlab|bitbucket)\.)|\?(?:ref|version|timeout|submodules)=|\.git(?:\/|$)/i;

/** Path of the kustomization file in a directory of the bundle, or undefined. */
export function kustomizationFile(files: BundleFiles, directory: string): string | undefined {
  return FILE_NAMES.map((name) => joinPath(directory, name)).find((path) => files.files.has(path));
}

/**
 * Follows a kustomization and everything that it builds on, and refuses what leaves the bundle (BUNDLE_PATH_ESCAPE), does
 * not exist (BUNDLE_FILE_MISSING) or stands on the network (RENDER_REMOTE). It comes before the run because kustomize takes
 * every entry that is no local file for something to fetch.
 */
export async function checkKustomization(files: BundleFiles, directory: string, reader: DocumentReader): Promise<void> {
  const seen = new Set<string>();
  const waiting = [directory];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (seen.has(next)) continue;
    seen.add(next);
    waiting.push(...(await new KustomizationCheck(files, next, reader).run()));
  }
}

class KustomizationCheck {
  readonly #files: BundleFiles;
  readonly #directory: string;
  readonly #reader: DocumentReader;
  readonly #path: string;
  /** Directories of the bundle that are kustomizations this one builds on. */
  readonly #directories: string[] = [];

  constructor(files: BundleFiles, directory: string, reader: DocumentReader) {
    this.#files = files;
    this.#directory = directory;
    this.#reader = reader;
    const path = kustomizationFile(files, directory);
    if (path === undefined) {
      throw new CodedError("BUNDLE_FILE_MISSING", "There is no kustomization.yaml in this directory", { at: files.position(directory) });
    }
    this.#path = path;
  }

  async run(): Promise<readonly string[]> {
    for (const kustomization of await this.#read(this.#path)) {
      const listed = (fields: readonly string[]) => fields.flatMap((field) => texts(kustomization[field]));
      const mapped = (fields: readonly string[]) => fields.flatMap((field) => maps(kustomization[field]));
      for (const entry of listed(RESOURCE_FIELDS)) await this.#resource(entry);
      for (const entry of listed(PLUGIN_FIELDS)) await this.#plugin(entry);
      for (const entry of listed(FILE_FIELDS)) this.#entry(entry, false);
      for (const item of mapped(PATH_FIELDS)) for (const entry of texts(item["path"])) this.#entry(entry, false);
      for (const item of mapped(GENERATOR_FIELDS)) this.#generator(item);
      const { openapi } = kustomization;
      if (isJsonObject(openapi)) for (const entry of texts(openapi["path"])) this.#entry(entry, false);
    }
    return this.#directories;
  }

  async #read(path: string): Promise<JsonObject[]> {
    const documents = await this.#reader.read(await this.#files.read(path), this.#files.position(path));
    return documents.map((document) => document.value).filter(isJsonObject);
  }

  /** One entry; gives its path in the bundle if it is a file. */
  #entry(entry: string, mayBeDirectory: boolean): string | undefined {
    // Patches and plugins may stand in the kustomization itself.
    if (entry.includes("\n") || /^\s*\{/.test(entry)) return undefined;
    const at = this.#files.position(this.#path);
    if (/^[a-z][a-z0-9+.-]*:\/\//i.test(entry)) throw new CodedError("RENDER_REMOTE", `${JSON.stringify(entry)} is on the network`, { at });
    const path = resolveOrRemote(entry, () => resolveInBundle(entry, this.#directory, at), at);
    if (this.#files.files.has(path)) return path;
    if (mayBeDirectory && this.#files.directories.has(path)) {
      this.#directories.push(path);
      return undefined;
    }
    if (REMOTE.test(entry)) throw new CodedError("RENDER_REMOTE", `${JSON.stringify(entry)} is on the network`, { at });
    throw new CodedError("BUNDLE_FILE_MISSING", `There is no ${JSON.stringify(entry)} in the bundle`, { at });
  }

  /** An alias bomb would cost kustomize seconds and all the memory it may have; what it finds wrong otherwise, it says itself. */
  async #resource(entry: string): Promise<void> {
    const path = this.#entry(entry, true);
    if (path === undefined) return;
    await this.#read(path).catch((error: unknown) => {
      if (!(error instanceof CodedError) || error.code !== "YAML_SYNTAX") throw error;
    });
  }

  #generator(item: JsonObject): void {
    for (const entry of [...texts(item["envs"]), ...texts(item["env"])]) this.#entry(entry, false);
    // `key=path`, or a path whose name is the key.
    for (const entry of texts(item["files"])) this.#entry(entry.slice(entry.indexOf("=") + 1), false);
  }

  async #plugin(entry: string): Promise<void> {
    const path = this.#entry(entry, true);
    if (path === undefined) return;
    for (const configuration of await this.#read(path)) this.#pluginValue(configuration, "");
  }

  #pluginValue(value: JsonValue, key: string): void {
    if (typeof value === "string") {
      const target = value.slice(value.indexOf("=") + 1);
      if (PLUGIN_FILE_KEYS.has(key) && /^[a-z][a-z0-9+.-]*:\/\//i.test(target)) {
        throw new CodedError("RENDER_REMOTE", `${JSON.stringify(target)} is on the network`, { at: this.#files.position(this.#path) });
      }
    } else if (Array.isArray(value)) {
      for (const item of value) this.#pluginValue(item, key);
    } else if (isJsonObject(value)) {
      for (const [name, item] of Object.entries(value)) this.#pluginValue(item, name);
    }
  }
}

/** A path that leaves the bundle may be no path at all: `git@host:repo//../x` is on the network. */
function resolveOrRemote(entry: string, resolve: () => string, at: { readonly file: string }): string {
  try {
    return resolve();
  } catch (error) {
    if (REMOTE.test(entry) && !entry.startsWith(".") && !entry.startsWith("/"))
      throw new CodedError("RENDER_REMOTE", `${JSON.stringify(entry)} is on the network`, { at });
    throw error;
  }
}

function texts(value: JsonValue | undefined): string[] {
  if (typeof value === "string") return [value];
  return Array.isArray(value) ? value.filter((item) => typeof item === "string") : [];
}

function maps(value: JsonValue | undefined): JsonObject[] {
  return Array.isArray(value) ? value.filter(isJsonObject) : [];
}
