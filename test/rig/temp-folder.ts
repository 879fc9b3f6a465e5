import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const folders = new Set<string>();
process.once("exit", () => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** A private folder that is removed when `remove` is called, at the latest when the process exits. `MUSTER_RIG_KEEP=1` keeps it. */
export function createTempFolder(name: string): { readonly path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), `muster-rig-${name}-`));
  const keep = process.env["MUSTER_RIG_KEEP"] === "1";
  if (!keep) folders.add(path);
  return {
    path,
    remove() {
      folders.delete(path);
      if (!keep) rmSync(path, { recursive: true, force: true, maxRetries: 3 });
    },
  };
}
