import fs from "node:fs";
import { CodedError } from "@muster/shared/errors";
import git from "isomorphic-git";
import type { ObjectReader } from "./git-objects.ts";
import type { CommitSnapshot, SnapshotFile } from "./snapshot.ts";

/** Options of {@link readSnapshot}. */
export interface ReadSnapshotOptions {
  readonly reader: ObjectReader;
  /** Gives contents. Default: the reader's. */
  readonly blob?: (oid: string) => Promise<Uint8Array>;
  readonly source: string;
  readonly ref: string;
  readonly commit: string;
  /** Directory that is the root; empty for all. */
  readonly root: string;
}

/**
 * Reads what one commit holds below `root`. Throws SOURCE_PATH_MISSING, SOURCE_EMPTY, or what isomorphic-git throws for a
 * damaged clone.
 */
export async function readSnapshot(options: ReadSnapshotOptions): Promise<CommitSnapshot> {
  const { reader, source, ref, commit } = options;
  const { blob = (oid: string) => reader.blob(oid) } = options;
  const short = commit.slice(0, 12);
  const { commit: parsed } = await git.readCommit({ fs, gitdir: reader.gitdir, oid: commit, cache: reader.cache });
  const tree = await findRoot(options, parsed.tree);
  const files = new Map((await reader.filesOfRoot(tree)).map((file) => [file.path, file]));
  if (files.size === 0) throw new CodedError("SOURCE_EMPTY", `Commit ${short} of ${ref} holds no file`);

  function entryOf(path: string, type: "file" | "symlink"): SnapshotFile {
    const file = files.get(path);
    if (file?.type === type) return file;
    throw new CodedError("BUNDLE_FILE_MISSING", `There is no ${type} ${path} in commit ${short}`, { at: { file: path, source } });
  }

  async function contentOf(path: string, type: "file" | "symlink"): Promise<Uint8Array> {
    const { oid } = entryOf(path, type);
    return await blob(oid).catch((cause: unknown) => {
      const message = `Commit ${short} cannot be read from the clone on disk`;
      throw new CodedError("SOURCE_CLONE", message, { cause, at: { file: path, source } });
    });
  }

  return {
    source,
    ref,
    commit,
    subject: parsed.message.split("\n", 1)[0] ?? "",
    author: parsed.author.name,
    committedAt: new Date(parsed.committer.timestamp * 1000).toISOString(),
    files,
    async read(path) {
      return await contentOf(path, "file");
    },
    async readLink(path) {
      return Buffer.from(await contentOf(path, "symlink")).toString("utf8");
    },
  };
}

async function findRoot({ reader, ref, commit, root }: ReadSnapshotOptions, top: string): Promise<string> {
  let tree = top;
  for (const part of root.split("/").filter((name) => name !== "")) {
    const found = (await reader.tree(tree)).find((entry) => entry.path === part && entry.type === "tree");
    if (!found)
      throw new CodedError("SOURCE_PATH_MISSING", `The directory ${root} does not exist in commit ${commit.slice(0, 12)} of ${ref}`);
    tree = found.oid;
  }
  return tree;
}
