import { rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { findStale } from "./find-stale.ts";
import { allGenerators } from "./generators.ts";

// npm run generate [-- --check]: makes all generated files, or says which of them are not what their sources give.
const root = fileURLToPath(new URL("../..", import.meta.url));
const generators = await allGenerators(root);
if (process.argv.includes("--check")) {
  const stale = await findStale(root, generators);
  for (const file of stale) process.stdout.write(`${file.path}: ${file.problem} (${file.generator})\n`);
  if (stale.length > 0) process.stdout.write("run `npm run generate`\n");
  process.exitCode = stale.length > 0 ? 1 : 0;
} else {
  for (const generator of generators) {
    for (const output of generator.outputs) {
      // Files whose source is gone are to go too; a single file may be its own template.
      if (!/\.[a-z]+$/.test(output)) rmSync(join(root, output), { recursive: true, force: true });
    }
    await generator.generate(root, root);
    process.stdout.write(`${generator.name}: ${generator.outputs.join(", ")}\n`);
  }
}
