import { type ChildProcess, spawn } from "node:child_process";
import type { Socket } from "node:net";

/**
 * A shell that reads `+ PID` and `- PID` from this process and kills what is left when it hears no more. A pipe ends with its
 * writer in every case, also after SIGKILL, in which no handler of ours could run.
 */
const SCRIPT = `
pids=
while read -r sign pid; do
  case $sign in
    +) pids="$pids $pid" ;;
    -) rest=; for one in $pids; do [ "$one" = "$pid" ] || rest="$rest $one"; done; pids=$rest ;;
  esac
done
[ -z "$pids" ] || kill -KILL $pids 2>/dev/null
`;

let guard: ChildProcess | undefined;

/** Makes sure that a child does not outlive this process, however this process ends. */
export function guardChild(child: ChildProcess): void {
  const { pid } = child;
  if (pid === undefined) return;
  if (!guard) {
    // Detached: Ctrl-C at a terminal is meant for this process, and the guard must be there after it.
    guard = spawn("/bin/sh", ["-c", SCRIPT], { stdio: ["pipe", "ignore", "ignore"], detached: true, env: {}, cwd: "/" });
    guard.on("error", () => {});
    guard.stdin?.on("error", () => {});
    guard.unref();
    (guard.stdin as Socket | null)?.unref();
  }
  guard.stdin?.write(`+ ${pid}\n`);
  child.once("exit", () => guard?.stdin?.write(`- ${pid}\n`));
}
