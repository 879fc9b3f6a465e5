import { describe, expect, it } from "vitest";
import { type FileSpec, snapshotOf } from "../../../../test/fixtures/render/targets.ts";
import { bundleFilesOf } from "./bundle-files.ts";
import { resolveInBundle } from "./bundle-path.ts";

const at = { file: "app/bundle.yaml" };

describe("files of a bundle", () => {
  it("are those at or below its directory, and not those of a neighbour with a longer name", () => {
    const snapshot = snapshotOf({
      "app/a.yaml": "",
      "app/d/b.yaml": "",
      "app2/c.yaml": "",
      "app-x/d.yaml": "",
      "e.yaml": "",
      "app/bundle.yaml": "",
    });
    const files = bundleFilesOf(snapshot, "app");
    expect([...files.files.keys()]).toEqual(["a.yaml", "d/b.yaml"]);
    expect([...files.directories]).toEqual(["", "d"]);
    expect(bundleFilesOf(snapshot, "app")).toBe(files);
    expect(bundleFilesOf(snapshot, "").files.size).toBe(6);
  });

  const hostile: Record<string, Record<string, FileSpec>> = {
    "a symlink": { "app/link.yaml": { type: "symlink", to: "/etc/passwd" } },
    "a symlink inside of the bundle": { "app/link.yaml": { type: "symlink", to: "a.yaml" } },
    "a symlink deep down": { "app/x/y/z": { type: "symlink", to: "../../../.." } },
    "a symlink named like a chart": { "app/Chart.lock": { type: "symlink", to: "/root/.bashrc" } },
    "a submodule": { "app/vendor": { type: "submodule" } },
    "a tree with ..": { "app/../etc/passwd": "" },
    "a tree with .": { "app/./x.yaml": "" },
    "a tree with an empty name": { "app//x.yaml": "" },
    "a name with a backslash": { "app/..\\x.yaml": "" },
    "a name with a NUL": { "app/x\0.yaml": "" },
  };
  it.each(Object.entries(hostile))("%s is refused and named", (_, files) => {
    const [path] = Object.keys(files);
    expect(() => bundleFilesOf(snapshotOf({ "app/a.yaml": "", ...files }), "app")).toThrow(
      expect.objectContaining({ code: "BUNDLE_PATH_ESCAPE", at: { file: path, source: "fleet" } }),
    );
  });

  it("a link in another bundle does not matter", () => {
    expect(() => bundleFilesOf(snapshotOf({ "app/a.yaml": "", "other/link": { type: "symlink", to: "x" } }), "app")).not.toThrow();
  });
  it("a Git LFS pointer is no content", async () => {
    const files = bundleFilesOf(snapshotOf({ "app/a.yaml": "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n" }), "app");
    await expect(files.read("a.yaml")).rejects.toMatchObject({ code: "BUNDLE_FILE_MISSING", at: { file: "app/a.yaml" } });
  });
  it("the digest covers paths, contents and modes", () => {
    const digest = (files: Record<string, FileSpec>) => bundleFilesOf(snapshotOf(files), "app").digestBelow("");
    const digests = [{ "app/a": "1" }, { "app/a": "2" }, { "app/b": "1" }, { "app/a": "1", "app/b": "" }].map(digest);
    expect(new Set(digests).size).toBe(4);
    expect(digest({ "app/a": "1", "x/b": "2" })).toBe(digests[0]);
  });
});

describe("paths that people write", () => {
  it.each([
    ["a/b.yaml", "", "a/b.yaml"],
    ["./a//b/", "", "a/b"],
    ["../base", "over/prod", "over/base"],
    [".", "", ""],
    ["a/../b", "", "b"],
  ])("%s below %j is %s", (written, base, expected) => {
    expect(resolveInBundle(written, base, at)).toBe(expected);
  });
  it.each(["..", "../x", "a/../../x", "/etc/passwd", "//x", "a\\..\\x", "x\0", "./.././x", "a/b/../../../c"])(
    "%j leads out and is refused",
    (written) => {
      expect(() => resolveInBundle(written, "", at)).toThrow(expect.objectContaining({ code: "BUNDLE_PATH_ESCAPE", at }));
    },
  );
});
