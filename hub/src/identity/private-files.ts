import { randomUUID } from "node:crypto";
import {
  chmodSync,
  closeSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname } from "node:path";

/** What `link` says where there are no hard links. */
const NO_LINKS = new Set(["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK"]);

/** Writes a file of mode 0600, in place of any that is there. A crash, of the machine too, leaves the old file or the new one. */
export function replacePrivateFile(path: string, content: string): void {
  renameSync(writePartial(path, content), path);
  syncFolder(dirname(path));
}

/**
 * Makes a file of mode 0600, unless there is one: of processes that make it at the same time one wins, and what is read afterwards
 * is what that one wrote.
 *
 * @param link for tests
 */
export function createPrivateFile(path: string, content: string, link: (from: string, to: string) => void = linkSync): void {
  const partial = writePartial(path, content);
  try {
    link(partial, path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // A crash between the two calls of this leaves half a file. That stops the next start, and says so.
    if (NO_LINKS.has(code ?? "")) writeIfNone(path, content);
    else if (code !== "EEXIST") throw error;
  } finally {
    rmSync(partial, { force: true });
  }
  syncFolder(dirname(path));
}

/**
 * Reads a file that is nobody else's business. One of ours that others can read, which a backup may have made it, is closed to them.
 * Who may read somebody else's file is for whoever mounted it to say; so are the rights that Kubernetes gives to a volume's fsGroup.
 */
export function readPrivateFile(path: string): string {
  const { mode, uid } = statSync(path);
  if ((mode & 0o077) !== 0 && uid === process.geteuid?.()) {
    try {
      chmodSync(path, 0o600);
    } catch {
      // A volume that is mounted read-only can still be read.
    }
  }
  return readFileSync(path, "utf8");
}

function writePartial(path: string, content: string): string {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  // `issue` runs beside the hub, perhaps in another container: nobody else writes to what one has not finished.
  const partial = `${path}.${randomUUID()}.partial`;
  writeFileSync(partial, content, { mode: 0o600, flag: "wx", flush: true });
  return partial;
}

function writeIfNone(path: string, content: string): void {
  try {
    writeFileSync(path, content, { mode: 0o600, flag: "wx", flush: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
}

/** A new name is in the folder, and only there: without this it may be gone after a power cut, though the file was written. */
function syncFolder(path: string): void {
  const folder = openSync(path, "r");
  try {
    fsyncSync(folder);
  } catch {
    // Not every network file system can.
  } finally {
    closeSync(folder);
  }
}
