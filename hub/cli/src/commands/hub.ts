import { writeFile } from "node:fs/promises";
import { CodedError } from "@muster/shared/errors";
import { type Command, Option } from "commander";
import type { Cli } from "../cli.ts";

/** `muster hub backup`. */
export function addHubCommand(program: Command, cli: Cli): void {
  program
    .command("hub")
    .summary("keep the hub's keys")
    .description("Keep the hub's keys. A hub that was lost is made the same one again with `muster-hub restore FILE`, where it is to run.")
    .command("backup")
    .summary("fetch the hub's keys, encrypted with age")
    .description(
      "Fetch the hub's keys, encrypted with age (https://age-encryption.org) to the recipients that the hub's configuration names (backup.recipients). With them and with Git a lost hub is the same one again.",
    )
    .addOption(new Option("--out <file>", "write it there, in place of standard output"))
    .action(async ({ out }: { readonly out?: string }) => {
      const api = await cli.api();
      const { backup } = await api.post<{ readonly backup: string }>("/backup", {});
      if (out === undefined) return cli.print(backup);
      await writeFile(out, backup, { mode: 0o600, flag: "wx" }).catch((cause: unknown) => {
        throw new CodedError("CLI_USAGE", `${out} cannot be written, or is there already`, { cause });
      });
      cli.remark(`The hub's keys are in ${out}.`);
    });
}
