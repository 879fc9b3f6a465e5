import { CodedError } from "@muster/shared/errors";
import type { BundleFiles } from "../bundle/bundle-files.ts";
import type { DocumentReader } from "../documents/document-reader.ts";
import { objectsOf } from "../documents/objects-of.ts";
import type { RenderPlan } from "../render-plan.ts";
import type { RenderedObject } from "../rendered-objects.ts";
import type { Toolbox } from "../sandbox/tool.ts";
import { callKey, inputPath, readInputs, type ToolCall } from "../sandbox/tool-call.ts";
import { toolMessage } from "../sandbox/tool-message.ts";
import { checkKustomization, kustomizationFile } from "./check-kustomization.ts";

/** Builds kustomizations with the real kustomize. */
export class KustomizeRenderer {
  readonly #command: string;
  readonly #tools: Toolbox;
  readonly #reader: DocumentReader;

  constructor(command: string, tools: Toolbox, reader: DocumentReader) {
    this.#command = command;
    this.#tools = tools;
    this.#reader = reader;
  }

  /** `directory` is the kustomization's, relative to the bundle. Throws BUNDLE_FILE_MISSING. */
  async plan(files: BundleFiles, directory: string, signal: AbortSignal): Promise<RenderPlan> {
    const version = await this.#tools.version(this.#command, ["version"], signal);
    const call: ToolCall = { args: ["build", inputPath(directory)], tree: "", extra: [] };
    const key = callKey("kustomize", version, call, files);
    return { key, run: async (runSignal) => ({ key, objects: await this.#build(files, directory, call, runSignal), notices: [] }) };
  }

  /** Throws BUNDLE_*, RENDER_* and YAML_*. */
  async #build(files: BundleFiles, directory: string, call: ToolCall, signal: AbortSignal): Promise<RenderedObject[]> {
    await checkKustomization(files, directory, this.#reader);
    const at = files.position(kustomizationFile(files, directory) ?? directory);
    const result = await this.#tools.call(this.#command, call, await readInputs(call, files), signal);
    if (result.code !== 0) throw new CodedError("RENDER_KUSTOMIZE", toolMessage(result.stderr, result.folder), { at });
    const documents = await this.#reader.read(result.stdout, at, this.#tools.maxOutputBytes);
    return documents.flatMap((document) => {
      const objects = objectsOf(document, at);
      return objects.map((object) => ({ object, origin: at.file, at, bytes: document.bytes / objects.length }));
    });
  }
}
