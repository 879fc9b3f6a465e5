import { randomBytes } from "node:crypto";
import { readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { CommitSnapshot, Source } from "./snapshot.ts";
import { filesBelow, type SourceRig, startSourceRig, textOf } from "./testing/source-rig.ts";

let rig: SourceRig;
const signal = new AbortController().signal;

beforeAll(async () => {
  rig = await startSourceRig();
});
afterAll(() => rig.stop());

/** Of the first commit and of the second, with a pack each. A snapshot of the second reads nothing of the first pack. */
const OLD = { "old.txt": randomBytes(3_000).toString("hex") };
const NEW = { "new.txt": randomBytes(3_000).toString("hex") };
const ALL = { ...OLD, ...NEW };

async function cloned() {
  const repo = await rig.repository();
  const dataDir = rig.folder();
  const fleet = rig.source(repo.url, { dataDir });
  await repo.commit("one", OLD);
  await fleet.fetch(signal);
  const commit = await repo.commit("two", NEW);
  await fleet.fetch(signal);
  return { repo, dataDir, commit };
}

function flip(path: string, at: number): void {
  const bytes = readFileSync(path);
  const place = at < 0 ? bytes.length + at : at;
  bytes[place] = (bytes[place] ?? 0) ^ 0x10;
  writeFileSync(path, bytes);
}

function removeFrom(clone: string, ...names: string[]): void {
  for (const name of names) rmSync(join(clone, name), { recursive: true });
}

async function readAll(snapshot: CommitSnapshot): Promise<Record<string, string>> {
  const paths = [...snapshot.files.keys()];
  const texts = await Promise.all(paths.map((path) => textOf(snapshot, path)));
  return Object.fromEntries(paths.map((path, index) => [path, texts[index] ?? ""]));
}

/** What a hub does: look, read, and look again if something could not be read. Gives the number of looks. */
async function looksUntilReadable(fleet: Source): Promise<number> {
  for (let looks = 1; looks <= 2; looks += 1) {
    const snapshot = await fleet.fetch(signal);
    const contents = await readAll(snapshot).catch((error: { code: string }) => error.code);
    if (contents !== "SOURCE_CLONE") {
      expect(contents).toEqual(ALL);
      return looks;
    }
  }
  return Number.POSITIVE_INFINITY;
}

describe("a clone that was damaged on disk", () => {
  const DAMAGES: [string, string, (path: string) => void][] = [
    ["pack is gone", ".pack", (path) => rmSync(path)],
    ["pack is cut", ".pack", (path) => truncateSync(path, 200)],
    ["pack is empty", ".pack", (path) => truncateSync(path, 0)],
    ["pack has a flipped bit", ".pack", (path) => flip(path, 150)],
    ["index is gone", ".idx", (path) => rmSync(path)],
    ["index is cut", ".idx", (path) => truncateSync(path, 1_100)],
    ["index is empty", ".idx", (path) => truncateSync(path, 0)],
    ["index has a flipped bit in a name", ".idx", (path) => flip(path, 8 + 1024 + 5)],
    ["index has a flipped bit in an offset", ".idx", (path) => flip(path, -45)],
  ];

  describe.each([
    ["older", 0],
    ["newer", 1],
  ])("E160: heals by itself if of its %s pack", (_, which) => {
    it.each(DAMAGES)("the %s", async (_name, ending, damage) => {
      const { repo, dataDir } = await cloned();
      damage(filesBelow(dataDir, ending)[which]?.path ?? "");
      expect(await looksUntilReadable(rig.source(repo.url, { dataDir }))).toBeLessThanOrEqual(2);
    });

    it.each(DAMAGES)("the %s, and a commit is new", async (_name, ending, damage) => {
      const { repo, dataDir } = await cloned();
      damage(filesBelow(dataDir, ending)[which]?.path ?? "");
      await repo.commit("three", {});
      expect(await looksUntilReadable(rig.source(repo.url, { dataDir }))).toBeLessThanOrEqual(2);
    });
  });

  it.each<[string, (clone: string) => void]>([
    ["its configuration is empty", (clone) => truncateSync(join(clone, "config"), 0)],
    ["its objects are gone", (clone) => removeFrom(clone, "objects")],
    ["all but its objects is gone", (clone) => removeFrom(clone, "HEAD", "config", "refs", "muster-head")],
    ["its last good commit is unreadable", (clone) => writeFileSync(join(clone, "muster-head"), "\0".repeat(40))],
    ["it is gone", (clone) => rmSync(clone, { recursive: true })],
  ])("E160: heals by itself if %s", async (_, damage) => {
    const { repo, dataDir } = await cloned();
    damage(dirname(filesBelow(dataDir, "muster-head")[0]?.path ?? ""));
    await repo.commit("three", {});
    expect(await looksUntilReadable(rig.source(repo.url, { dataDir }))).toBe(1);
  });

  it("heals under a hub that runs: the next look gives a snapshot that can be read, and the one before can be read again", async () => {
    const { repo, dataDir, commit } = await cloned();
    const fleet = rig.source(repo.url, { dataDir });
    const before = await fleet.fetch(signal);
    for (const { path } of filesBelow(dataDir, ".pack").slice(0, 1)) rmSync(path);
    await expect(before.read("old.txt")).rejects.toMatchObject({ code: "SOURCE_CLONE", at: { file: "old.txt", source: "fleet" } });
    const after = await fleet.fetch(signal);
    expect([after.commit, after === before, after.rewrites]).toEqual([commit, false, undefined]);
    expect([await readAll(after), await readAll(before)]).toEqual([ALL, ALL]);
    expect(await fleet.fetch(signal)).toBe(after);
  });

  it("stays in use while the server fails: what it still has can be read, and it heals when the server is back", async () => {
    const { repo, dataDir } = await cloned();
    const fleet = rig.source(repo.url, { dataDir });
    const before = await fleet.fetch(signal);
    rmSync(filesBelow(dataDir, ".pack")[0]?.path ?? "");
    await expect(before.read("old.txt")).rejects.toMatchObject({ code: "SOURCE_CLONE" });
    const left = filesBelow(dataDir);
    for (const fault of [{ status: 503 }, { status: 200 }, { truncate: true, match: "git-upload-pack" }]) {
      rig.server.setFault(fault);
      await expect(fleet.fetch(signal)).rejects.toMatchObject({ code: expect.stringMatching(/^SOURCE_(UNREACHABLE|PROTOCOL)$/) });
      expect([await textOf(before, "new.txt"), filesBelow(dataDir)]).toEqual([NEW["new.txt"], left]);
    }
    rig.server.setFault(null);
    expect(await readAll(await fleet.fetch(signal))).toEqual(ALL);
  });

  it("is not cloned again and again for a commit that is no good", async () => {
    const { repo, dataDir } = await cloned();
    const fleet = rig.source(repo.url, { dataDir });
    const before = await fleet.fetch(signal);
    rmSync(filesBelow(dataDir, ".pack")[0]?.path ?? "");
    await expect(before.read("old.txt")).rejects.toMatchObject({ code: "SOURCE_CLONE" });
    await repo.commit("all gone", { "old.txt": null, "new.txt": null });
    for (const _ of [1, 2, 3]) await expect(fleet.fetch(signal)).rejects.toMatchObject({ code: "SOURCE_EMPTY" });
    expect([...new Set(filesBelow(dataDir, "config").map(({ path }) => path.split("/").at(-2)))].sort()).toEqual(["1", "2"]);
  });

  it("is none that a hub starts from", async () => {
    const { repo, dataDir } = await cloned();
    for (const { path } of filesBelow(dataDir, ".pack")) truncateSync(path, 100);
    expect(await rig.source(repo.url, { dataDir }).kept()).toBeUndefined();
  });
});
