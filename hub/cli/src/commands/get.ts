import { CodedError } from "@muster/shared/errors";
import { type Command, Option } from "commander";
import type { Cli } from "../cli.ts";
import { fetchNamed } from "../fetch-named.ts";
import { formatStructured, OUTPUT_FORMATS, type OutputFormat } from "../output/structured.ts";
import { forEachResource } from "../resources/all-resources.ts";
import { nameOf, rowsOf, tablePrinter } from "../resources/print-resource.ts";
import type { ListRequest, Resource } from "../resources/resource.ts";

/** Options of `muster get`. */
export interface GetOptions {
  readonly output: OutputFormat;
  readonly selector?: string;
  readonly cluster?: string;
  readonly bundle?: string;
  readonly watch?: boolean;
}

/** `muster get RESOURCE [NAME]`. */
export function addGetCommand(program: Command, cli: Cli): void {
  const get = program
    .command("get")
    .summary("list clusters, bundles, targets, drift, revisions or events")
    .description("List what the hub knows. What needs somebody comes first.");
  forEachResource((resource) => {
    const command = get
      .command(`${resource.plural} [name]`)
      .aliases([...resource.aliases])
      .summary(resource.summary)
      .description(`List ${resource.summary}. NAME is ${resource.nameHelp}.`)
      .addOption(new Option("-o, --output <format>", "how to print").choices([...OUTPUT_FORMATS]).default("table"))
      .option("-w, --watch", "go on, and print what changes; what goes is told in a table only");
    if (resource.filters.includes("selector"))
      command.option("-l, --selector <selector>", "labels of the cluster, as kubectl takes them: env=prod,region in (eu,us)");
    if (resource.filters.includes("cluster")) command.option("--cluster <name>", "only of this cluster");
    if (resource.filters.includes("bundle")) command.option("--bundle <name>", "only of this bundle");
    command.action(async (name: string | undefined, options: GetOptions) => getResource(cli, resource, name, options));
  });
}

async function getResource<T>(cli: Cli, resource: Resource<T>, name: string | undefined, options: GetOptions): Promise<void> {
  if (name !== undefined && options.selector !== undefined) throw new CodedError("CLI_USAGE", "A name and a selector exclude each other");
  if (name !== undefined && options.cluster !== undefined && resource.nameHelp === "a cluster")
    throw new CodedError("CLI_USAGE", "Name the cluster once: as the argument, or with --cluster");
  const request: ListRequest = {
    ...(name !== undefined && { name: withoutKind(name, resource) }),
    ...(options.selector !== undefined && { selector: options.selector }),
    ...(options.cluster !== undefined && { cluster: options.cluster }),
    ...(options.bundle !== undefined && { bundle: options.bundle }),
  };
  const api = await cli.api();
  if (options.watch) {
    const { watchResource } = await import("../watch-resource.ts");
    await watchResource(cli, resource, request, options.output);
    return;
  }
  const { items, single } = await fetchNamed(api, resource, request);
  if (options.output === "json" || options.output === "yaml") {
    cli.print(await formatStructured(single ? items[0] : { items }, options.output));
    return;
  }
  if (items.length === 0) {
    cli.remark(resource.empty);
    return;
  }
  const sorted = [...items].sort(resource.compare);
  if (options.output === "name") cli.print(sorted.map((item) => nameOf(resource, item)));
  else {
    const wide = options.output === "wide";
    cli.print(tablePrinter(cli, resource, wide).lines(rowsOf(resource, sorted, wide), { header: true }));
  }
}

/** What `-o name` prints is taken as a name, too. */
function withoutKind<T>(name: string, resource: Resource<T>): string {
  const prefix = `${resource.singular}/`;
  return name.startsWith(prefix) ? name.slice(prefix.length) : name;
}
