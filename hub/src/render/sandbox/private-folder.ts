import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { isPlainPath } from "../bundle/bundle-path.ts";
import { sandboxError } from "./sandbox-error.ts";

/** A folder of one render, readable by this user only. */
export interface PrivateFolder {
  readonly path: string;
  /** Writes a regular file; `name` is relative, with plain parts only. */
  write(name: string, content: Uint8Array | string): Promise<void>;
}

const refuse = (error: unknown): never => {
  throw sandboxError(error);
};

/**
 * Runs a task with a private folder below `parent` (default the system's temporary folder), which is removed whatever
 * happens. Throws RENDER_SANDBOX when the disk is full.
 */
export async function withPrivateFolder<T>(task: (folder: PrivateFolder) => Promise<T>, parent = tmpdir()): Promise<T> {
  // mkdtemp makes the folder with mode 0700.
  const path = await mkdtemp(join(parent, "muster-render-")).catch(refuse);
  const made = new Set<string>();
  const makeFolder = async (folder: string) => {
    if (made.has(folder)) return;
    await mkdir(folder, { recursive: true, mode: 0o700 }).catch(refuse);
    made.add(folder);
  };
  try {
    for (const name of ["home", "tmp", "bin"]) await makeFolder(join(path, name));
    return await task({
      path,
      async write(name, content) {
        if (!isPlainPath(name)) throw new RangeError(`not a plain path: ${name}`);
        const file = join(path, name);
        await makeFolder(dirname(file));
        // `wx`: never through something that already stands there.
        await writeFile(file, content, { flag: "wx", mode: 0o600 }).catch(refuse);
      },
    });
  } finally {
    await rm(path, { recursive: true, force: true, maxRetries: 2 });
  }
}
