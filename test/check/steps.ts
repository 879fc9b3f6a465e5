import { cpus } from "node:os";

/** What a step of the check found. */
export interface StepResult {
  /** Empty if all is well; otherwise what is wrong, for a person. */
  readonly problems: string;
  /** A short remark for the step's line, for example how much was looked at. */
  readonly note?: string;
}

/** One step of `npm run check`. A step that throws has failed. */
export interface Step {
  readonly name: string;
  run(): Promise<StepResult>;
}

/** A step that has run. */
export interface FinishedStep {
  readonly name: string;
  readonly passed: boolean;
  readonly problems: string;
  readonly note: string;
  readonly durationMs: number;
}

/** Runs the steps, a few at a time (default: one per processor, at most 4), and reports each as soon as it ends. */
export async function runSteps(
  steps: readonly Step[],
  onFinished: (step: FinishedStep) => void,
  concurrency: number = Math.min(4, cpus().length),
): Promise<FinishedStep[]> {
  const finished: FinishedStep[] = [];
  const waiting = [...steps];
  const work = async () => {
    for (let step = waiting.shift(); step !== undefined; step = waiting.shift()) {
      const result = await runStep(step);
      finished.push(result);
      onFinished(result);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, work));
  return finished;
}

async function runStep(step: Step): Promise<FinishedStep> {
  const started = performance.now();
  const end = (problems: string, note = "") => ({
    name: step.name,
    passed: problems === "",
    problems,
    note,
    durationMs: performance.now() - started,
  });
  try {
    const { problems, note } = await step.run();
    return end(problems.trim(), note);
  } catch (error) {
    return end(error instanceof Error ? (error.stack ?? error.message) : String(error));
  }
}
