import { posix } from "node:path";
import type { DocumentProblem } from "./fleet/read-documents.ts";
import type { CommitSnapshot } from "./source/snapshot.ts";

/** Steps from link to link that are followed to tell what a link is of. */
const MAX_LINKS = 8;

/** What is looked for in a commit. */
export interface DocumentSearch {
  readonly snapshot: CommitSnapshot;
  readonly patterns: readonly string[];
  /** Paths of the files that are read. */
  readonly found: ReadonlySet<string>;
}

/**
 * Documents that a commit may hold and that nobody can read, because a symlink or a submodule stands where they would be. Their
 * absence is no wish to remove anything (ADR 0003), so each is a problem of a document whose name is not known. A link that hides
 * no document, to a README or to a directory that is read where it stands, is none.
 */
export async function hiddenDocuments(search: DocumentSearch): Promise<DocumentProblem[]> {
  const { snapshot, patterns } = search;
  const problems: DocumentProblem[] = [];
  /** Sorted, and only made where a link is to a directory: most commits have none. */
  let sorted: string[] | undefined;
  const filesIn = (folder: string): string[] => {
    sorted ??= [...snapshot.files.keys()].sort();
    return folder === "." ? sorted : below(sorted, `${folder}/`);
  };
  for (const { path, type } of snapshot.files.values()) {
    if (type === "file" || !patterns.some((pattern) => posix.matchesGlob(path, pattern) || mayMatchBelow(pattern, path))) continue;
    const what = type === "submodule" ? "a submodule is not read, and documents may be in it" : await hiddenBy(search, path, filesIn);
    if (!what) continue;
    const message = `${what}; nothing is removed while it is there (\`spec.bundles\` and \`spec.clusters\` of muster.yaml can leave it out)`;
    problems.push({ code: "BUNDLE_PATH_ESCAPE", message, at: { file: path, source: snapshot.source } });
  }
  return problems;
}

/** What a symlink hides; undefined: nothing. */
async function hiddenBy(
  { snapshot, patterns, found }: DocumentSearch,
  path: string,
  filesIn: (folder: string) => string[],
): Promise<string | undefined> {
  const isDocument = (file: string) => patterns.some((pattern) => posix.matchesGlob(file, pattern));
  if (isDocument(path)) return "a document that is a symlink is not read";
  const target = await targetOf(snapshot, path);
  if (target === undefined) return "a symlink that leads out of the source is not followed, and documents may be where it leads";
  if (snapshot.files.has(target)) return undefined;
  // A circle of links, or nothing at all, holds no document.
  const inside = target === "." ? "" : `${target}/`;
  const hidden = filesIn(target).find((file) => !found.has(file) && isDocument(posix.join(path, file.slice(inside.length))));
  return hidden && `a symlink to a directory is not followed, and ${hidden} is in it`;
}

/** What a link leads to in the end, relative to the source; undefined: it leads out of it, or in a circle. */
async function targetOf(snapshot: CommitSnapshot, path: string): Promise<string | undefined> {
  let at = path;
  for (let step = 0; step < MAX_LINKS; step += 1) {
    if (snapshot.files.get(at)?.type !== "symlink") return at;
    const text = await snapshot.readLink(at);
    at = posix.join(posix.dirname(at), text).replace(/\/+$/, "") || ".";
    if (text.startsWith("/") || at === ".." || at.startsWith("../")) return undefined;
  }
  return undefined;
}

/** The part of a sorted list that begins with a text. */
function below(sorted: readonly string[], prefix: string): string[] {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] ?? "") < prefix) low = middle + 1;
    else high = middle;
  }
  let end = low;
  while (sorted[end]?.startsWith(prefix)) end += 1;
  return sorted.slice(low, end);
}

/** true if a pattern could match something below a folder. Braces are not looked into: what has one may match anything. */
export function mayMatchBelow(pattern: string, folder: string): boolean {
  const steps = pattern.split("/");
  const names = folder.split("/");
  for (const [index, name] of names.entries()) {
    const step = steps[index];
    if (step === "**" || step?.includes("{")) return true;
    if (step === undefined || !posix.matchesGlob(name, step)) return false;
  }
  return steps.length > names.length;
}
