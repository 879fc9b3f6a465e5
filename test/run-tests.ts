import { join } from "node:path";
import { startVitest } from "vitest/node";
import { ensureBinaries, resolveBinary } from "./rig/binaries.ts";
import { buildPrograms } from "./rig/built-programs.ts";
import { DEFAULT_MINOR, OLDER_MINOR } from "./rig/kubernetes.ts";
import { RigError } from "./rig/rig-error.ts";
import { createTempFolder } from "./rig/temp-folder.ts";

/** `npm test [-- FILTER…]`: everything, or the files whose path contains a filter. Ends with `N passed, N failed`. */
const filters = process.argv.slice(2);
const option = filters.find((filter) => filter.startsWith("-"));
if (option !== undefined) {
  process.stderr.write(
    `npm test takes parts of paths, such as \`npm test -- agent/src/apply\`, and no option ${option}; for Vitest's own: npx vitest run ${option} …\n`,
  );
  process.exit(2);
}
try {
  await ensureBinaries();
  // Some tests are on both minor versions.
  await resolveBinary("kube-apiserver", OLDER_MINOR);
  await resolveBinary("kube-apiserver", DEFAULT_MINOR);
} catch (error) {
  process.stderr.write(`${error instanceof RigError ? error.message : String(error)}\n`);
  process.exit(1);
}

// What a test leaves behind, for example because its process was killed on purpose, goes with this one. `MUSTER_RIG_KEEP=1` keeps it.
const temporary = createTempFolder("tests");
process.env["TMPDIR"] = temporary.path;

await buildPrograms(join(temporary.path, "programs"));

const vitest = await startVitest(filters, { run: true, watch: false, reporters: ["default"], passWithNoTests: false });
const counts = { passed: 0, failed: 0, skipped: 0 };
const flaky: string[] = [];
for (const module of vitest.state.getTestModules()) {
  // A file that cannot be loaded, and a hook that throws, leave no failed test; they are failures all the same.
  if (module.errors().length > 0) counts.failed += 1;
  for (const suite of module.children.allSuites()) counts.failed += suite.errors().length;
  for (const test of module.children.allTests()) {
    const { state } = test.result();
    // What need not run on the older Kubernetes runs on the newer one.
    if (state === "skipped" && module.project.name === "rig-older") continue;
    if (state === "passed" || state === "failed" || state === "skipped") counts[state] += 1;
    if (test.diagnostic()?.flaky) flaky.push(`${module.relativeModuleId}: ${test.fullName}`);
  }
}
counts.failed += vitest.state.getUnhandledErrors().length;
await vitest.close();
temporary.remove();
if (counts.passed + counts.failed === 0) counts.failed = 1;
for (const name of flaky) process.stdout.write(`passed only when it was tried again: ${name}\n`);
process.stdout.write(`\n${counts.passed} passed, ${counts.failed} failed${counts.skipped > 0 ? `, ${counts.skipped} skipped` : ""}\n`);
process.exit(counts.failed > 0 ? 1 : 0);
