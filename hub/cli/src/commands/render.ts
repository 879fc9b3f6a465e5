import { CodedError } from "@muster/shared/errors";
import { describeObjectRef, objectRefOf } from "@muster/shared/model";
import { type Command, Option } from "commander";
import type { Cli } from "../cli.ts";
import type { Checkout, CheckoutProblem, CheckoutTarget } from "../offline.ts";
import { errorLines } from "../output/error-text.ts";
import { cleanText } from "../output/text.ts";
import { nearest } from "../suggest-name.ts";
import { addToolOptions, type ToolOptions, toolOptions } from "./tool-options.ts";

type RenderFormat = "yaml" | "json" | "name";

interface RenderOptions extends ToolOptions {
  readonly dir: string;
  readonly output: RenderFormat;
}

/** `muster render CLUSTER [BUNDLE]`: what a cluster would get from a checkout, without a hub. */
export function addRenderCommand(program: Command, cli: Cli): void {
  const command = program
    .command("render <cluster> [bundle]")
    .summary("print what a cluster gets from a checkout, without a hub")
    .description(
      "Print the objects that a cluster would get from a checkout: all of its bundles, or one. Renders as the hub does. Remarks and errors go to standard error.",
    )
    .option("--dir <dir>", "the checkout", ".")
    .addOption(new Option("-o, --output <format>", "how to print").choices(["yaml", "json", "name"]).default("yaml"));
  addToolOptions(command).action(async (cluster: string, bundle: string | undefined, options: RenderOptions) => {
    const { openCheckout, placeIn } = await import("../offline.ts");
    const checkout = await openCheckout({ directory: options.dir, ...toolOptions(options) });
    const tell = (error: CodedError, detail: string): void => {
      const placed = new CodedError(error.code, error.message, {
        cause: error,
        at: placeIn(options.dir, error.at),
        data: { ...error.data, detail: `${detail} ${error.info.meaning}` },
      });
      cli.exitCode ||= error.info.exitCode;
      cli.remark(errorLines(placed, cli.paint, cli.width).join("\n"));
    };
    const rendered: CheckoutTarget[] = [];
    for (const target of targetsOf(checkout, cluster, bundle)) {
      try {
        rendered.push(await checkout.render(target, cli.terminal.signal));
      } catch (error) {
        if (cli.terminal.signal?.aborted) throw error;
        tell(CodedError.from(error), `Bundle ${target.bundle.name} on cluster ${cluster}.`);
      }
    }
    // Who asked for a whole cluster must not take what is here for all of it.
    const missing = bundle === undefined ? checkout.problemsOf(cluster, rendered) : [];
    for (const problem of missing) tell(toError(problem), "It may keep something from this cluster.");
    for (const { bundle: name, notices } of rendered)
      for (const notice of notices) cli.remark(`${name}: ${cleanText(notice.message)} [${notice.type}]`);
    if (rendered.length > 0) cli.print(await formatRendered(rendered, options.output));
  });
}

function toError({ code, message, at }: Pick<CheckoutProblem, "code" | "message" | "at">): CodedError {
  return new CodedError(code, message, at ? { at } : {});
}

/** The targets that are meant. Throws API_NOT_FOUND, or the first problem that holds back what was named. */
function targetsOf({ model }: Checkout, cluster: string, bundle: string | undefined) {
  for (const [kind, name, held] of [
    ["cluster", cluster, model.heldClusters],
    ["bundle", bundle, model.heldBundles],
  ] as const) {
    const problem =
      name !== undefined && held.has(name) ? model.problems.find(({ scope }) => scope.kind === kind && scope.name === name) : undefined;
    if (problem) throw toError(problem);
  }
  if (!model.clusters.has(cluster)) throw notFound("cluster", cluster, [...model.clusters.keys()]);
  if (bundle !== undefined && !model.bundles.has(bundle)) throw notFound("bundle", bundle, [...model.bundles.keys()]);
  const targets = model.targets.filter(
    (target) => target.cluster.name === cluster && target.bundle.name === (bundle ?? target.bundle.name),
  );
  // With a mistake in a document, that one may be what is missed.
  if (targets.length === 0 && (bundle !== undefined || model.problems.length === 0)) {
    const what = bundle === undefined ? `No bundle targets cluster ${cluster}` : `Bundle ${bundle} does not target cluster ${cluster}`;
    throw new CodedError("API_NOT_FOUND", what, {
      data: {
        detail: "Its labels match none of the selectors.",
        hint: "Compare `spec.targets` of the bundle with `metadata.labels` of the cluster.",
      },
    });
  }
  return targets;
}

function notFound(kind: string, name: string, known: readonly string[]): CodedError {
  const near = nearest(name, known);
  const detail = near === undefined ? `It declares: ${[...known].sort().join(", ") || "none"}` : `Did you mean ${near}?`;
  return new CodedError("API_NOT_FOUND", `The checkout declares no ${kind} ${name}`, {
    data: { detail, hint: "Check the name, and --dir." },
  });
}

async function formatRendered(rendered: readonly CheckoutTarget[], format: RenderFormat): Promise<string> {
  const manifests = rendered.flatMap((target) => target.manifests);
  if (format === "name") return manifests.map((manifest) => describeObjectRef(objectRefOf(manifest))).join("\n");
  if (format === "json") return JSON.stringify({ apiVersion: "v1", kind: "List", items: manifests }, undefined, 2);
  const { stringify } = await import("yaml");
  // Quoted so that YAML 1.1, which kubectl reads, takes `yes` and `1e3` for texts, too.
  const style = { lineWidth: 0, aliasDuplicateObjects: false, compat: "yaml-1.1" } as const;
  return rendered
    .flatMap((target) =>
      target.manifests.map(
        (manifest, index) => `# ${target.bundle}: ${cleanText(target.origins[index] ?? "")}\n${stringify(manifest, style)}`,
      ),
    )
    .join("---\n");
}
