import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import type { Generator } from "./generators.ts";

/** A generated file that is not what its sources give now. */
export interface StaleFile {
  readonly generator: string;
  /** From the root of the checkout. */
  readonly path: string;
  readonly problem: "missing" | "changed" | "no longer generated";
}

/** Generates into a temporary folder and compares; changes nothing in the checkout. */
export async function findStale(root: string, generators: readonly Generator[]): Promise<StaleFile[]> {
  const folder = mkdtempSync(join(tmpdir(), "muster-generate-"));
  try {
    const stale: StaleFile[] = [];
    for (const generator of generators) {
      await generator.generate(root, folder);
      for (const output of generator.outputs) {
        const fresh = listFiles(folder, output);
        const present = listFiles(root, output);
        if (fresh.size === 0) throw new Error(`the generator "${generator.name}" made no ${output}`);
        for (const path of new Set([...fresh, ...present])) {
          const problem = compare(root, folder, path);
          if (problem) stale.push({ generator: generator.name, path, problem });
        }
      }
    }
    return stale;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function compare(root: string, folder: string, path: string): StaleFile["problem"] | undefined {
  if (!existsSync(join(root, path))) return "missing";
  if (!existsSync(join(folder, path))) return "no longer generated";
  return readFileSync(join(root, path)).equals(readFileSync(join(folder, path))) ? undefined : "changed";
}

/** The file itself, or all files of a folder; from the root. */
function listFiles(root: string, output: string): Set<string> {
  const path = join(root, output);
  if (!existsSync(path)) return new Set();
  if (statSync(path).isFile()) return new Set([output]);
  const entries = readdirSync(path, { recursive: true, withFileTypes: true });
  return new Set(
    entries.filter((entry) => entry.isFile()).map((entry) => relative(root, join(entry.parentPath, entry.name)).replaceAll("\\", "/")),
  );
}
