import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { createTempFolder } from "../rig/temp-folder.ts";
import { collectNotices } from "./notices.ts";

function checkout(files: Record<string, string>): string {
  const { path } = createTempFolder("notices");
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(path, name)), { recursive: true });
    writeFileSync(join(path, name), content);
  }
  return path;
}

describe("the notices of a bundle", () => {
  it("hold the licence of every package in it once, and nothing of our own", () => {
    const root = checkout({
      "node_modules/@scope/a/package.json": '{ "name": "@scope/a", "version": "1.0.0", "license": "MIT" }',
      "node_modules/@scope/a/LICENSE": "licence of a\n",
      "node_modules/b/node_modules/c/package.json": '{ "name": "c", "version": "2.0.0", "license": "ISC" }',
    });
    const text = collectNotices(root, [
      "hub/src/main.ts",
      "node_modules/@scope/a/x.js",
      "node_modules/@scope/a/y.js",
      "node_modules/b/node_modules/c/z.js",
    ]);
    expect(text.match(/licence of a/g)).toHaveLength(1);
    expect(text).toContain("c 2.0.0 (ISC)");
    expect(text).not.toContain("hub/src");
  });

  it("refuse a package that names no licence", () => {
    const root = checkout({ "node_modules/a/package.json": '{ "name": "a", "version": "1.0.0" }' });
    expect(() => collectNotices(root, ["node_modules/a/x.js"])).toThrow(/names no licence/);
  });
});
