import { Argument, type Command } from "commander";
import type { Cli } from "../cli.ts";

const SHELLS = ["bash", "zsh", "fish"] as const;
type Shell = (typeof SHELLS)[number];

/** `muster completion SHELL`: a script that is made from the commands themselves. */
export function addCompletionCommand(program: Command, cli: Cli): void {
  program
    .command("completion")
    .summary("print a completion script for bash, zsh or fish")
    .description(
      "Print a completion script. bash and zsh: source <(muster completion bash). fish: muster completion fish > ~/.config/fish/completions/muster.fish",
    )
    .addArgument(new Argument("<shell>").choices([...SHELLS]))
    .action(async (shell: Shell) => {
      const { completionScript } = await import("../completion-script.ts");
      cli.print(completionScript(program, shell));
    });
}
