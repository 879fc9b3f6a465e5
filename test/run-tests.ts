import { startVitest } from "vitest/node";
import { ensureBinaries } from "./rig/binaries.ts";
import { RigError } from "./rig/rig-error.ts";

/** `npm test [-- FILTER…]`: everything, or the files whose path contains a filter. Ends with `N passed, N failed`. */
try {
  await ensureBinaries();
} catch (error) {
  process.stderr.write(`${error instanceof RigError ? error.message : String(error)}\n`);
  process.exit(1);
}

const vitest = await startVitest(process.argv.slice(2), { run: true, watch: false, reporters: process.env["CI"] ? ["default"] : ["default"], passWithNoTests: false });
const counts = { passed: 0, failed: 0, skipped: 0 };
for (const module of vitest.state.getTestModules()) {
  // A file that cannot be loaded has no tests; it is a failure all the same.
  if (module.errors().length > 0) counts.failed += 1;
  for (const test of module.children.allTests()) {
    const { state } = test.result();
    if (state === "passed" || state === "failed" || state === "skipped") counts[state] += 1;
  }
}
counts.failed += vitest.state.getUnhandledErrors().length;
await vitest.close();
if (counts.passed + counts.failed === 0) counts.failed = 1;
process.stdout.write(`\n${counts.passed} passed, ${counts.failed} failed${counts.skipped > 0 ? `, ${counts.skipped} skipped` : ""}\n`);
process.exit(counts.failed > 0 ? 1 : 0);
