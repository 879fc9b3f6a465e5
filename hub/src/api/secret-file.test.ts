import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createLogger } from "@muster/shared/telemetry";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ManualClock } from "../../../test/rig/manual-clock.ts";
import { createTempFolder } from "../../../test/rig/temp-folder.ts";
import { createSecretFile } from "./secret-file.ts";

let folder: ReturnType<typeof createTempFolder>;
let path: string;
let lines: { level: string; msg: string }[];
let clock: ManualClock;
beforeEach(() => {
  folder = createTempFolder("secret");
  path = join(folder.path, "token");
  lines = [];
  clock = new ManualClock();
});
afterEach(() => folder.remove());

const open = () =>
  createSecretFile({
    setting: "http.tokenFile",
    path,
    clock,
    logger: createLogger({ name: "test", destination: { write: (line) => void lines.push(JSON.parse(line)) } }),
  });
const warnings = () => lines.filter(({ level }) => level === "warn");

describe("a secret file", () => {
  it("is what stands in it, without the line break, and another one within a second of being replaced", async () => {
    writeFileSync(path, "first\n");
    const secret = open();
    expect(secret()).toBe("first");
    writeFileSync(`${path}.new`, "second\n");
    renameSync(`${path}.new`, path);
    await clock.advance(1_000);
    expect(secret()).toBe("second");
  });

  it("is read at most once per second, however often it is asked for", async () => {
    writeFileSync(path, "first");
    const secret = open();
    writeFileSync(path, "second");
    await clock.advance(999);
    expect(secret()).toBe("first");
    await clock.advance(1);
    expect(secret()).toBe("second");
    writeFileSync(path, "third");
    expect(secret()).toBe("second");
  });

  it.each([
    ["is gone", () => rmSync(path)],
    ["is empty", () => writeFileSync(path, " \n")],
  ])("that %s keeps the last secret in force, and says so once", async (_, spoil) => {
    writeFileSync(path, "kept");
    const secret = open();
    spoil();
    for (let second = 0; second < 5; second += 1) {
      await clock.advance(1_000);
      expect(secret()).toBe("kept");
    }
    expect(warnings()).toHaveLength(1);
    expect(warnings()[0]?.msg).toContain(path);
    expect(JSON.stringify(lines)).not.toContain("kept");
    // The next outage is another one.
    writeFileSync(path, "new");
    await clock.advance(1_000);
    expect(secret()).toBe("new");
    spoil();
    await clock.advance(1_000);
    expect(secret()).toBe("new");
    expect(warnings()).toHaveLength(2);
  });

  it.each([
    ["missing", () => {}],
    ["empty", () => writeFileSync(path, "\n")],
    ["a folder", () => mkdirSync(path)],
  ])("that is %s when the hub starts keeps it from starting, and names the setting", (_, prepare) => {
    prepare();
    expect(open).toThrowError(
      expect.objectContaining({ code: "CONFIG_INVALID", message: expect.stringContaining(`http.tokenFile: ${path}`) }),
    );
  });
});
