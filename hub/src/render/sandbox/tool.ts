import { CodedError } from "@muster/shared/errors";
import { type Clock, systemClock } from "@muster/shared/runtime";
import { SharedWork } from "../cache/shared-work.ts";
import { Slots } from "../cache/slots.ts";
import { findTool } from "./find-tool.ts";
import { type PrivateFolder, withPrivateFolder } from "./private-folder.ts";
import { runTool, type ToolLimits, type ToolResult } from "./run-tool.ts";
import type { CallInputs, ToolCall } from "./tool-call.ts";

/** Options of {@link Toolbox}. */
export interface ToolboxOptions extends ToolLimits {
  /** Tools that run at the same time. */
  readonly concurrency: number;
  /** Private folders are made here. Default: the system's temporary folder. */
  readonly temporaryFolder?: string;
  readonly clock?: Clock;
}

/** Milliseconds for which a tool's file is taken to be the same. */
const RECHECK_MS = 1_000;

/** Runs tools in private folders, a bounded number at a time. */
export class Toolbox {
  readonly #options: ToolboxOptions;
  readonly #slots: Slots;
  readonly #clock: Clock;
  readonly #versions = new Map<string, string>();
  readonly #asking = new SharedWork<string>();
  readonly #recent = new Map<string, { readonly version: string; readonly atMs: number }>();

  constructor(options: ToolboxOptions) {
    this.#options = options;
    this.#slots = new Slots(options.concurrency);
    this.#clock = options.clock ?? systemClock;
  }

  get maxOutputBytes(): number {
    return this.#options.maxOutputBytes;
  }

  /**
   * Version of a tool together with what tells its file from another build. Whether the file was replaced is looked at
   * once a second at most, and by one at a time: thousands of targets ask at once. Throws RENDER_TOOL_MISSING.
   */
  async version(command: string, args: readonly string[], signal: AbortSignal): Promise<string> {
    const recent = this.#recent.get(command);
    if (recent && this.#clock.monotonicMs() - recent.atMs < RECHECK_MS) return recent.version;
    return await this.#asking.run(command, (askSignal) => this.#look(command, args, askSignal), signal);
  }

  async #look(command: string, args: readonly string[], signal: AbortSignal): Promise<string> {
    const tool = await findTool(command);
    const version = this.#versions.get(tool.identity) ?? (await this.#ask(command, args, tool.identity, signal));
    this.#recent.set(command, { version, atMs: this.#clock.monotonicMs() });
    return version;
  }

  async #ask(command: string, args: readonly string[], identity: string, signal: AbortSignal): Promise<string> {
    const result = await this.inFolder((folder) => this.run(command, args, folder, signal));
    if (result.code !== 0) throw new CodedError("RENDER_TOOL_MISSING", `${command} does not say its version`);
    const version = `${result.stdout.toString("utf8").trim()} ${identity}`;
    this.#versions.set(identity, version);
    return version;
  }

  /** Runs a tool on a call's inputs in a folder of its own, which `folder` of the result named. Throws as runTool does. */
  async call(command: string, call: ToolCall, inputs: CallInputs, signal: AbortSignal): Promise<ToolResult & { readonly folder: string }> {
    return await this.inFolder(async (folder) => {
      for (const [name, content] of inputs) await folder.write(name, content);
      return { ...(await this.run(command, call.args, folder, signal)), folder: folder.path };
    });
  }

  /** Runs a task with a private folder. */
  inFolder<T>(task: (folder: PrivateFolder) => Promise<T>): Promise<T> {
    return withPrivateFolder(task, this.#options.temporaryFolder);
  }

  /** Runs a tool in a private folder when a slot is free. Throws as runTool does. */
  async run(command: string, args: readonly string[], folder: PrivateFolder, signal: AbortSignal): Promise<ToolResult> {
    const { path } = await findTool(command);
    const name = path.slice(path.lastIndexOf("/") + 1);
    return await this.#slots.run(() => runTool({ ...this.#options, path, name, args, folder: folder.path, signal }), signal);
  }
}
