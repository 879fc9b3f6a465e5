import { type Command, Option } from "commander";
import type { Cli } from "../cli.ts";
import { formatStructured } from "../output/structured.ts";
import { cleanText } from "../output/text.ts";
import { suggesting } from "../suggest-name.ts";

interface DescribeOptions {
  readonly output: "text" | "json" | "yaml";
}

/** `muster describe cluster|bundle|target`. */
export function addDescribeCommand(program: Command, cli: Cli): void {
  const describe = program
    .command("describe")
    .summary("all about one cluster, bundle or target, what is wrong first")
    .description("All about one thing. What is wrong comes first, and how to mend it.");
  const output = () => new Option("-o, --output <format>", "how to print").choices(["text", "json", "yaml"]).default("text");

  describe
    .command("cluster <name>")
    .summary("a cluster with its targets, drift and held deletions")
    .addOption(output())
    .action(async (name: string, options: DescribeOptions) => {
      const { fetchCluster, clusterLines } = await import("../describe/describe-cluster.ts");
      const api = await cli.api();
      const known = await suggesting(api, { cluster: name }, () => fetchCluster(api, name));
      cli.print(options.output === "text" ? clusterLines(cli, known) : await formatStructured(known, options.output));
    });
  describe
    .command("bundle <name>")
    .summary("a bundle with its clusters")
    .addOption(output())
    .action(async (name: string, options: DescribeOptions) => {
      const { fetchBundle, bundleLines } = await import("../describe/describe-bundle.ts");
      const api = await cli.api();
      const known = await suggesting(api, { bundle: name }, () => fetchBundle(api, name));
      cli.print(options.output === "text" ? bundleLines(cli, known) : await formatStructured(known, options.output));
    });
  describe
    .command("target <bundle> <cluster>")
    .summary("a bundle on one cluster with every object that is not in order")
    .option("--objects", "ask the agent now for every object")
    .addOption(output())
    .action(async (bundle: string, cluster: string, options: DescribeOptions & { objects?: true }) => {
      const { fetchTarget, targetLines } = await import("../describe/describe-target.ts");
      const api = await cli.api();
      const known = await suggesting(api, { bundle, cluster }, () => fetchTarget(api, bundle, cluster, options.objects ?? false));
      if (options.output !== "text" && known.truncated) cli.remark(`The agent did not tell all: ${cleanText(known.truncated)}`);
      cli.print(options.output === "text" ? targetLines(cli, known) : await formatStructured(known, options.output));
    });
}
