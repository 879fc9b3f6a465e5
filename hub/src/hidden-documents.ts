import { posix } from "node:path";
import type { DocumentProblem } from "./fleet/read-documents.ts";
import type { CommitSnapshot, SnapshotFile } from "./source/snapshot.ts";

/** Steps from link to link that are followed to tell what a link is of. */
const MAX_LINKS = 8;

/**
 * Documents that a commit may hold and that nobody can read, because a symlink or a submodule stands where they would be. Their
 * absence is no wish to remove anything (ADR 0003), so each is a problem of a document whose name is not known. A link that holds
 * no document, to a README for example, is none.
 */
export async function hiddenDocuments(snapshot: CommitSnapshot, patterns: readonly string[]): Promise<DocumentProblem[]> {
  const problems: DocumentProblem[] = [];
  const isDocument = (path: string) => patterns.some((pattern) => posix.matchesGlob(path, pattern));
  for (const entry of snapshot.files.values()) {
    if (entry.type === "file") continue;
    const what = await hiddenIn(snapshot, entry, isDocument, patterns);
    if (!what) continue;
    const at = { file: entry.path, source: snapshot.source };
    problems.push({ code: "BUNDLE_PATH_ESCAPE", message: `${what}; nothing is removed while it is there`, at });
  }
  return problems;
}

async function hiddenIn(
  snapshot: CommitSnapshot,
  { path, type }: SnapshotFile,
  isDocument: (path: string) => boolean,
  patterns: readonly string[],
): Promise<string | undefined> {
  if (type === "submodule") {
    if (!patterns.some((pattern) => mayMatchBelow(pattern, path))) return undefined;
    return "a submodule is not read, and documents may be in it (`spec.bundles` of muster.yaml can leave it out)";
  }
  if (isDocument(path)) return "a document that is a symlink is not read";
  const target = await targetOf(snapshot, path);
  if (target === undefined) return undefined;
  const inside = target === "." ? "" : `${target}/`;
  const hidden = [...snapshot.files.keys()].find(
    (file) => file.startsWith(inside) && isDocument(posix.join(path, file.slice(inside.length))),
  );
  return hidden && `a symlink to a directory is not followed, and ${hidden} is in it`;
}

/** What a link leads to in the end, relative to the source; undefined: it leads out of it, or nowhere. */
async function targetOf(snapshot: CommitSnapshot, path: string): Promise<string | undefined> {
  let at = path;
  for (let step = 0; step < MAX_LINKS; step += 1) {
    if (snapshot.files.get(at)?.type !== "symlink") return at;
    const text = await snapshot.readLink(at);
    at = posix.join(posix.dirname(at), text);
    if (text.startsWith("/") || at === ".." || at.startsWith("../")) return undefined;
  }
  return undefined;
}

/** true if a pattern could match something below a folder. */
export function mayMatchBelow(pattern: string, folder: string): boolean {
  const steps = pattern.split("/");
  for (const [index, name] of folder.split("/").entries()) {
    const step = steps[index];
    if (step === "**") return true;
    if (step === undefined || !posix.matchesGlob(name, step)) return false;
  }
  return steps.length > folder.split("/").length;
}
