#!/usr/bin/env node
import { enableCompileCache } from "node:module";
import { homedir } from "node:os";
import { join } from "node:path";

if (import.meta.main) {
  // Compiled code is kept, so that the second start takes a third of the first. A cache that cannot be written is no error.
  if (!process.env["NODE_COMPILE_CACHE"])
    enableCompileCache(join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "muster", "compiled"));
  // A reader that has seen enough (`muster get targets | head`) is no error.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));
  const stop = new AbortController();
  process.once("SIGINT", () => stop.abort());
  process.once("SIGTERM", () => stop.abort());
  const { run } = await import("./run.ts");
  process.exitCode = await run(process.argv.slice(2), {
    stdout: process.stdout,
    stderr: process.stderr,
    env: process.env,
    isTTY: process.stdout.isTTY === true,
    ...(process.stdout.columns && { columns: process.stdout.columns }),
    signal: stop.signal,
  });
}
