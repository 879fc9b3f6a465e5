import { CodedError } from "@muster/shared/errors";
import type { BundleFiles } from "../bundle/bundle-files.ts";
import { joinPath } from "../bundle/bundle-path.ts";
import { toolMessage } from "../sandbox/tool-message.ts";
import { type HelmInput, valuesName } from "./helm-input.ts";

/**
 * Where helm 4 says that something is wrong, with the chart's name as the first part of the path:
 *   demo/templates/a.yaml:4:18 executing …           (a template that fails)
 *   parse error at (demo/templates/a.yaml:1): …      (a template that does not parse)
 *   execution error at (demo/templates/a.yaml:1:6)   (fail, required)
 *   YAML parse error on demo/templates/a.yaml: … yaml: line 3: …   (output that is no YAML; the line is the output's)
 */
const PLACE = /(?:^|[\s("])([\w.-]+)\/((?:charts|templates|crds)\/[^\s:()"]+)(?::(\d+))?(?::(\d+))?/;

/** RENDER_HELM with the template's file, and its line where helm says it. */
export function helmError(stderr: string, folder: string, files: BundleFiles, { chart, values }: HelmInput): CodedError {
  let message = toolMessage(stderr, folder);
  for (const [index, value] of values.entries())
    message = message.replaceAll(valuesName(index), "file" in value ? files.position(value.file).file : "helm.values");
  const [, , path, line, column] = PLACE.exec(message) ?? [];
  const file = path === undefined ? joinPath(chart, "Chart.yaml") : joinPath(chart, path);
  return new CodedError("RENDER_HELM", message, {
    at: { ...files.position(file), ...(line && { line: Number(line) }), ...(column && { column: Number(column) }) },
  });
}
