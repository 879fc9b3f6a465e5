import { execFile } from "node:child_process";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createTempFolder } from "../rig/temp-folder.ts";
import { ALL_PROGRAMS, buildBundles, NODE_ARGS, type Program } from "./bundle.ts";

const run = promisify(execFile);
const folder = createTempFolder("bundles");
let files: Record<Program, string>;

beforeAll(async () => {
  files = await buildBundles({ outDir: folder.path });
});
afterAll(() => folder.remove());

/** Runs a bundle far from the checkout, so that nothing but itself can be loaded. */
async function start(program: Program, ...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  try {
    const result = await run(process.execPath, [...NODE_ARGS[program], files[program], ...args], {
      cwd: folder.path,
      env: {},
      timeout: 20_000,
    });
    return { code: 0, ...result };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { code, stdout, stderr };
  }
}

describe("the bundles", () => {
  it("start without the checkout and say what is wrong with their settings", async () => {
    expect(await start("agent")).toMatchObject({ code: 2, stderr: expect.stringContaining("MUSTER_CLUSTER is not set") });
    expect(await start("hub", "--config", "missing.yaml")).toMatchObject({ code: 2, stderr: expect.stringContaining("missing.yaml") });
    expect(await start("hub", "--version")).toMatchObject({ code: 0, stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) });
    expect(await start("cli", "version")).toMatchObject({ code: 0, stdout: expect.stringMatching(/\d+\.\d+\.\d+/) });
  });

  it("have lines short enough for the message of an uncaught error to be found", () => {
    for (const program of ALL_PROGRAMS) {
      const lines = readFileSync(files[program], "utf8").split("\n");
      // Strings with embedded WebAssembly cannot be broken.
      expect(lines.filter((line) => line.length > 1_000).length / lines.length).toBeLessThan(0.05);
    }
  });

  it("come with the licences of what is in them, and with maps that are not needed to run", async () => {
    const notices = readFileSync(join(folder.path, "THIRD-PARTY-NOTICES.txt"), "utf8");
    for (const name of ["undici", "nats", "fastify", "@grpc/grpc-js", "commander"]) expect(notices).toContain(`\n${name} `);
    expect(existsSync(`${files.agent}.map`)).toBe(true);
    rmSync(`${files.agent}.map`);
    expect((await start("agent")).code).toBe(2);
  });
});
