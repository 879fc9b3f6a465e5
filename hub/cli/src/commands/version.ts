import { type Command, Option } from "commander";
import type { Cli } from "../cli.ts";
import { formatStructured } from "../output/structured.ts";
import { CLI_VERSION } from "../version.ts";

/** `muster version`. Works without a hub. */
export function addVersionCommand(program: Command, cli: Cli): void {
  program
    .command("version")
    .summary("version of this command")
    .addOption(new Option("-o, --output <format>", "how to print").choices(["text", "json", "yaml"]).default("text"))
    .action(async ({ output }: { output: "text" | "json" | "yaml" }) => {
      cli.print(
        output === "text" ? `muster ${CLI_VERSION}` : await formatStructured({ version: CLI_VERSION, node: process.versions.node }, output),
      );
    });
}
