import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { describe, expect, it } from "vitest";
import { eventually } from "../../../../test/rig/eventually.ts";
import { createTempFolder } from "../../../../test/rig/temp-folder.ts";
import { checkNetworkIsolation, networkIsolation } from "./network-isolation.ts";
import { withPrivateFolder } from "./private-folder.ts";
import { runTool, type ToolRun } from "./run-tool.ts";
import { sandboxError } from "./sandbox-error.ts";
import { Toolbox } from "./tool.ts";

/** Runs a script with this Node in a private folder. */
async function script(source: string, options: Partial<ToolRun> = {}) {
  return await withPrivateFolder((folder) =>
    runTool({
      path: process.execPath,
      name: "script",
      args: ["-e", source],
      folder: folder.path,
      timeoutMs: 10_000,
      maxOutputBytes: 1_000_000,
      maxMemoryBytes: 1024 * 1024 * 1024,
      signal: new AbortController().signal,
      ...options,
    }),
  );
}

const isAlive = (pid: number) => existsSync(`/proc/${pid}`) && !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));

describe("a tool in its sandbox", () => {
  it("sees nothing of the hub's environment, and only its own folders", async () => {
    process.env["MUSTER_TEST_SECRET"] = "canary";
    try {
      const { stdout } = await script("process.stdout.write(JSON.stringify({ env: process.env, cwd: process.cwd() }))");
      const { env, cwd } = JSON.parse(stdout.toString()) as { env: Record<string, string>; cwd: string };
      expect(JSON.stringify(env)).not.toContain("canary");
      for (const name of [
        "HOME",
        "PATH",
        "TMPDIR",
        "HELM_PLUGINS",
        "HELM_CONFIG_HOME",
        "KUSTOMIZE_PLUGIN_HOME",
        "KUBECONFIG",
        "XDG_CACHE_HOME",
      ])
        expect(env[name]).toContain(cwd);
      for (const name of ["HTTP_PROXY", "https_proxy"]) expect(env[name]).toBe("http://127.0.0.1:9");
    } finally {
      delete process.env["MUSTER_TEST_SECRET"];
    }
  });
  it("that hangs is killed in time, with what it started", async () => {
    const source = `const c = require("node:child_process").spawn(process.execPath, ["-e", "setTimeout(() => {}, 60000)"], { stdio: "ignore" }); require("node:fs").writeFileSync(process.env.PIDS, c.pid + " " + process.pid); setTimeout(() => {}, 60000)`;
    const outside = createTempFolder("run-tool");
    try {
      const pids = `${outside.path}/pids`;
      await expect(script(source.replace("process.env.PIDS", JSON.stringify(pids)), { timeoutMs: 1_500 })).rejects.toMatchObject({
        code: "RENDER_TIMEOUT",
      });
      for (const pid of readFileSync(pids, "utf8").split(" ")) await eventually(() => expect(isAlive(Number(pid))).toBe(false));
    } finally {
      outside.remove();
    }
  });
  it("that writes without end is stopped at the limit", async () => {
    const endless =
      "const write = () => { while (process.stdout.write('x'.repeat(65536))); process.stdout.once('drain', write); }; write();";
    await expect(script(endless)).rejects.toMatchObject({ code: "RENDER_LIMIT", message: expect.stringContaining("1000000 bytes") });
  });
  it("that floods standard error ends by itself, and the flood is cut", async () => {
    const { stderr, code } = await script("process.stderr.write('e'.repeat(5_000_000), () => process.exit(3))");
    expect([code, stderr.length]).toEqual([3, 64 * 1024]);
  });
  it("that takes too much memory is stopped", async () => {
    const greedy = "const all = []; const more = () => { all.push(Buffer.alloc(20e6, 1)); setTimeout(more, 5); }; more();";
    await expect(script(greedy, { maxMemoryBytes: 200e6 })).rejects.toMatchObject({
      code: "RENDER_LIMIT",
      message: expect.stringContaining("memory"),
    });
  });
  it("that somebody else kills is no success", async () => {
    await expect(script("process.kill(process.pid, 'SIGKILL')")).rejects.toMatchObject({ code: "RENDER_LIMIT" });
  });
  it("ends when its caller gives up", async () => {
    const controller = new AbortController();
    const running = script("setTimeout(() => {}, 60000)", { signal: controller.signal });
    setTimeout(() => controller.abort(new Error("gone")), 200);
    await expect(running).rejects.toThrow("gone");
  });
  it("that is not there is reported as missing", async () => {
    const tools = new Toolbox({ timeoutMs: 1_000, maxOutputBytes: 1, maxMemoryBytes: 1e9, concurrency: 1 });
    await expect(tools.version("/nowhere/helm", [], new AbortController().signal)).rejects.toMatchObject({ code: "RENDER_TOOL_MISSING" });
  });
});

/** Found out before the tests are named: a report says what was tested, and on what machine. */
const isolation = await networkIsolation();
const isolated = isolation.length > 0;
const here = isolated ? "this machine gives it a network of its own" : "NOT TESTED: this machine gives it no network of its own";

describe("the network of a tool", () => {
  it.skipIf(!isolated)(`has no server of this machine in it (${here})`, async () => {
    const server = createServer((socket) => socket.end("reached"));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    try {
      const { port } = server.address() as { port: number };
      const connect = `require("node:net").connect(${port}, "127.0.0.1").on("error", (e) => console.log("no", e.code)).on("data", (d) => console.log(String(d)))`;
      expect((await script(connect)).stdout.toString()).toMatch(/^no /);
      // The same script without isolation, so that the above is no accident.
      expect((await script(connect, { isolation: [] })).stdout.toString()).toBe("reached\n");
    } finally {
      server.close();
    }
  });
  it.skipIf(!isolated)(`is never the hub's when it cannot be made: a passing error of its own (${here})`, async () => {
    const [unshare = "", ...options] = isolation;
    // In a user namespace of its own the limit can be lowered without anybody else being hit.
    const exhausted = `echo 0 > /proc/sys/user/max_user_namespaces; exec ${unshare} ${options.join(" ")} "$@"`;
    const running = script("process.stdout.write('ran')", {
      isolation: [unshare, "--user", "--map-root-user", "--", "/bin/sh", "-c", exhausted, "sh"],
    });
    await expect(running).rejects.toMatchObject({ code: "RENDER_SANDBOX", message: expect.stringContaining("No space left on device") });
  });
  it("what a tool itself says of unshare is its own", async () => {
    const failing = "process.stderr.write('Error: unshare: no'); process.exitCode = 1";
    expect(await script(failing)).toMatchObject({ code: 1, stderr: "Error: unshare: no" });
  });
  it("must be its own if the configuration says so, else the hub does not start", async () => {
    const none = Promise.resolve([]);
    await expect(checkNetworkIsolation("require", none)).rejects.toMatchObject({
      code: "CONFIG_INVALID",
      message: expect.stringContaining("render.networkIsolation"),
    });
    expect(await checkNetworkIsolation("prefer", none)).toBe(false);
    const some = Promise.resolve(["/usr/bin/unshare"]);
    expect([await checkNetworkIsolation("require", some), await checkNetworkIsolation("prefer", some)]).toEqual([true, true]);
  });
});

describe("the machine's shortages", () => {
  it("a full disk is an error of the machine, not of the bundle", async () => {
    const full = Object.assign(new Error("ENOSPC: no space left on device"), { code: "ENOSPC" });
    expect(sandboxError(full)).toMatchObject({ code: "RENDER_SANDBOX", cause: full });
    const other = Object.assign(new Error("EEXIST"), { code: "EEXIST" });
    expect(sandboxError(other)).toBe(other);
  });
  it("arguments that no system takes are the bundle's", async () => {
    const args = Array.from({ length: 200 }, () => "x".repeat(100_000));
    await expect(script("", { args })).rejects.toMatchObject({ code: "RENDER_LIMIT" });
    await expect(script("", { args: ["x".repeat(200_000)] })).rejects.toMatchObject({ code: "RENDER_LIMIT" });
  });
});

describe("the version of a tool", () => {
  /** A tool that writes down that it was run, and fails as long as a file says so. */
  function countingTool(folder: string): { path: string; runs: () => number } {
    const path = `${folder}/tool.sh`;
    writeFileSync(path, `#!/bin/sh\necho run >> ${folder}/runs\n[ ! -e ${folder}/fail ] || exit 1\necho v1\n`, { mode: 0o755 });
    return { path, runs: () => (existsSync(`${folder}/runs`) ? readFileSync(`${folder}/runs`, "utf8").trim().split("\n").length : 0) };
  }
  const toolbox = () => new Toolbox({ timeoutMs: 5_000, maxOutputBytes: 1_000, maxMemoryBytes: 1e9, concurrency: 2 });
  const { signal } = new AbortController();

  it("is asked once for a hundred targets that come at once", async () => {
    const folder = createTempFolder("tool-version");
    try {
      const tool = countingTool(folder.path);
      const tools = toolbox();
      const versions = await Promise.all(Array.from({ length: 100 }, () => tools.version(tool.path, [], signal)));
      expect([new Set(versions).size, tool.runs()]).toEqual([1, 1]);
    } finally {
      folder.remove();
    }
  });
  it("is asked again after a failure", async () => {
    const folder = createTempFolder("tool-version");
    try {
      const tool = countingTool(folder.path);
      const tools = toolbox();
      writeFileSync(`${folder.path}/fail`, "");
      const failing = await Promise.allSettled(Array.from({ length: 10 }, () => tools.version(tool.path, [], signal)));
      expect([failing.every(({ status }) => status === "rejected"), tool.runs()]).toEqual([true, 1]);
      rmSync(`${folder.path}/fail`);
      expect(await tools.version(tool.path, [], signal)).toMatch(/^v1 /);
    } finally {
      folder.remove();
    }
  });
});

describe("the private folder", () => {
  it("is readable by its owner only, takes plain paths only, and is gone afterwards, after a failure too", async () => {
    const outside = createTempFolder("private");
    try {
      await expect(
        withPrivateFolder(async (folder) => {
          expect(statSync(folder.path).mode & 0o777).toBe(0o700);
          await folder.write("input/a/b.yaml", "x");
          expect(statSync(`${folder.path}/input/a/b.yaml`).mode & 0o777).toBe(0o600);
          for (const name of ["../x", "/etc/x", "a/../../x", "a//b", ""]) await expect(folder.write(name, "")).rejects.toThrow(RangeError);
          await expect(folder.write("input/a/b.yaml", "again")).rejects.toThrow("EEXIST");
          throw new Error("failed");
        }, outside.path),
      ).rejects.toThrow("failed");
      expect(readdirSync(outside.path)).toEqual([]);
    } finally {
      outside.remove();
    }
  });
});
