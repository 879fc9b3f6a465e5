import { CodedError, type InputPosition } from "@muster/shared/errors";
import { isJsonObject, type JsonObject, type JsonValue } from "@muster/shared/model";
import type { BundleFiles } from "../bundle/bundle-files.ts";
import { joinPath, resolveInBundle } from "../bundle/bundle-path.ts";
import type { DocumentReader } from "../documents/document-reader.ts";
import {
  FILE_FIELDS,
  GENERATOR_FIELDS,
  misspeltKey,
  PATH_FIELDS,
  PLUGIN_DIRECTORY_FIELDS,
  PLUGIN_FIELDS,
  RESOURCE_FIELDS,
  unknownField,
} from "./kustomization-fields.ts";
import { checkPluginConfiguration, readInline } from "./plugin-configuration.ts";
import { isRepository, isUrl, remoteError } from "./remote-entry.ts";

const FILE_NAMES = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/** Path of the kustomization file in a directory of the bundle, or undefined. */
export function kustomizationFile(files: BundleFiles, directory: string): string | undefined {
  return FILE_NAMES.map((name) => joinPath(directory, name)).find((path) => files.files.has(path));
}

/** A directory that a kustomization builds on. */
interface Directory {
  readonly path: string;
  /** What it builds is configuration of plugins. */
  readonly ofPlugins: boolean;
}

/**
 * Follows a kustomization and everything that it builds on, and refuses what leaves the bundle (BUNDLE_PATH_ESCAPE), does
 * not exist (BUNDLE_FILE_MISSING), stands on the network (RENDER_REMOTE), or is written so that it cannot be told
 * (RENDER_KUSTOMIZE). It comes before the run because kustomize takes every entry that is no local file for something to
 * fetch.
 */
export async function checkKustomization(files: BundleFiles, directory: string, reader: DocumentReader): Promise<void> {
  const seen = new Set<string>();
  const waiting: Directory[] = [{ path: directory, ofPlugins: false }];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const key = `${next.ofPlugins} ${next.path}`;
    if (seen.has(key)) continue;
    seen.add(key);
    waiting.push(...(await new KustomizationCheck(files, next, reader).run()));
  }
}

class KustomizationCheck {
  readonly #files: BundleFiles;
  readonly #directory: Directory;
  readonly #reader: DocumentReader;
  readonly #path: string;
  readonly #at: InputPosition;
  /** Directories of the bundle that are kustomizations this one builds on. */
  readonly #directories: Directory[] = [];

  constructor(files: BundleFiles, directory: Directory, reader: DocumentReader) {
    this.#files = files;
    this.#directory = directory;
    this.#reader = reader;
    const path = kustomizationFile(files, directory.path);
    if (path === undefined) {
      const at = files.position(directory.path);
      throw new CodedError("BUNDLE_FILE_MISSING", "There is no kustomization.yaml in this directory", { at });
    }
    this.#path = path;
    this.#at = files.position(path);
  }

  async run(): Promise<readonly Directory[]> {
    for (const kustomization of await this.#read(this.#path)) {
      this.#fields(kustomization);
      await this.#entries(kustomization);
      for (const path of this.#listedFiles(kustomization)) this.#entry(path);
    }
    return this.#directories;
  }

  /** Entries that are directories, or text that has to be read. */
  async #entries(kustomization: JsonObject): Promise<void> {
    const listed = (fields: readonly string[]) => fields.flatMap((field) => texts(kustomization[field]));
    for (const entry of listed(RESOURCE_FIELDS)) await (this.#directory.ofPlugins ? this.#plugin(entry) : this.#resource(entry));
    for (const entry of listed(PLUGIN_FIELDS)) await this.#inlineOrPlugin(entry);
    for (const entry of listed(["patchesStrategicMerge"])) await this.#inlineOrFile(entry);
  }

  /** Entries that can be nothing but files. */
  #listedFiles(kustomization: JsonObject): string[] {
    const mapped = (fields: readonly string[]) => fields.flatMap((field) => this.#maps(kustomization[field]));
    const { openapi } = kustomization;
    return [
      ...FILE_FIELDS.flatMap((field) => texts(kustomization[field])),
      ...mapped(PATH_FIELDS).flatMap((item) => texts(item["path"])),
      // Of `files`: `key=path`, or a path whose name is the key.
      ...mapped(GENERATOR_FIELDS).flatMap((item) => texts(item["files"]).map((entry) => entry.slice(entry.indexOf("=") + 1))),
      ...mapped(GENERATOR_FIELDS).flatMap((item) => [...texts(item["envs"]), ...texts(item["env"])]),
      ...(isJsonObject(openapi) ? texts(openapi["path"]) : []),
    ];
  }

  /** kustomize does not care for the case of a field's name; we look at the names as they are documented. */
  #fields(kustomization: JsonObject): void {
    const unknown = unknownField(kustomization);
    if (unknown !== undefined) throw this.#refuse(`unknown field ${JSON.stringify(unknown)}; names are written as in the documentation`);
    const other = Object.keys(kustomization).find((key) => !PLUGIN_DIRECTORY_FIELDS.has(key));
    if (this.#directory.ofPlugins && other !== undefined)
      throw this.#refuse(`a directory of plugin configurations may list resources only, not change them (${other})`);
  }

  #maps(value: JsonValue | undefined): JsonObject[] {
    const maps = Array.isArray(value) ? value.filter(isJsonObject) : [];
    const misspelt = maps.map(misspeltKey).find((key) => key !== undefined);
    if (misspelt !== undefined) throw this.#refuse(`unknown field ${JSON.stringify(misspelt)}; names are written as in the documentation`);
    return maps;
  }

  #refuse(why: string): CodedError {
    return new CodedError("RENDER_KUSTOMIZE", `The kustomization is refused: ${why}`, { at: this.#at });
  }

  async #read(path: string): Promise<JsonObject[]> {
    const documents = await this.#reader.read(await this.#files.read(path), this.#files.position(path));
    return documents.map((document) => document.value).filter(isJsonObject);
  }

  /** One entry; gives its path in the bundle if it is a file. */
  #entry(entry: string, directories?: { readonly ofPlugins: boolean }): string | undefined {
    if (isUrl(entry)) throw remoteError(entry, this.#at);
    const path = resolveOrRemote(entry, () => resolveInBundle(entry, this.#directory.path, this.#at), this.#at);
    if (this.#files.files.has(path)) return path;
    if (directories && this.#files.directories.has(path)) {
      this.#directories.push({ path, ...directories });
      return undefined;
    }
    if (isRepository(entry)) throw remoteError(entry, this.#at);
    throw new CodedError("BUNDLE_FILE_MISSING", `There is no ${JSON.stringify(entry)} in the bundle`, { at: this.#at });
  }

  /** An alias bomb would cost kustomize seconds and all the memory it may have; what it finds wrong otherwise, it says itself. */
  async #resource(entry: string): Promise<void> {
    const path = this.#entry(entry, { ofPlugins: false });
    if (path === undefined) return;
    await this.#read(path).catch((error: unknown) => {
      if (!(error instanceof CodedError) || error.code !== "YAML_SYNTAX") throw error;
    });
  }

  async #inlineOrFile(entry: string): Promise<void> {
    if (!(await readInline(entry, this.#at, this.#reader))) this.#entry(entry);
  }

  async #inlineOrPlugin(entry: string): Promise<void> {
    const inline = await readInline(entry, this.#at, this.#reader);
    if (!inline) return await this.#plugin(entry);
    for (const configuration of inline) checkPluginConfiguration(configuration, this.#directory.path, this.#at);
  }

  async #plugin(entry: string): Promise<void> {
    const path = this.#entry(entry, { ofPlugins: true });
    if (path === undefined) return;
    for (const configuration of await this.#read(path)) checkPluginConfiguration(configuration, this.#directory.path, this.#at);
  }
}

/** A path that leaves the bundle may be no path at all: `git@host:repo//../x` is on the network. */
function resolveOrRemote(entry: string, resolve: () => string, at: InputPosition): string {
  try {
    return resolve();
  } catch (error) {
    if (isRepository(entry) && !entry.startsWith(".") && !entry.startsWith("/")) throw remoteError(entry, at);
    throw error;
  }
}

function texts(value: JsonValue | undefined): string[] {
  if (typeof value === "string") return [value];
  return Array.isArray(value) ? value.filter((item) => typeof item === "string") : [];
}
