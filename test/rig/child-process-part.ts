import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { guardChild } from "./child-guard.ts";
import { eventually } from "./eventually.ts";
import { isPortFree } from "./free-port.ts";
import { RigError } from "./rig-error.ts";

/** How to run one real program. */
export interface PartOptions {
  /** For messages. */
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Standard output and error go here; the end of it stands in the error if the start fails. */
  readonly logPath: string;
  /** Ports that must be free before the start. */
  readonly ports?: readonly number[];
  /** Throws until the program answers. */
  readonly ready: () => Promise<void>;
  /** Milliseconds until the start has failed. Default 60 000. */
  readonly readyTimeoutMs?: number;
}

/** A running program and its faults. */
export interface Part {
  readonly pid: number;
  readonly running: boolean;
  /** Ends it with SIGTERM, after 5 s with SIGKILL. */
  stop(): Promise<void>;
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>;
  /** SIGSTOP. */
  pause(): void;
  /** SIGCONT. */
  resume(): void;
  /** Starts it again on the same ports and data, from now on as another program if one is given; stops it first if it runs. */
  restart(command?: string): Promise<void>;
  /** Resolves with the exit code (128 + signal number for a signal) when the program ends. */
  exited(): Promise<number>;
  /** The last lines of its log. */
  logTail(lines?: number): string;
}

/** Starts a program and waits until it is ready. Throws RIG_PORT_BUSY or RIG_START_FAILED. */
export async function startPart(options: PartOptions): Promise<Part> {
  let { command } = options;
  let child: ChildProcess | undefined;
  let exit: Promise<number> = Promise.resolve(0);

  const logTail = (lines = 20): string => {
    try {
      return readFileSync(options.logPath, "utf8").trimEnd().split("\n").slice(-lines).join("\n");
    } catch {
      return "(no log)";
    }
  };

  async function start(): Promise<void> {
    for (const port of options.ports ?? []) {
      if (!(await isPortFree(port))) throw new RigError("RIG_PORT_BUSY", `${options.name}: something listens on port ${port} already`);
    }
    const log = openSync(options.logPath, "a", 0o600);
    const started = spawn(command, [...options.args], {
      stdio: ["ignore", log, log],
      // Ctrl-C at a terminal is for the process that stops its parts in order, not for all of them at once.
      detached: true,
      env: { PATH: process.env["PATH"] ?? "", HOME: options.cwd ?? "/", ...options.env },
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
    closeSync(log);
    child = started;
    guardChild(started);
    exit = new Promise((resolve) => {
      started.once("error", () => resolve(127));
      started.once("exit", (code, signal) => resolve(code ?? (signal === "SIGKILL" ? 137 : 143)));
    });
    let ended: number | undefined;
    void exit.then((code) => {
      ended = code;
    });
    try {
      await eventually(
        async () => {
          if (ended !== undefined) return;
          await options.ready();
        },
        { timeoutMs: options.readyTimeoutMs ?? 60_000, intervalMs: 50, message: `${options.name} being ready` },
      );
    } catch (error) {
      started.kill("SIGKILL");
      throw new RigError("RIG_START_FAILED", `${options.name} did not become ready:\n${logTail()}`, { cause: error });
    }
    if (ended !== undefined) throw new RigError("RIG_START_FAILED", `${options.name} ended with code ${ended} at its start:\n${logTail()}`);
  }

  async function end(signal: NodeJS.Signals): Promise<void> {
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGCONT");
    child.kill(signal);
    const timer = setTimeout(() => child?.kill("SIGKILL"), 5_000);
    await exit;
    clearTimeout(timer);
  }

  await start();
  return {
    get pid() {
      return child?.pid ?? 0;
    },
    get running() {
      return child !== undefined && child.exitCode === null && child.signalCode === null;
    },
    stop: () => end("SIGTERM"),
    kill: () => end("SIGKILL"),
    pause: () => void child?.kill("SIGSTOP"),
    resume: () => void child?.kill("SIGCONT"),
    async restart(next = command) {
      await end("SIGTERM");
      command = next;
      await start();
    },
    exited: () => exit,
    logTail,
  };
}
