import { statSync } from "node:fs";
import { relative } from "node:path";
import { fileURLToPath } from "node:url";
import { ALL_PROGRAMS, buildBundles, type Program } from "./bundle.ts";

// npm run build [-- hub|agent|cli …]: the hub's image carries the CLI too, so `hub` builds both.
const outDir = fileURLToPath(new URL("../../dist", import.meta.url));
const wanted = process.argv.slice(2);
const unknown = wanted.find((name) => !ALL_PROGRAMS.includes(name as Program));
if (unknown !== undefined) {
  process.stderr.write(`unknown program ${unknown}; there are: ${ALL_PROGRAMS.join(", ")}\n`);
  process.exit(2);
}
const programs = ALL_PROGRAMS.filter((name) => wanted.length === 0 || wanted.includes(name) || (name === "cli" && wanted.includes("hub")));
const started = performance.now();
const files = await buildBundles({ outDir, programs });
for (const program of programs) {
  const file = files[program];
  process.stdout.write(`${relative(process.cwd(), file)}  ${(statSync(file).size / 1024 / 1024).toFixed(1)} MiB\n`);
}
process.stdout.write(`built in ${((performance.now() - started) / 1000).toFixed(1)} s\n`);
