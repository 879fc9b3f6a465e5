import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { createTempFolder } from "../rig/temp-folder.ts";
import { findStale } from "./find-stale.ts";
import type { Generator } from "./generators.ts";

/** Makes gen/a and gen/b. */
const generator: Generator = {
  name: "letters",
  outputs: ["gen"],
  async generate(_root, outRoot) {
    mkdirSync(join(outRoot, "gen"), { recursive: true });
    for (const name of ["a", "b"]) writeFileSync(join(outRoot, "gen", name), name);
  },
};

describe("the check for stale generated files", () => {
  it("finds nothing where everything is as generated", async () => {
    const root = createTempFolder("stale").path;
    await generator.generate(root, root);
    expect(await findStale(root, [generator])).toEqual([]);
  });

  it("finds what was changed, what is missing and what nothing generates any more", async () => {
    const root = createTempFolder("stale").path;
    mkdirSync(join(root, "gen"));
    writeFileSync(join(root, "gen/a"), "edited by hand");
    writeFileSync(join(root, "gen/old"), "");
    const stale = await findStale(root, [generator]);
    expect(stale.map(({ path, problem }) => `${path} ${problem}`).sort()).toEqual([
      "gen/a changed",
      "gen/b missing",
      "gen/old no longer generated",
    ]);
  });

  it("does not take a generator that makes nothing for one that agrees", async () => {
    const root = createTempFolder("stale").path;
    await expect(findStale(root, [{ ...generator, generate: async () => {} }])).rejects.toThrow(/made no gen/);
  });
});
