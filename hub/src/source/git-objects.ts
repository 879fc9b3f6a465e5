import fs from "node:fs";
import git from "isomorphic-git";
import { blobId } from "./blob-id.ts";
import type { SnapshotFile } from "./snapshot.ts";

/** One entry of a tree object. */
interface TreeEntry {
  readonly mode: string;
  readonly path: string;
  readonly oid: string;
  readonly type: "blob" | "tree" | "commit";
}

/** A tree that was walked. */
interface WalkedTree {
  readonly files: readonly SnapshotFile[];
  /** The trees right below it. */
  readonly below: readonly string[];
}

/** Contents of one file; 0 bytes while they are being read. */
interface HeldBlob {
  readonly content: Promise<Uint8Array>;
  bytes: number;
}

/** Objects of one clone. Of what was read it keeps the trees of the last two roots, and contents up to a number of bytes. */
export interface ObjectReader {
  readonly gitdir: string;
  /** isomorphic-git's own cache of pack indexes. */
  readonly cache: object;
  tree(oid: string): Promise<readonly TreeEntry[]>;
  blob(oid: string): Promise<Uint8Array>;
  /** Files below a root, with paths from there; sub-trees that the root before had too are not walked again. */
  filesOfRoot(oid: string): Promise<readonly SnapshotFile[]>;
}

/** Options of {@link createObjectReader}. */
export interface ObjectReaderOptions {
  /** Bytes of file contents that are kept in memory. Default 64 MiB. */
  readonly maxBlobBytes?: number;
}

export function createObjectReader(gitdir: string, options: ObjectReaderOptions = {}): ObjectReader {
  const { maxBlobBytes = 64 * 1024 * 1024 } = options;
  const cache = {};
  const walked = new Map<string, Promise<WalkedTree>>();
  const blobs = new Map<string, HeldBlob>();
  let blobBytes = 0;
  let roots: readonly string[] = [];

  async function readTree(oid: string): Promise<readonly TreeEntry[]> {
    const { tree } = await git.readTree({ fs, gitdir, oid, cache });
    return tree as readonly TreeEntry[];
  }

  function walkOnce(oid: string): Promise<WalkedTree> {
    let known = walked.get(oid);
    if (!known) {
      known = walk(oid);
      walked.set(oid, known);
      known.catch(() => walked.delete(oid));
    }
    return known;
  }

  async function walk(oid: string): Promise<WalkedTree> {
    const files: SnapshotFile[] = [];
    const below: string[] = [];
    for (const entry of await readTree(oid)) {
      if (entry.type === "tree") {
        below.push(entry.oid);
        for (const file of (await walkOnce(entry.oid)).files) files.push({ ...file, path: `${entry.path}/${file.path}` });
      } else {
        const type = entry.type === "commit" ? "submodule" : entry.mode === "120000" ? "symlink" : "file";
        files.push({ path: entry.path, oid: entry.oid, type, executable: entry.mode === "100755" });
      }
    }
    return { files, below };
  }

  /** Every commit has a new root, whose list is as long as the repository has files: a hundred of them would fill the memory. */
  async function keepTreesOf(oids: readonly string[]): Promise<void> {
    const kept = new Set<string>();
    const queue = [...oids];
    for (let oid = queue.pop(); oid !== undefined; oid = queue.pop()) {
      if (kept.has(oid)) continue;
      kept.add(oid);
      queue.push(...((await walked.get(oid))?.below ?? []));
    }
    for (const oid of walked.keys()) if (!kept.has(oid)) walked.delete(oid);
  }

  /** Throws what isomorphic-git throws, and for bytes that are not those of the id: a damaged index may name others. */
  async function readBlob(oid: string): Promise<Uint8Array> {
    const { blob } = await git.readBlob({ fs, gitdir, oid, cache });
    if (blobId(blob) !== oid) throw new Error(`The object ${oid} has the bytes of another`);
    return blob;
  }

  /** Oldest first; a Map keeps the order of insertion. */
  function makeRoom(): void {
    for (const [oid, { bytes }] of blobs) {
      if (blobBytes <= maxBlobBytes) return;
      blobs.delete(oid);
      blobBytes -= bytes;
    }
  }

  function hold(oid: string): HeldBlob {
    const held: HeldBlob = { content: readBlob(oid), bytes: 0 };
    const isHeld = () => blobs.get(oid) === held;
    blobs.set(oid, held);
    held.content.then(
      ({ length }) => {
        if (!isHeld()) return;
        held.bytes = length;
        blobBytes += length;
        makeRoom();
      },
      () => isHeld() && blobs.delete(oid),
    );
    return held;
  }

  return {
    gitdir,
    cache,
    tree: readTree,
    async blob(oid) {
      return await (blobs.get(oid) ?? hold(oid)).content;
    },
    async filesOfRoot(oid) {
      const { files } = await walkOnce(oid);
      roots = [oid, ...roots.filter((root) => root !== oid)].slice(0, 2);
      await keepTreesOf(roots);
      return files;
    },
  };
}
