import { CodedError } from "@muster/shared/errors";
import { CommanderError } from "commander";
import { createCli } from "./cli.ts";
import { errorLines } from "./output/error-text.ts";
import { createProgram } from "./program.ts";
import type { Terminal } from "./terminal.ts";

/** As a shell reports a program that Ctrl-C has ended. */
const INTERRUPTED = 130;

/**
 * Runs one command line (without `node` and the script) and gives its exit code: 0 done, 1 failed or something in the
 * fleet is not in order, 2 called wrongly or wrong input, 3 the hub or a cluster cannot be reached, 4 not allowed,
 * 5 not found, 130 interrupted. Never throws and never ends the process.
 */
export async function run(argv: readonly string[], terminal: Terminal): Promise<number> {
  const cli = createCli(terminal, () => program.opts());
  const program = createProgram(cli);
  try {
    await program.parseAsync([...argv], { from: "user" });
    return cli.exitCode;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0;
    if (terminal.signal?.aborted) return INTERRUPTED;
    const coded = error instanceof CommanderError ? usageError(error) : CodedError.from(error);
    terminal.stderr.write(`${errorLines(coded, cli.paint, cli.width).join("\n")}\n`);
    return coded.info.exitCode;
  }
}

/** commander says what was wrong, and after it what may have been meant. */
function usageError(error: CommanderError): CodedError {
  if (error.code === "commander.help") return new CodedError("CLI_USAGE", "A command is missing");
  const [what = "", suggestion] = error.message.replace(/^error: /, "").split("\n");
  return new CodedError("CLI_USAGE", what, suggestion ? { data: { detail: suggestion.replace(/^\(|\)$/g, "") } } : {});
}
