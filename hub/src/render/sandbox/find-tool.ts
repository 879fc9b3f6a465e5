import { access, constants, realpath, stat } from "node:fs/promises";
import { delimiter, isAbsolute, join } from "node:path";
import { CodedError } from "@muster/shared/errors";

/** An executable file and what tells this build of it from another. */
export interface FoundTool {
  readonly path: string;
  /** Changes when the file is replaced. */
  readonly identity: string;
}

/** Finds a program by path, or by name in PATH. Throws RENDER_TOOL_MISSING. */
export async function findTool(command: string): Promise<FoundTool> {
  const folders = (process.env["PATH"] ?? "").split(delimiter).filter((folder) => isAbsolute(folder));
  const candidates = command.includes("/") ? [command] : folders.map((folder) => join(folder, command));
  for (const candidate of candidates) {
    try {
      await access(candidate, constants.X_OK);
      const path = await realpath(candidate);
      const file = await stat(path);
      if (file.isFile()) return { path, identity: `${file.size}-${file.mtimeMs}-${file.ino}` };
    } catch {
      // Not there or not executable: the next folder may have it.
    }
  }
  throw new CodedError("RENDER_TOOL_MISSING", `${command} is not installed`);
}
