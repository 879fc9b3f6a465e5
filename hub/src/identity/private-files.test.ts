import { chmodSync, linkSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createTempFolder } from "../../../test/rig/temp-folder.ts";
import { createPrivateFile, readPrivateFile, replacePrivateFile } from "./private-files.ts";

let folder: ReturnType<typeof createTempFolder>;
let file: string;
beforeEach(() => {
  folder = createTempFolder("private-files");
  file = join(folder.path, "sub/key");
});
afterEach(() => folder.remove());

const mode = (path: string): string => (statSync(path).mode & 0o777).toString(8);
/** As on a file system that has no hard links. */
const noLink = (): never => {
  throw Object.assign(new Error("no links"), { code: "ENOTSUP" });
};

describe.each([
  ["hard links", linkSync],
  ["no hard links", noLink],
])("a private file that is made once, on a file system with %s", (_, link) => {
  it("is what its first maker wrote, closed to others, and leaves nothing beside it", () => {
    for (const content of ["first", "second"]) createPrivateFile(file, content, link);
    expect([readFileSync(file, "utf8"), mode(file), readdirSync(join(file, ".."))]).toEqual(["first", "600", ["key"]]);
  });
});

describe("a private file", () => {
  it("that cannot be made says so, and leaves nothing behind", () => {
    const link = () => {
      throw Object.assign(new Error("disk"), { code: "EIO" });
    };
    expect(() => createPrivateFile(file, "x", link)).toThrow("disk");
    expect(readdirSync(join(file, ".."))).toEqual([]);
  });

  it("that is replaced has the new content and is closed to others, whatever was there", () => {
    replacePrivateFile(file, "old");
    chmodSync(file, 0o644);
    replacePrivateFile(file, "new");
    expect([readFileSync(file, "utf8"), mode(file), readdirSync(join(file, ".."))]).toEqual(["new", "600", ["key"]]);
  });

  it.each([0o644, 0o640, 0o660, 0o604])("of ours that others can read (%o) is read, and closed to them", (opened) => {
    const path = join(folder.path, "key");
    writeFileSync(path, "x");
    chmodSync(path, opened);
    expect([readPrivateFile(path), mode(path)]).toEqual(["x", "600"]);
  });

  it("that only we can read stays as it is, be it for reading only", () => {
    const path = join(folder.path, "key");
    writeFileSync(path, "x");
    chmodSync(path, 0o400);
    expect([readPrivateFile(path), mode(path)]).toEqual(["x", "400"]);
  });

  it("of somebody else is read and left alone", () => {
    const path = join(folder.path, "key");
    writeFileSync(path, "x");
    chmodSync(path, 0o664);
    const { geteuid } = process;
    try {
      process.geteuid = () => statSync(path).uid + 1;
      expect([readPrivateFile(path), mode(path)]).toEqual(["x", "664"]);
    } finally {
      if (geteuid) process.geteuid = geteuid;
    }
  });
});
