import { CodedError, type InputPosition } from "@muster/shared/errors";
import type { Digest } from "@muster/shared/model";
import { digestBytes } from "@muster/shared/wire";
import type { CommitSnapshot, SnapshotFile } from "../../source/snapshot.ts";
import { isPlainPath, joinPath } from "./bundle-path.ts";
import { filesBelow } from "./snapshot-index.ts";

/** Entries that one bundle may have below its directory. */
const MAX_FILES = 20_000;

/** Bytes of one bundle that are read into memory or written for a tool. */
const MAX_INPUT_BYTES = 256 * 1024 * 1024;

/** Documents of ours: no part of what a bundle deploys. */
const OWN_DOCUMENTS = new Set(["bundle.yaml", "muster.yaml"]);

const LFS_POINTER = Buffer.from("version https://git-lfs.github.com/spec/v1");

/** The regular files of a bundle's directory, by path relative to it. Links and submodules are found when it is made. */
export class BundleFiles {
  readonly directory: string;
  readonly files: ReadonlyMap<string, SnapshotFile>;
  /** Every directory that holds a file, with its parents; "" is the bundle itself. */
  readonly directories: ReadonlySet<string>;
  readonly #snapshot: CommitSnapshot;
  readonly #digests = new Map<string, Digest>();

  constructor(snapshot: CommitSnapshot, directory: string) {
    this.#snapshot = snapshot;
    this.directory = directory;
    const entries = filesBelow(snapshot, directory);
    if (entries.length > MAX_FILES) {
      throw new CodedError("RENDER_LIMIT", `The bundle has ${entries.length} files; ${MAX_FILES} are allowed`, { at: this.position("") });
    }
    const files = new Map<string, SnapshotFile>();
    const directories = new Set<string>([""]);
    for (const file of entries) {
      if (file.type !== "file" || !isPlainPath(file.path)) throw leadsOut(file, snapshot.source);
      const path = directory === "" ? file.path : file.path.slice(directory.length + 1);
      if (OWN_DOCUMENTS.has(path)) continue;
      files.set(path, file);
      for (let slash = path.lastIndexOf("/"); slash > 0; slash = path.lastIndexOf("/", slash - 1)) {
        const parent = path.slice(0, slash);
        if (directories.has(parent)) break;
        directories.add(parent);
      }
    }
    this.files = files;
    this.directories = directories;
  }

  /** Where a file of the bundle stands, for errors. */
  position(path: string): InputPosition {
    return { file: joinPath(this.directory, path) || ".", source: this.#snapshot.source };
  }

  /** Throws BUNDLE_FILE_MISSING, also for a file whose content is not in Git but in LFS. */
  async read(path: string, at?: InputPosition): Promise<Uint8Array> {
    const file = this.files.get(path);
    if (!file)
      throw new CodedError("BUNDLE_FILE_MISSING", `There is no file ${JSON.stringify(path)} in the bundle`, {
        at: at ?? this.position(path),
      });
    const bytes = await this.#snapshot.read(file.path);
    if (bytes.length < 1024 && LFS_POINTER.equals(bytes.subarray(0, LFS_POINTER.length))) {
      throw new CodedError("BUNDLE_FILE_MISSING", "The file is a Git LFS pointer; Muster does not fetch LFS objects", {
        at: this.position(path),
      });
    }
    return bytes;
  }

  /** Files at or below a directory of the bundle, as paths relative to the bundle. */
  below(directory: string): string[] {
    if (directory === "") return [...this.files.keys()];
    const prefix = `${directory}/`;
    return [...this.files.keys()].filter((path) => path.startsWith(prefix));
  }

  /** Digest of path, content and mode of everything at or below a directory; made once. */
  digestBelow(directory: string): Digest {
    let digest = this.#digests.get(directory);
    if (!digest) {
      digest = this.digestOf(this.below(directory));
      this.#digests.set(directory, digest);
    }
    return digest;
  }

  /** Digest of path, content and mode of these files. */
  digestOf(paths: readonly string[]): Digest {
    const lines = paths.map((path) => {
      const file = this.files.get(path);
      return `${path}\0${file?.oid ?? ""}\0${file?.executable ? "x" : "-"}\n`;
    });
    return digestBytes(lines.join(""));
  }

  /** Reads several files, counting their bytes. Throws RENDER_LIMIT if they are too many together. */
  async readAll(paths: readonly string[]): Promise<Map<string, Uint8Array>> {
    const contents = new Map<string, Uint8Array>();
    let bytes = 0;
    for (const path of paths) {
      const content = await this.read(path);
      bytes += content.length;
      if (bytes > MAX_INPUT_BYTES) {
        throw new CodedError("RENDER_LIMIT", `The bundle's files have more than ${MAX_INPUT_BYTES} bytes together`, {
          at: this.position(""),
        });
      }
      contents.set(path, content);
    }
    return contents;
  }
}

function leadsOut(file: SnapshotFile, source: string): CodedError {
  const what =
    file.type === "file" ? "A path with parts that are no plain names" : file.type === "symlink" ? "A symbolic link" : "A submodule";
  return new CodedError("BUNDLE_PATH_ESCAPE", `${what} stands in the bundle; it is not followed`, { at: { file: file.path, source } });
}

const known = new WeakMap<CommitSnapshot, Map<string, BundleFiles>>();

/** The files of a bundle's directory; made once per snapshot. Throws BUNDLE_PATH_ESCAPE. */
export function bundleFilesOf(snapshot: CommitSnapshot, directory: string): BundleFiles {
  let byDirectory = known.get(snapshot);
  if (!byDirectory) {
    byDirectory = new Map();
    known.set(snapshot, byDirectory);
  }
  let files = byDirectory.get(directory);
  if (!files) {
    files = new BundleFiles(snapshot, directory);
    byDirectory.set(directory, files);
  }
  return files;
}
