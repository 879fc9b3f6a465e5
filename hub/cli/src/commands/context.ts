import { resolve } from "node:path";
import { CodedError } from "@muster/shared/errors";
import type { Command } from "commander";
import type { Cli } from "../cli.ts";
import { type CliConfig, type ContextEntry, configPath, readConfig, writeConfig } from "../config-file.ts";
import { checkUrl } from "../connection.ts";
import { formatTable } from "../output/table.ts";

/** `muster context list|use|set|delete`. */
export function addContextCommand(program: Command, cli: Cli): void {
  const path = () => configPath(cli.terminal.env);
  const context = program
    .command("context")
    .summary("choose between hubs")
    .description("Choose between hubs. They stand in the configuration file; tokens stay in files of their own.");
  context
    .command("list")
    .alias("ls")
    .summary("contexts, and which is in use")
    .action(async () => cli.print(contextLines(cli, await readConfig(path()))));
  context
    .command("use <name>")
    .summary("use a context from now on")
    .action(async (name: string) => {
      const config = await readConfig(path());
      knownContext(config, name);
      await writeConfig(path(), { ...config, current: name });
      cli.print(`Using ${name} from now on.`);
    });
  context
    .command("set <name>")
    .summary("add or change a context: set NAME --url URL --token-file FILE [--ca-file FILE]")
    .description(
      "Add or change a context with the options --url, --token-file and --ca-file; what is not given stays. The first context is used at once.",
    )
    .action(async (name: string) => {
      const config = await readConfig(path());
      const before = Object.hasOwn(config.contexts, name) ? config.contexts[name] : undefined;
      const entry = entryOf(cli, before);
      const current = config.current ?? name;
      await writeConfig(path(), { current, contexts: { ...config.contexts, [name]: entry } });
      cli.print(`${before ? "Changed" : "Added"} ${name}: ${entry.url}${current === name ? ", in use" : ""}.`);
    });
  context
    .command("delete <name>")
    .alias("rm")
    .summary("forget a context; its token file stays")
    .action(async (name: string) => {
      const config = await readConfig(path());
      knownContext(config, name);
      const { [name]: _gone, ...contexts } = config.contexts;
      await writeConfig(path(), { ...(config.current !== name && config.current !== undefined && { current: config.current }), contexts });
      cli.print(`Deleted ${name}.${config.current === name ? " No context is in use now." : ""}`);
    });
}

/** Paths are kept absolute: the command is run from anywhere. */
function entryOf(cli: Cli, before: ContextEntry | undefined): ContextEntry {
  const { url = before?.url, tokenFile, caFile } = cli.options;
  if (url === undefined) throw new CodedError("CLI_USAGE", "A context needs a URL", { data: { hint: "Add --url https://hub.example." } });
  const token = tokenFile === undefined ? before?.tokenFile : resolve(tokenFile);
  const ca = caFile === undefined ? before?.caFile : resolve(caFile);
  return { url: checkUrl(url), ...(token !== undefined && { tokenFile: token }), ...(ca !== undefined && { caFile: ca }) };
}

function knownContext({ contexts }: CliConfig, name: string): void {
  if (Object.hasOwn(contexts, name)) return;
  const names = Object.keys(contexts).sort();
  throw new CodedError("CLI_CONTEXT", `There is no context ${name}`, {
    data: { detail: names.length === 0 ? "There are none" : `There are: ${names.join(", ")}` },
  });
}

function contextLines(cli: Cli, { current, contexts }: CliConfig): string[] {
  const rows = Object.entries(contexts).sort(([a], [b]) => (a < b ? -1 : 1));
  if (rows.length === 0) return ["No contexts. Add one: muster context set NAME --url URL --token-file FILE"];
  return formatTable<[string, ContextEntry]>(
    [
      { title: "IN USE", cell: ([name]) => (name === current ? { text: "*", tone: "good" } : " ") },
      { title: "NAME", cell: ([name]) => name },
      { title: "URL", cell: ([, entry]) => entry.url, elastic: true },
      { title: "TOKEN FILE", cell: ([, entry]) => entry.tokenFile ?? "", elastic: true },
      { title: "CA FILE", cell: ([, entry]) => entry.caFile ?? "", elastic: true, optional: true },
    ],
    rows,
    { paint: cli.paint, width: cli.width },
  );
}
