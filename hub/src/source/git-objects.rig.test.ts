import { rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { GitRepository } from "../../../test/rig/git-server.ts";
import { createObjectReader, type ObjectReaderOptions } from "./git-objects.ts";
import { type SourceRig, startSourceRig, textOf } from "./testing/source-rig.ts";

let rig: SourceRig;
const signal = new AbortController().signal;

beforeAll(async () => {
  rig = await startSourceRig();
});
afterAll(() => rig.stop());

/** Reads a work tree's own objects; once they are deleted, what can be read still is what was kept in memory. */
function readerOf(repo: GitRepository, options?: ObjectReaderOptions) {
  const gitdir = join(repo.workTree, ".git");
  const objects = join(gitdir, "objects");
  return { reader: createObjectReader(gitdir, options), forgetDisk: () => rmSync(objects, { recursive: true }) };
}
const isThere = (work: Promise<unknown>): Promise<boolean> =>
  work.then(
    () => true,
    () => false,
  );

describe("what a reader of objects keeps in memory", () => {
  it("is the trees of the last two roots, however many commits there were", async () => {
    const repo = await rig.repository();
    const roots: string[] = [];
    for (const value of ["one", "two", "three", "four"]) {
      await repo.commit(value, { "apps/web/a.txt": value, "apps/same/b.txt": "same", "same/deep/c.txt": "same" });
      roots.push(await repo.git("rev-parse", "HEAD^{tree}"));
    }
    const { reader, forgetDisk } = readerOf(repo);
    for (const root of roots) {
      expect((await reader.filesOfRoot(root)).length).toBe(3);
      // What is the same in all of them is read once.
      const same = await repo.git("rev-parse", "HEAD:same");
      rmSync(join(reader.gitdir, "objects", same.slice(0, 2), same.slice(2)), { force: true });
    }
    forgetDisk();
    const [one, two, three, four] = roots as [string, string, string, string];
    for (const root of [four, three]) expect(await isThere(reader.filesOfRoot(root))).toBe(true);
    for (const root of [two, one]) expect(await isThere(reader.filesOfRoot(root))).toBe(false);
  });

  it("counts contents once, also those that many ask for at the same time", async () => {
    const repo = await rig.repository();
    await repo.commit("one", { a: "a".repeat(40), b: "b".repeat(40), large: "x".repeat(200) });
    const [a, b, large] = (await Promise.all(["a", "b", "large"].map((name) => repo.git("rev-parse", `HEAD:${name}`)))) as [
      string,
      string,
      string,
    ];
    const { reader, forgetDisk } = readerOf(repo, { maxBlobBytes: 100 });
    await Promise.all([a, a, a, a, large, large, b].map((oid) => reader.blob(oid)));
    await Promise.all([a, b].map((oid) => reader.blob(oid)));
    forgetDisk();
    expect(await Promise.all([a, b, large].map((oid) => isThere(reader.blob(oid))))).toEqual([true, true, false]);
  });

  it("is no failure: what could not be read is tried again", async () => {
    const repo = await rig.repository();
    await repo.commit("one", { a: "a" });
    repo.write({ a: "later" });
    const oid = await repo.git("hash-object", "a");
    const { reader } = readerOf(repo);
    expect(await Promise.all([reader.blob(oid), reader.blob(oid)].map(isThere))).toEqual([false, false]);
    await repo.git("add", "a");
    expect(Buffer.from(await reader.blob(oid)).toString()).toBe("later");
  });
});

describe("a commit that holds nothing", () => {
  it("E157: is SOURCE_EMPTY, and never an empty snapshot", async () => {
    const repo = await rig.repository();
    await repo.commit("nothing");
    const fleet = rig.source(repo.url);
    await expect(fleet.fetch(signal)).rejects.toMatchObject({ code: "SOURCE_EMPTY" });
    await repo.commit("something", { a: "a" });
    const good = await fleet.fetch(signal);
    await repo.commit("nothing again", { a: null });
    await expect(fleet.fetch(signal)).rejects.toMatchObject({ code: "SOURCE_EMPTY" });
    expect([await fleet.kept(), await textOf(good, "a")]).toEqual([good, "a"]);
  });

  it("E158: is SOURCE_PATH_MISSING if only the path has gone", async () => {
    const repo = await rig.repository();
    await repo.commit("one", { "fleet/a": "a", b: "b" });
    const fleet = rig.source(repo.url, { path: "fleet" });
    await fleet.fetch(signal);
    await repo.commit("two", { fleet: null });
    await expect(fleet.fetch(signal)).rejects.toMatchObject({ code: "SOURCE_PATH_MISSING" });
  });
});
