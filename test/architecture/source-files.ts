import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { SourceFile } from "./house-rules.ts";

/** Our own TypeScript, without generated code. */
export function readSourceFiles(root: string = fileURLToPath(new URL("../..", import.meta.url))): SourceFile[] {
  const paths = globSync("{shared,hub,agent,test}/**/*.ts", {
    cwd: root,
    exclude: ["**/node_modules/**", "**/dist/**", "shared/src/rpc/gen/**", "**/fixtures/**"],
  });
  return paths.sort().map((path) => ({ path: path.replaceAll("\\", "/"), text: readFileSync(join(root, path), "utf8") }));
}
