import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readDirectorySnapshot } from "./directory-snapshot.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "muster-directory-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function write(path: string, text: string): void {
  mkdirSync(join(folder, path, ".."), { recursive: true });
  writeFileSync(join(folder, path), text);
}

describe("the snapshot of a working directory", () => {
  it("has Git's own ids, so that equal content is equal to the caches", async () => {
    write("apps/hello", "hello\n");
    const snapshot = readDirectorySnapshot(folder, "fleet");
    expect([...snapshot.files.values()]).toEqual([
      { path: "apps/hello", oid: "ce013625030ba8dba906f756967f9e9ca394464a", type: "file", executable: false },
    ]);
    expect(Buffer.from(await snapshot.read("apps/hello")).toString()).toBe("hello\n");
    expect(snapshot.commit).toMatch(/^[0-9a-f]{40}$/);
  });

  it("reports links and submodules, and never follows them", async () => {
    write("a", "x");
    write("module/.git", "gitdir: elsewhere");
    write("module/inner.yaml", "x");
    symlinkSync("/etc/hostname", join(folder, "link"));
    symlinkSync("..", join(folder, "up"));
    const snapshot = readDirectorySnapshot(folder);
    expect([...snapshot.files.values()].map(({ path, type }) => [path, type])).toEqual([
      ["a", "file"],
      ["link", "symlink"],
      ["module", "submodule"],
      ["up", "symlink"],
    ]);
    await expect(snapshot.read("link")).rejects.toMatchObject({ code: "BUNDLE_FILE_MISSING" });
    await expect(snapshot.read("../a")).rejects.toMatchObject({ code: "BUNDLE_FILE_MISSING" });
  });

  it("leaves out .git and node_modules, and keeps the executable bit", () => {
    write(".git/config", "x");
    write("node_modules/x/index.js", "x");
    write("run.sh", "x");
    chmodSync(join(folder, "run.sh"), 0o755);
    expect([...readDirectorySnapshot(folder).files.values()]).toMatchObject([{ path: "run.sh", executable: true }]);
  });

  it("stays what it was while the directory changes", async () => {
    write("a", "before");
    const before = readDirectorySnapshot(folder);
    write("a", "after");
    expect(Buffer.from(await before.read("a")).toString()).toBe("before");
    expect(readDirectorySnapshot(folder).commit).not.toBe(before.commit);
  });

  it("what is missing, no directory, or empty is never an empty fleet", () => {
    write("file", "x");
    mkdirSync(join(folder, "empty"));
    const codeOf = (path: string) => {
      try {
        readDirectorySnapshot(join(folder, path));
      } catch (error) {
        return (error as { code: string }).code;
      }
      return "none";
    };
    expect([codeOf("missing"), codeOf("file"), codeOf("empty")]).toEqual(["SOURCE_PATH_MISSING", "SOURCE_PATH_MISSING", "SOURCE_EMPTY"]);
  });
});
