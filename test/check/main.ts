import { STEPS } from "./all-steps.ts";
import { type FinishedStep, runSteps } from "./steps.ts";

// npm run check [-- WORDS]: with words, only the steps whose name contains one of them.
const words = process.argv.slice(2);
const steps = STEPS.filter((step) => words.length === 0 || words.some((word) => step.name.includes(word)));
if (steps.length === 0) {
  process.stderr.write(`no step fits; there are: ${STEPS.map((step) => step.name).join(", ")}\n`);
  process.exit(2);
}

const started = performance.now();
const finished = await runSteps(steps, (step) => process.stdout.write(`${formatStep(step)}\n`));
const failed = finished.filter((step) => !step.passed);
for (const step of failed) process.stdout.write(`\n── ${step.name} ${"─".repeat(Math.max(3, 100 - step.name.length))}\n${step.problems}\n`);
process.stdout.write(`\n${finished.length - failed.length} passed, ${failed.length} failed in ${seconds(performance.now() - started)}\n`);
process.exitCode = failed.length > 0 ? 1 : 0;

function formatStep(step: FinishedStep): string {
  return `${step.passed ? "✓" : "✗"} ${step.name.padEnd(20)} ${seconds(step.durationMs).padStart(7)}${step.note && `   ${step.note}`}`;
}

function seconds(durationMs: number): string {
  return `${(durationMs / 1_000).toFixed(1)} s`;
}
