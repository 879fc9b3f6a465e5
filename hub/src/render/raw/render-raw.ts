import type { BundleFiles } from "../bundle/bundle-files.ts";
import { directoryOf } from "../bundle/bundle-path.ts";
import { ByteLru } from "../cache/byte-lru.ts";
import type { DocumentReader } from "../documents/document-reader.ts";
import { objectsOf } from "../documents/objects-of.ts";
import type { RenderedObject } from "../rendered-objects.ts";

const MANIFEST = /\.(?:ya?ml|json)$/;

/** The manifests of a plain bundle: all YAML and JSON files below it, without hidden ones and without nested bundles. */
export function rawManifestPaths(files: BundleFiles): string[] {
  const nested = [...files.files.keys()].filter((path) => path.endsWith("/bundle.yaml")).map((path) => `${directoryOf(path)}/`);
  return [...files.files.keys()].filter(
    (path) =>
      MANIFEST.test(path) && !path.split("/").some((part) => part.startsWith(".")) && !nested.some((prefix) => path.startsWith(prefix)),
  );
}

/** Reads plain manifests. Files are remembered by blob id and path: of 1,000 files with one changed, one is read. */
export class RawRenderer {
  readonly #reader: DocumentReader;
  readonly #files: ByteLru<readonly RenderedObject[]>;

  /** `cacheBytes` bounds what is remembered of files; default 128 MiB. */
  constructor(reader: DocumentReader, cacheBytes = 128 * 1024 * 1024) {
    this.#reader = reader;
    this.#files = new ByteLru(cacheBytes);
  }

  /** Throws YAML_SYNTAX, YAML_LIMIT, OBJECT_INVALID, BUNDLE_FILE_MISSING. */
  async render(files: BundleFiles, paths: readonly string[], signal: AbortSignal): Promise<readonly RenderedObject[]> {
    const objects: RenderedObject[] = [];
    for (const path of paths) {
      signal.throwIfAborted();
      objects.push(...(this.#known(files, path) ?? (await this.#read(files, path))));
    }
    return objects;
  }

  #known(files: BundleFiles, path: string): readonly RenderedObject[] | undefined {
    return this.#files.get(keyOf(files, path));
  }

  async #read(files: BundleFiles, path: string): Promise<readonly RenderedObject[]> {
    const at = files.position(path);
    const content = await files.read(path);
    const documents = await this.#reader.read(content, at);
    const objects = documents.flatMap((document) => {
      const here = { ...at, line: document.line };
      const found = objectsOf(document, here);
      return found.map((object) => ({ object, origin: at.file, at: here, bytes: document.bytes / found.length }));
    });
    this.#files.set(keyOf(files, path), objects, 300 + content.length + objects.length * 200);
    return objects;
  }
}

/** The path is part of the key because it stands in the origin; the source because it stands in positions. */
function keyOf(files: BundleFiles, path: string): string {
  const { file, source } = files.position(path);
  return `${source}\0${file}\0${files.files.get(path)?.oid}`;
}
