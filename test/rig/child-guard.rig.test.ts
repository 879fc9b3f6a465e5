import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { eventually } from "./eventually.ts";

const PROGRAM = `
  import { startPart } from ${JSON.stringify(join(import.meta.dirname, "child-process-part.ts"))};
  const part = () => startPart({ name: "sleeper", command: "/bin/sleep", args: ["600"], logPath: "/dev/null", ready: async () => {} });
  await (await part()).kill();
  process.stdout.write(String((await part()).pid));
  setInterval(() => {}, 60_000);
`;

function isRunning(pid: number): boolean {
  try {
    // A process that nobody has waited for yet is a zombie, and no longer runs.
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

describe.skipIf(process.platform !== "linux")("parts of the rig", () => {
  it.each(["SIGTERM", "SIGINT", "SIGHUP", "SIGKILL"] as const)("do not outlive a process that %s ends", async (signal) => {
    const parent = spawn(process.execPath, ["--input-type=module", "--eval", PROGRAM], { stdio: ["ignore", "pipe", "inherit"] });
    const [output] = (await once(parent.stdout, "data")) as [Buffer];
    const pid = Number(output.toString());
    expect(isRunning(pid)).toBe(true);
    parent.kill(signal);
    await eventually(() => expect(isRunning(pid)).toBe(false), { message: "the part being gone" });
  });
});
