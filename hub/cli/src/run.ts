import { CodedError } from "@muster/shared/errors";
import { type Command, CommanderError } from "commander";
import { createCli } from "./cli.ts";
import { errorLines } from "./output/error-text.ts";
import { createProgram } from "./program.ts";
import type { Terminal } from "./terminal.ts";

/** As a shell reports a program that Ctrl-C has ended. */
const INTERRUPTED = 130;
const USAGE_EXIT_CODE = 2;

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
    // The help was printed already.
    if (error instanceof CommanderError && error.code === "commander.help") return USAGE_EXIT_CODE;
    const coded = error instanceof CommanderError ? usageError(error, commandOf(program, argv)) : CodedError.from(error);
    terminal.stderr.write(`${errorLines(coded, cli.paint, cli.width).join("\n")}\n`);
    return coded.info.exitCode;
  }
}

/** commander says what was wrong, and after it what may have been meant. */
function usageError(error: CommanderError, command: string): CodedError {
  const [what = "", suggestion] = error.message.replace(/^error: /, "").split("\n");
  const detail = suggestion?.replace(/^\(|\)$/g, "");
  return new CodedError("CLI_USAGE", what, { data: { hint: `See \`${command} --help\`.`, ...(detail && { detail }) } });
}

/** The command that was meant, as far as it can be told: `muster get clusters`. */
function commandOf(program: Command, argv: readonly string[]): string {
  let command = program;
  const path = [program.name()];
  for (const word of argv) {
    const next = command.commands.find((one) => one.name() === word || one.aliases().includes(word));
    if (!next) continue;
    command = next;
    path.push(next.name());
  }
  return path.join(" ");
}
