import { CodedError } from "@muster/shared/errors";
import type { BundleFiles } from "../bundle/bundle-files.ts";
import { joinPath } from "../bundle/bundle-path.ts";
import { toolMessage } from "../sandbox/tool-message.ts";

/**
 * Where helm 4 says that something is wrong, with the chart's name as the first part of the path:
 *   demo/templates/a.yaml:4:18 executing …           (a template that fails)
 *   parse error at (demo/templates/a.yaml:1): …      (a template that does not parse)
 *   execution error at (demo/templates/a.yaml:1:6)   (fail, required)
 *   YAML parse error on demo/templates/a.yaml: … yaml: line 3: …   (output that is no YAML; the line is the output's)
 */
const PLACE = /(?:^|[\s("])([\w.-]+)\/((?:charts|templates|crds)\/[^\s:()"]+)(?::(\d+))?(?::(\d+))?/;

/** RENDER_HELM with the template's file, and its line where helm says it. */
export function helmError(
  stderr: string,
  folder: string,
  files: BundleFiles,
  chart: string,
  names: ReadonlyMap<string, string>,
): CodedError {
  let message = toolMessage(stderr, folder);
  for (const [written, original] of names) message = message.replaceAll(written, original);
  const [, , path, line, column] = PLACE.exec(message) ?? [];
  const file = path === undefined ? joinPath(chart, "Chart.yaml") : joinPath(chart, path);
  return new CodedError("RENDER_HELM", message, {
    at: { ...files.position(file), ...(line && { line: Number(line) }), ...(column && { column: Number(column) }) },
  });
}
