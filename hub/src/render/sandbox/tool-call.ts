import { digestJson } from "@muster/shared/wire";
import type { BundleFiles } from "../bundle/bundle-files.ts";
import { joinPath } from "../bundle/bundle-path.ts";

/** One more file of a run, by its name in the private folder: a text, or a file of the bundle. */
export type ExtraFile = { readonly name: string; readonly text: string } | { readonly name: string; readonly path: string };

/**
 * All that a run of a tool gets. It is run from this value and known in the cache by it, so that nothing can reach the
 * tool that does not stand in the key.
 */
export interface ToolCall {
  /** Paths in it are relative to the private folder, the tool's working directory: they are the same in every run. */
  readonly args: readonly string[];
  /** Directory of the bundle that stands below {@link inputPath}; "" for all of it. */
  readonly tree: string;
  readonly extra: readonly ExtraFile[];
}

/** Contents by name in the private folder. */
export type CallInputs = ReadonlyMap<string, Uint8Array | string>;

/** Where a path of the bundle stands, as a tool gets it. */
export function inputPath(path: string): string {
  return joinPath("./input", path);
}

/** Digest of the tool and of everything that the call gives to it. */
export function callKey(tool: string, version: string, call: ToolCall, files: BundleFiles): string {
  const extra = call.extra.map((file) => [file.name, "text" in file ? file.text : [file.path, files.files.get(file.path)?.oid ?? ""]]);
  // Positions of errors are part of the result too.
  return digestJson([tool, version, files.position(call.tree), call.args, call.tree, files.digestBelow(call.tree), extra]);
}

/** Reads what the call gives to the tool. Throws BUNDLE_FILE_MISSING, RENDER_LIMIT. */
export async function readInputs(call: ToolCall, files: BundleFiles): Promise<CallInputs> {
  const inputs = new Map<string, Uint8Array | string>();
  for (const [path, content] of await files.readAll(files.below(call.tree))) inputs.set(`input/${path}`, content);
  for (const file of call.extra) inputs.set(file.name, "text" in file ? file.text : await files.read(file.path));
  return inputs;
}
