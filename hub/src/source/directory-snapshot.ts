import { lstatSync, readdirSync, readFileSync, readlinkSync, realpathSync } from "node:fs";
import { basename, join } from "node:path";
import { CodedError } from "@muster/shared/errors";
import { blobId } from "./blob-id.ts";
import type { CommitSnapshot, SnapshotFile } from "./snapshot.ts";

/** Never part of what Git holds, or of what a bundle is made of. */
const IGNORED = new Set([".git", "node_modules"]);

/** Bytes that a snapshot may hold; all of it is in memory, so that it stays what it was. */
const MAX_BYTES = 512 * 1024 * 1024;

const HINT = "Name the directory that holds muster.yaml.";

/** Git has none for work that is not committed. */
const NO_OBJECT_ID = "0".repeat(40);

/**
 * What a working directory holds, as if it were committed just now: for work on a checkout without a hub. Symlinks and
 * submodules are reported and never followed; `.git` and `node_modules` are left out; `.gitignore` is not looked at.
 * Throws SOURCE_PATH_MISSING, SOURCE_EMPTY, or RENDER_LIMIT above 512 MiB.
 */
export function readDirectorySnapshot(directory: string, source = basename(realpathOf(directory))): CommitSnapshot {
  const files = new Map<string, SnapshotFile>();
  const contents = new Map<string, Uint8Array>();
  let total = 0;

  function addBlob(path: string, type: "file" | "symlink", executable: boolean, bytes: Uint8Array): void {
    total += bytes.length;
    if (total > MAX_BYTES)
      throw new CodedError("RENDER_LIMIT", `The directory ${directory} holds more than ${MAX_BYTES / 1024 / 1024} MiB`, {
        at: { file: path },
      });
    files.set(path, { path, oid: blobId(bytes), type, executable });
    contents.set(path, bytes);
  }

  function walk(folder: string): void {
    for (const name of readdirSync(join(directory, folder)).sort()) {
      if (IGNORED.has(name)) continue;
      addEntry(folder === "" ? name : `${folder}/${name}`);
    }
  }

  /** Sockets and the like are left out, as Git leaves them out. */
  function addEntry(path: string): void {
    const place = join(directory, path);
    const stats = lstatSync(place);
    if (stats.isSymbolicLink()) addBlob(path, "symlink", false, Buffer.from(readlinkSync(place)));
    else if (stats.isFile()) addBlob(path, "file", (stats.mode & 0o100) !== 0, readFileSync(place));
    else if (stats.isDirectory() && isRepository(place)) files.set(path, { path, oid: NO_OBJECT_ID, type: "submodule", executable: false });
    else if (stats.isDirectory()) walk(path);
  }

  function contentOf(path: string, type: "file" | "symlink"): Uint8Array {
    const bytes = files.get(path)?.type === type ? contents.get(path) : undefined;
    if (bytes) return bytes;
    throw new CodedError("BUNDLE_FILE_MISSING", `There is no ${type} ${path} in ${directory}`, { at: { file: path, source } });
  }

  realpathOf(directory);
  walk("");
  if (files.size === 0) throw new CodedError("SOURCE_EMPTY", `The directory ${directory} holds no file`);
  return {
    source,
    ref: "working directory",
    commit: blobId(
      Buffer.from([...files.values()].map(({ path, oid, type, executable }) => `${type} ${executable} ${oid} ${path}\n`).join("")),
    ),
    subject: "",
    author: "",
    committedAt: new Date(0).toISOString(),
    files,
    async read(path) {
      return contentOf(path, "file");
    },
    async readLink(path) {
      return Buffer.from(contentOf(path, "symlink")).toString("utf8");
    },
  };
}

function realpathOf(directory: string): string {
  try {
    const path = realpathSync(directory);
    if (lstatSync(path).isDirectory()) return path;
  } catch (error) {
    throw new CodedError("SOURCE_PATH_MISSING", `There is no directory ${directory}`, { cause: error, data: { hint: HINT } });
  }
  throw new CodedError("SOURCE_PATH_MISSING", `${directory} is not a directory`, { data: { hint: HINT } });
}

/** A repository inside of another: a submodule, or one that Git would not take in either. */
function isRepository(folder: string): boolean {
  return readdirSync(folder).includes(".git");
}
