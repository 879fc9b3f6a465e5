import { type ChildProcess, spawn } from "node:child_process";
import { CodedError } from "@muster/shared/errors";
import { type Clock, systemClock } from "@muster/shared/runtime";
import { networkIsolation } from "./network-isolation.ts";
import { residentBytes } from "./process-memory.ts";
import { isolationError, sandboxError } from "./sandbox-error.ts";
import { toolEnvironment } from "./tool-environment.ts";

/** Milliseconds between two looks at a tool's memory. */
const MEMORY_POLL_MS = 20;
/** Bytes of standard error that are kept. */
const MAX_ERROR_BYTES = 64 * 1024;

/** What one run of a tool may take. */
export interface ToolLimits {
  /** Milliseconds of wall clock. */
  readonly timeoutMs: number;
  /** Bytes of standard output. */
  readonly maxOutputBytes: number;
  /** Resident bytes. */
  readonly maxMemoryBytes: number;
}

/** One run of a tool. */
export interface ToolRun extends ToolLimits {
  /** Absolute path. */
  readonly path: string;
  /** For messages. */
  readonly name: string;
  readonly args: readonly string[];
  /** The private folder: working directory, home, everything. */
  readonly folder: string;
  readonly signal: AbortSignal;
  readonly clock?: Clock;
  /** What to put before the command. Default: what {@link networkIsolation} finds. */
  readonly isolation?: readonly string[];
}

/** How a run ended by itself. */
export interface ToolResult {
  readonly code: number;
  readonly stdout: Buffer;
  readonly stderr: string;
}

const running = new Set<number>();
let hooked = false;

/** A tool must not outlive the hub. */
function hookExit(): void {
  if (hooked) return;
  hooked = true;
  process.once("exit", () => {
    for (const pid of running) killGroup(pid);
  });
}

/**
 * Runs a tool: no shell, its own process group, an environment of its own, no network where the kernel lets us. Throws
 * RENDER_TIMEOUT, RENDER_LIMIT, RENDER_TOOL_MISSING, RENDER_SANDBOX, or the signal's reason; a tool that fails by itself
 * is a result.
 */
export async function runTool(run: ToolRun): Promise<ToolResult> {
  run.signal.throwIfAborted();
  hookExit();
  const isolation = run.isolation ?? (await networkIsolation());
  const [command = run.path, ...args] = [...isolation, run.path, ...run.args];
  const child = start(command, args, run);
  const { pid } = child;
  if (pid !== undefined) running.add(pid);
  const stopped = new AbortController();
  let verdict: unknown;
  const kill = (why: unknown) => {
    verdict ??= why;
    if (pid !== undefined) killGroup(pid);
  };
  const timer = setTimeout(
    () => kill(new CodedError("RENDER_TIMEOUT", `${run.name} was stopped after ${run.timeoutMs} ms`)),
    run.timeoutMs,
  );
  const abort = () => kill(run.signal.reason);
  run.signal.addEventListener("abort", abort, { once: true });
  try {
    const output = collect(child, run, kill);
    if (pid !== undefined) void watchMemory(pid, run, kill, stopped.signal);
    const code = await ended(child, run.name);
    if (verdict !== undefined) throw verdict;
    // Something else killed it; on a machine short of memory that is the kernel.
    if (code === undefined) throw new CodedError("RENDER_LIMIT", `${run.name} was killed, probably for its use of memory`);
    const stderr = Buffer.concat(output.stderr).toString("utf8");
    const failed = code !== 0 && isolation.length > 0 ? isolationError(stderr) : undefined;
    if (failed) throw failed;
    return { code, stdout: Buffer.concat(output.stdout), stderr };
  } finally {
    clearTimeout(timer);
    stopped.abort();
    run.signal.removeEventListener("abort", abort);
    if (pid !== undefined) {
      // What it may have started itself goes too.
      killGroup(pid);
      running.delete(pid);
    }
  }
}

function start(command: string, args: readonly string[], run: ToolRun): ChildProcess {
  try {
    return spawn(command, args, {
      cwd: run.folder,
      env: toolEnvironment(run.folder, run.maxMemoryBytes),
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
  } catch (error) {
    throw startError(error, run.name);
  }
}

function startError(error: unknown, name: string): unknown {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "ENOENT" || code === "EACCES")
    return new CodedError("RENDER_TOOL_MISSING", `${name} could not be started`, { cause: error });
  if (code === "E2BIG") return new CodedError("RENDER_LIMIT", `${name} would get more arguments than the system takes`, { cause: error });
  return sandboxError(error);
}

function collect(child: ChildProcess, run: ToolRun, kill: (why: unknown) => void): { stdout: Buffer[]; stderr: Buffer[] } {
  const output = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
  let bytes = 0;
  let errorBytes = 0;
  child.stdout?.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes <= run.maxOutputBytes) output.stdout.push(chunk);
    else kill(new CodedError("RENDER_LIMIT", `${run.name} wrote more than ${run.maxOutputBytes} bytes`));
  });
  child.stderr?.on("data", (chunk: Buffer) => {
    if (errorBytes < MAX_ERROR_BYTES) output.stderr.push(chunk.subarray(0, MAX_ERROR_BYTES - errorBytes));
    errorBytes += chunk.length;
  });
  return output;
}

async function watchMemory(pid: number, run: ToolRun, kill: (why: unknown) => void, stopped: AbortSignal): Promise<void> {
  const clock = run.clock ?? systemClock;
  for (;;) {
    const bytes = await residentBytes(pid);
    if (stopped.aborted) return;
    if (bytes !== undefined && bytes > run.maxMemoryBytes) {
      kill(new CodedError("RENDER_LIMIT", `${run.name} used more than ${run.maxMemoryBytes} bytes of memory`));
      return;
    }
    try {
      await clock.sleep(MEMORY_POLL_MS, stopped);
    } catch {
      return;
    }
  }
}

/** The exit code; undefined if a signal ended it. */
function ended(child: ChildProcess, name: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    child.once("error", (error) => reject(startError(error, name)));
    child.once("close", (code) => resolve(code ?? undefined));
  });
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // It is gone already.
  }
}
