import { createHash } from "node:crypto";
import fs from "node:fs";
import { mkdir, open, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import git from "isomorphic-git";
import { type ObjectType, objectId } from "./blob-id.ts";
import { cloneError } from "./git-errors.ts";
import { createObjectReader, type ObjectReader } from "./git-objects.ts";

/** One bare clone on disk. */
export interface GitClone {
  readonly folder: string;
  readonly reader: ObjectReader;
  /** Something that should be there could not be read: only a new clone heals that (E160). */
  readonly damaged: boolean;
  /** The last commit that was good: it could be read as a whole. It outlives the process. */
  head(): Promise<string | undefined>;
  /** The tag by which it was found, if the source's ref is an annotated one. */
  headTag(): Promise<string | undefined>;
  keepHead(commit: string, tag?: string): Promise<void>;
  /** A commit or a tag as it was written; its bytes are those of its id. Throws SOURCE_CLONE. */
  rawObject(type: "commit" | "tag", oid: string): Promise<Uint8Array>;
  /** Packs on disk; isomorphic-git never joins them. */
  packs(): Promise<number>;
  /** The commit of this id, or behind the tag of this id; undefined: it is not here. Throws SOURCE_CLONE. */
  commitOf(oid: string): Promise<string | undefined>;
  /** Reads something that must be there. Throws SOURCE_CLONE, after which the clone is damaged, or the work's own CodedError. */
  reading<T>(work: (reader: ObjectReader) => Promise<T>): Promise<T>;
  /** Makes it able to take packs; what is there already stays. */
  prepare(): Promise<void>;
  /** Makes sure that a pack that was just written is whole and on the disk; false: it is not whole, and was removed. */
  takePack(path: string): Promise<boolean>;
  keepRef(ref: string, commit: string): Promise<void>;
}

const HEAD_FILE = "muster-head";

/** The machine is short of something: that says nothing of the clone. */
const PASSING = new Set(["EMFILE", "ENFILE", "ENOMEM", "EAGAIN"]);

function isPassing(error: unknown): boolean {
  return PASSING.has(String((error as NodeJS.ErrnoException).code));
}

/** A clone in a folder, which need not be there yet. */
export function createGitClone(folder: string, url: string): GitClone {
  const reader = createObjectReader(folder);
  const packFolder = join(folder, "objects", "pack");
  let damaged = false;

  async function reading<T>(work: (reader: ObjectReader) => Promise<T>): Promise<T> {
    try {
      return await work(reader);
    } catch (error) {
      const coded = cloneError(error, url);
      if (coded !== error && !isPassing(error)) damaged = true;
      throw coded;
    }
  }

  async function peel(oid: string): Promise<string | undefined> {
    const found = await git.readObject({ fs, gitdir: folder, oid, cache: reader.cache, format: "content" }).catch((error: unknown) => {
      if ((error as { code?: string }).code === "NotFoundError") return undefined;
      throw error;
    });
    if (!found) return undefined;
    // A damaged index names others.
    if (objectId(found.type as ObjectType, found.object as Uint8Array) !== oid)
      throw new Error(`The object ${oid} has the bytes of another`);
    if (found.type !== "tag") return oid;
    // Not parsed further: whether it can be is a matter of what it says, and no damage of the clone.
    const named = /^object ([0-9a-f]{40})\n/.exec(Buffer.from(found.object as Uint8Array).toString("latin1"))?.[1];
    return named === undefined ? undefined : await peel(named);
  }

  async function readHead(): Promise<{ readonly commit: string; readonly tag?: string } | undefined> {
    const text = await readFile(join(folder, HEAD_FILE), "utf8").catch(() => "");
    const [, commit, tag] = /^([0-9a-f]{40})(?: ([0-9a-f]{40}))?$/.exec(text) ?? [];
    return commit === undefined ? undefined : { commit, ...(tag !== undefined && { tag }) };
  }

  return {
    folder,
    reader,
    get damaged() {
      return damaged;
    },
    reading,
    commitOf: (oid) => reading(() => peel(oid)),
    head: async () => (await readHead())?.commit,
    headTag: async () => (await readHead())?.tag,
    rawObject: (type, oid) =>
      reading(async () => {
        const { object } = await git.readObject({ fs, gitdir: folder, oid, cache: reader.cache, format: "content" });
        const bytes = object as Uint8Array;
        if (objectId(type, bytes) !== oid) throw new Error(`The object ${oid} is no ${type}, or has the bytes of another`);
        return bytes;
      }),
    async keepHead(commit, tag) {
      const path = join(folder, HEAD_FILE);
      await writeFile(`${path}.new`, tag === undefined ? commit : `${commit} ${tag}`);
      await syncToDisk(`${path}.new`);
      await rename(`${path}.new`, path);
    },
    async packs() {
      const names = await readdir(packFolder).catch(() => []);
      return names.filter((name) => name.endsWith(".pack")).length;
    },
    async prepare() {
      await mkdir(packFolder, { recursive: true });
      await removeHalfPacks(packFolder);
      await git.init({ fs, gitdir: folder, bare: true });
      // The file may be there and empty, after a power cut; without a remote nothing could be fetched ever again.
      await git.addRemote({ fs, gitdir: folder, remote: "origin", url, force: true });
    },
    async takePack(path) {
      const pack = join(folder, path);
      const index = pack.replace(/\.pack$/, ".idx");
      const whole = await isWholePack(pack);
      for (const file of [index, pack]) await (whole ? syncToDisk(file) : rm(file, { force: true }));
      return whole;
    },
    async keepRef(ref, commit) {
      await git.writeRef({ fs, gitdir: folder, ref, value: commit, force: true });
    },
  };
}

/** A pack without index is never read: a transfer that ended early has left it. */
async function removeHalfPacks(packFolder: string): Promise<void> {
  const names = new Set(await readdir(packFolder));
  for (const name of names)
    if (name.endsWith(".pack") && !names.has(name.replace(/\.pack$/, ".idx"))) await rm(join(packFolder, name), { force: true });
}

/** A pack ends with the digest of what stands before. isomorphic-git looks at it when it reads, which is too late to refuse it. */
async function isWholePack(path: string): Promise<boolean> {
  const hash = createHash("sha1");
  let tail = Buffer.alloc(0);
  for await (const chunk of fs.createReadStream(path)) {
    const bytes = Buffer.concat([tail, chunk as Buffer]);
    hash.update(bytes.subarray(0, -20));
    tail = bytes.subarray(-20);
  }
  return hash.digest().equals(tail);
}

/** What a head names must be there after a power cut. */
async function syncToDisk(path: string): Promise<void> {
  for (const name of [path, dirname(path)]) {
    const file = await open(name, "r");
    try {
      await file.sync();
    } finally {
      await file.close();
    }
  }
}
