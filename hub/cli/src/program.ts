import { Command, Option } from "commander";
import type { Cli } from "./cli.ts";
import { addClusterCommand, addTokenCommand } from "./commands/cluster.ts";
import { addCompletionCommand } from "./commands/completion.ts";
import { addContextCommand } from "./commands/context.ts";
import { addDescribeCommand } from "./commands/describe.ts";
import { addGetCommand } from "./commands/get.ts";
import { addHubCommand } from "./commands/hub.ts";
import { addReconcileCommand } from "./commands/reconcile.ts";
import { addRenderCommand } from "./commands/render.ts";
import { addStatusCommand } from "./commands/status.ts";
import { addValidateCommand } from "./commands/validate.ts";
import { addVersionCommand } from "./commands/version.ts";
import { CLI_VERSION } from "./version.ts";

/** The command line of `muster`. */
export function createProgram(cli: Cli): Command {
  const program = new Command("muster")
    .description("See and steer a fleet of Kubernetes clusters that follows Git.")
    .addOption(new Option("--context <name>", "context of the configuration file to use"))
    .addOption(new Option("--url <url>", "URL of the hub, in place of a context (also MUSTER_URL)"))
    .addOption(new Option("--token-file <file>", "file that holds the token (also MUSTER_TOKEN_FILE)"))
    .addOption(new Option("--ca-file <file>", "PEM file of the CA of the hub's certificate (also MUSTER_CA_FILE)"))
    .addOption(new Option("--color <when>", "colours; NO_COLOR is respected").choices(["auto", "always", "never"]).default("auto"))
    .version(`muster ${CLI_VERSION}`, "-V, --version", "version of this command")
    .showSuggestionAfterError(true);
  program.exitOverride().configureOutput({
    writeOut: (text) => cli.terminal.stdout.write(text),
    // The error itself is printed once, in its three parts; what commander writes beside it is help.
    writeErr: (text) => cli.terminal.stderr.write(text),
    outputError: () => {},
    getOutHelpWidth: () => cli.width ?? 80,
    getErrHelpWidth: () => cli.width ?? 80,
  });
  addStatusCommand(program, cli);
  addGetCommand(program, cli);
  addDescribeCommand(program, cli);
  addReconcileCommand(program, cli);
  addClusterCommand(program, cli);
  addTokenCommand(program, cli);
  addHubCommand(program, cli);
  addRenderCommand(program, cli);
  addValidateCommand(program, cli);
  addContextCommand(program, cli);
  addCompletionCommand(program, cli);
  addVersionCommand(program, cli);
  return program;
}
