import { createHash } from "node:crypto";
import type { Dirent } from "node:fs";
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "@muster/shared/telemetry";
import { createGitClone, type GitClone } from "./git-clone.ts";
import { cloneError } from "./git-errors.ts";
import { parseSourceUrl } from "./source-url.ts";

/** What makes a clone another one. */
export interface CloneKey {
  readonly name: string;
  readonly url: string;
  readonly ref: string;
}

/**
 * The clones of one source, numbered: the current one, and the one that it has replaced, from which somebody may still
 * read. A clone comes in place of another only when it is whole.
 */
export interface CloneFolder {
  /** The clone to read from and to fetch into; an empty one if there is none. What crashes have left is removed at the first call. */
  current(): Promise<GitClone>;
  /** An empty clone beside the current one, in place of the one that was retired. */
  fresh(): Promise<GitClone>;
  /** Makes a fresh clone the current one. */
  adopt(clone: GitClone): void;
  /** Removes a fresh clone that came to nothing. */
  discard(clone: GitClone): Promise<void>;
}

/** Names that {@link folderOf} gives, and what older versions have left beside them. */
const FOLDER_NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?-[0-9a-f]{12}(\.old-\d+)?$/;

function parentOf(dataDir: string): string {
  return join(dataDir, "sources");
}

function folderOf({ name, url, ref }: CloneKey): string {
  const digest = createHash("sha256")
    .update(`${parseSourceUrl(url)}\n${ref}`)
    .digest("hex");
  return `${name}-${digest.slice(0, 12)}`;
}

export function createCloneFolder(dataDir: string, key: CloneKey): CloneFolder {
  const folder = join(parentOf(dataDir), folderOf(key));
  const numbered = (number: number) => createGitClone(join(folder, String(number)), key.url);
  let opened: GitClone | undefined;
  let number = 1;

  /** The newest that has a good commit, or else the newest that a first download was cut off in: packs are kept. */
  async function open(): Promise<GitClone> {
    const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
      // Not to be able to look is not to find nothing: an older clone could be taken for the newest later.
      if (error.code === "ENOENT") return [];
      throw cloneError(error, key.url);
    });
    const numbers = names.filter((name) => /^[1-9]\d{0,8}$/.test(name)).map(Number);
    const newestFirst = numbers.sort((a, b) => b - a);
    number = newestFirst[0] ?? 1;
    for (const candidate of newestFirst) {
      if ((await numbered(candidate).head()) === undefined) continue;
      number = candidate;
      break;
    }
    await removeAll(folder, ({ name }) => name !== String(number));
    return numbered(number);
  }

  return {
    async current() {
      opened ??= await open();
      return opened;
    },
    async fresh() {
      const current = opened?.folder;
      await removeAll(folder, ({ name }) => join(folder, name) !== current);
      number += 1;
      return numbered(number);
    },
    adopt(clone) {
      opened = clone;
    },
    async discard(clone) {
      await rm(clone.folder, { recursive: true, force: true });
    },
  };
}

/**
 * Removes clones that belong to none of these sources: of a former URL or ref, or left by a crash. Whatever has another
 * name than clones have, and whatever is no folder, stays. To be called before the sources are used.
 */
export async function removeStrayClones(dataDir: string, sources: readonly CloneKey[], logger: Logger): Promise<void> {
  const kept = new Set(sources.map(folderOf));
  const removed = await removeAll(
    parentOf(dataDir),
    (entry) => entry.isDirectory() && FOLDER_NAME.test(entry.name) && !kept.has(entry.name),
  );
  if (removed.length > 0) logger.info({ folders: removed }, "removed clones that belong to no source");
}

/** Gives the names of what it has removed. What cannot be removed takes room, and is no reason to stop. */
async function removeAll(folder: string, isMeant: (entry: Dirent) => boolean): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  const removed: string[] = [];
  for (const { name } of entries.filter(isMeant)) {
    const done = await rm(join(folder, name), { recursive: true, force: true }).then(
      () => true,
      () => false,
    );
    if (done) removed.push(name);
  }
  return removed;
}
