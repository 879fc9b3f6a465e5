// Runs a script of this repository on the pinned Node, after installing what is missing. Works on any Node from 20 on, with
// nothing installed: node test/bootstrap.mjs SCRIPT [ARGS…]
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const modules = join(root, "node_modules");
const binaries = join(modules, ".bin");
const stamp = join(modules, ".muster-lock");

function fail(message) {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}

if (Number(process.versions.node.split(".")[0]) < 20) fail(`Node 20 or newer is needed; this is ${process.versions.node}.`);
for (const tool of ["npm", "git"]) {
  if (spawnSync(tool, ["--version"], { stdio: "ignore" }).status !== 0) fail(`${tool} is needed and was not found in PATH.`);
}

// A lockfile that did not change needs no install.
const lock = createHash("sha256")
  .update(readFileSync(join(root, "package-lock.json")))
  .digest("hex");
const installed = existsSync(stamp) && existsSync(join(binaries, "node")) && readFileSync(stamp, "utf8") === lock;
if (!installed) {
  process.stderr.write("installing npm packages (once)\n");
  const { status } = spawnSync("npm", ["ci", "--loglevel=error"], { cwd: root, stdio: "inherit" });
  if (status !== 0) fail("npm ci failed; its messages above say why.");
  writeFileSync(stamp, lock);
}

const [script, ...args] = process.argv.slice(2);
if (!script) fail("usage: node test/bootstrap.mjs SCRIPT [ARGS…]");
const child = spawn(join(binaries, "node"), [join(root, script), ...args], {
  cwd: root,
  stdio: "inherit",
  env: { ...process.env, PATH: `${binaries}${delimiter}${process.env.PATH ?? ""}` },
});
// Ctrl-C reaches the child by itself; it must end first, and say how.
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => signal === "SIGTERM" && child.kill(signal));
child.on("error", (error) => fail(`${script} could not be started: ${error.message}`));
child.on("exit", (code, signal) => process.exit(code ?? (signal === "SIGINT" ? 130 : 143)));
