import fs from "node:fs";
import { CodedError } from "@muster/shared/errors";
import git from "isomorphic-git";
import type { CommitSnapshot, SnapshotFile } from "./snapshot.ts";

/** One entry of a tree object. */
interface TreeEntry {
  readonly mode: string;
  readonly path: string;
  readonly oid: string;
  readonly type: "blob" | "tree" | "commit";
}

/** Objects of one clone, with what was read kept: trees by id, contents up to a number of bytes. */
export interface ObjectReader {
  readonly gitdir: string;
  /** isomorphic-git's own cache of pack indexes. */
  readonly cache: object;
  tree(oid: string): Promise<readonly TreeEntry[]>;
  blob(oid: string): Promise<Uint8Array>;
  /** Files below a tree, with paths from there; unchanged sub-trees are not walked again. */
  files(oid: string): Promise<readonly SnapshotFile[]>;
}

/** Bytes of file contents that are kept in memory per source. */
const MAX_BLOB_BYTES = 64 * 1024 * 1024;

export function createObjectReader(gitdir: string): ObjectReader {
  const cache = {};
  const walked = new Map<string, Promise<readonly SnapshotFile[]>>();
  const blobs = new Map<string, Uint8Array>();
  let blobBytes = 0;

  const reader: ObjectReader = {
    gitdir,
    cache,
    async tree(oid) {
      const { tree } = await git.readTree({ fs, gitdir, oid, cache });
      return tree as readonly TreeEntry[];
    },
    async blob(oid) {
      const known = blobs.get(oid);
      if (known) return known;
      const { blob } = await git.readBlob({ fs, gitdir, oid, cache });
      blobs.set(oid, blob);
      blobBytes += blob.length;
      // Oldest first; a Map keeps the order of insertion.
      for (const [key, value] of blobs) {
        if (blobBytes <= MAX_BLOB_BYTES) break;
        blobs.delete(key);
        blobBytes -= value.length;
      }
      return blob;
    },
    files(oid) {
      let known = walked.get(oid);
      if (!known) {
        known = walk(reader, oid);
        walked.set(oid, known);
        known.catch(() => walked.delete(oid));
        if (walked.size > 20_000) walked.delete(walked.keys().next().value ?? "");
      }
      return known;
    },
  };
  return reader;
}

async function walk(reader: ObjectReader, oid: string): Promise<readonly SnapshotFile[]> {
  const files: SnapshotFile[] = [];
  for (const entry of await reader.tree(oid)) {
    if (entry.type === "tree") {
      for (const file of await reader.files(entry.oid)) files.push({ ...file, path: `${entry.path}/${file.path}` });
    } else {
      const type = entry.type === "commit" ? "submodule" : entry.mode === "120000" ? "symlink" : "file";
      files.push({ path: entry.path, oid: entry.oid, type, executable: entry.mode === "100755" });
    }
  }
  return files;
}

/** Reads what one commit holds below `root`. Throws SOURCE_PATH_MISSING, or what isomorphic-git throws for a damaged clone. */
export async function readSnapshot(options: {
  reader: ObjectReader;
  source: string;
  ref: string;
  commit: string;
  root: string;
}): Promise<CommitSnapshot> {
  const { reader, source, ref, commit, root } = options;
  const { commit: parsed } = await git.readCommit({ fs, gitdir: reader.gitdir, oid: commit, cache: reader.cache });
  let tree = parsed.tree;
  for (const part of root.split("/").filter((part) => part !== "")) {
    const found = (await reader.tree(tree)).find((entry) => entry.path === part && entry.type === "tree");
    if (!found)
      throw new CodedError("SOURCE_PATH_MISSING", `The directory ${root} does not exist in commit ${commit.slice(0, 12)} of ${ref}`);
    tree = found.oid;
  }
  const files = new Map((await reader.files(tree)).map((file) => [file.path, file]));
  return {
    source,
    ref,
    commit,
    subject: parsed.message.split("\n", 1)[0] ?? "",
    author: parsed.author.name,
    committedAt: new Date(parsed.committer.timestamp * 1000).toISOString(),
    files,
    async read(path) {
      const file = files.get(path);
      if (file?.type !== "file")
        throw new CodedError("BUNDLE_FILE_MISSING", `There is no file ${path} in commit ${commit.slice(0, 12)}`, {
          at: { file: path, source },
        });
      return reader.blob(file.oid);
    },
  };
}
