import { formatPosition } from "@muster/shared/errors";
import type { Command } from "commander";
import type { Cli } from "../cli.ts";
import type { CheckoutProblem } from "../offline.ts";
import { cleanText } from "../output/text.ts";
import { plural } from "../words.ts";
import { addToolOptions, type ToolOptions, toolOptions } from "./tool-options.ts";

/** Something is wrong in what was written. */
const PROBLEMS_EXIT_CODE = 2;

/** `muster validate DIR`: what the hub would say of a checkout, without a hub. */
export function addValidateCommand(program: Command, cli: Cli): void {
  const command = program
    .command("validate <dir>")
    .summary("check a checkout as the hub would, without a hub; exit code 2 if anything is wrong")
    .description(
      "Check every document of a checkout, and render every bundle for every cluster. Prints each problem as file:line:column: message [CODE]. Exit code 2 if there is any. DIR stands for the whole of what the hub reads.",
    );
  addToolOptions(command).action(async (directory: string, options: ToolOptions) => {
    const { openCheckout, placeIn } = await import("../offline.ts");
    const checkout = await openCheckout({ directory, ...toolOptions(options) });
    const problems = await checkout.validate(cli.terminal.signal);
    for (const problem of problems) {
      const place = formatPosition(placeIn(directory, problem.at));
      cli.print(
        `${cli.paint("strong", cleanText(place))}: ${cleanText(problem.message)}${onTargets(problem)} ${cli.paint("faint", `[${problem.code}]`)}`,
      );
    }
    const { clusters, bundles, targets } = checkout.model;
    const found = problems.length === 0 ? cli.paint("good", "✓ no problems") : cli.paint("bad", `✗ ${plural(problems.length, "problem")}`);
    cli.remark(`${found} in ${plural(clusters.size, "cluster")}, ${plural(bundles.size, "bundle")}, ${plural(targets.length, "target")}`);
    if (problems.length > 0) cli.exitCode = PROBLEMS_EXIT_CODE;
  });
}

/** Who is held back by it: ` (podinfo on eu-west-1 and 2 more)`. */
function onTargets({ targets }: CheckoutProblem): string {
  const [first] = targets;
  if (!first) return "";
  return ` (${first.bundle} on ${first.cluster}${targets.length > 1 ? ` and ${targets.length - 1} more` : ""})`;
}
