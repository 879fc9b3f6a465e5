import { CodedError, type InputPosition } from "@muster/shared/errors";

/**
 * Resolves a path that a person wrote, relative to `base` (itself relative to the bundle's directory, "" for the
 * directory). Gives the normalised path relative to the bundle, "" for the bundle itself. Throws BUNDLE_PATH_ESCAPE if
 * it is absolute or leads out of the bundle.
 */
export function resolveInBundle(written: string, base: string, at: InputPosition): string {
  const leadsOut = () => new CodedError("BUNDLE_PATH_ESCAPE", `The path ${JSON.stringify(written)} leads out of the bundle`, { at });
  if (written.startsWith("/") || written.includes("\0") || written.includes("\\")) throw leadsOut();
  const parts = base === "" ? [] : base.split("/");
  for (const part of written.split("/")) {
    if (part === "" || part === ".") continue;
    if (part !== "..") parts.push(part);
    else if (parts.pop() === undefined) throw leadsOut();
  }
  return parts.join("/");
}

/** True if every part of a path from a Git tree is an ordinary name. Git hosts refuse others; a crafted tree may have them. */
export function isPlainPath(path: string): boolean {
  return path.split("/").every((part) => part !== "" && part !== "." && part !== ".." && !/[\0\\]/.test(part));
}

/** Joins directory and relative path; either may be empty. */
export function joinPath(directory: string, path: string): string {
  if (directory === "") return path;
  return path === "" ? directory : `${directory}/${path}`;
}

/** The directory part of a path; "" at the top. */
export function directoryOf(path: string): string {
  const slash = path.lastIndexOf("/");
  return slash < 0 ? "" : path.slice(0, slash);
}
