import { existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { silentLogger } from "@muster/shared/telemetry";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createTempFolder } from "../../../test/rig/temp-folder.ts";
import { createCloneFolder, removeStrayClones } from "./clone-folder.ts";

let temp: ReturnType<typeof createTempFolder>;
let sources: string;
beforeEach(() => {
  temp = createTempFolder("clones");
  sources = join(temp.path, "sources");
  mkdirSync(sources);
});
afterEach(() => temp.remove());

const KEY = { name: "fleet", url: "https://git.example/fleet.git", ref: "main" };
const COMMIT = "1".repeat(40);

function make(...names: string[]): void {
  for (const name of names) {
    mkdirSync(join(sources, name, "1"), { recursive: true });
    writeFileSync(join(sources, name, "1", "HEAD"), "x");
  }
}

/** The folder of a source, as it is made. */
async function folderOf(key: typeof KEY): Promise<string> {
  return (await createCloneFolder(temp.path, key).current()).folder.split("/").at(-2) ?? "";
}

describe("the clones of a data folder", () => {
  it("have a folder of their own for every name, URL and ref", async () => {
    const keys = [KEY, { ...KEY, name: "other" }, { ...KEY, url: "https://git.example/other.git" }, { ...KEY, ref: "v1" }];
    const folders = await Promise.all(keys.map(folderOf));
    expect(new Set(folders).size).toBe(4);
    expect(await folderOf({ ...KEY, url: `${KEY.url}/` })).toBe(folders[0]);
  });

  it("that belong to no source are removed at the start, and nothing else is", async () => {
    const own = await folderOf(KEY);
    const stays = ["fleet", "fleet-xyz", "fleet-0123456789AB", "fleet-0123456789abc0", "Fleet-0123456789ab", ".fleet-0123456789ab", "tls"];
    const goes = ["fleet-0123456789ab", "other-team-0123456789ab", "fleet-0123456789ab.old-1", `${own}.old-1`];
    make(own, ...stays, ...goes);
    writeFileSync(join(sources, "file-0123456789ab"), "x");
    symlinkSync(temp.path, join(sources, "link-0123456789ab"));
    mkdirSync(join(temp.path, "outside-0123456789ab"));
    await removeStrayClones(temp.path, [KEY], silentLogger());
    expect(readdirSync(sources).sort()).toEqual([own, ...stays, "file-0123456789ab", "link-0123456789ab"].sort());
    expect(readdirSync(temp.path).sort()).toEqual(["outside-0123456789ab", "sources"]);
  });

  it("need not be there yet", async () => {
    await removeStrayClones(join(temp.path, "new"), [KEY], silentLogger());
    expect(existsSync(join(temp.path, "new"))).toBe(false);
  });
});

describe("the clones of a source", () => {
  it("after a crash are the newest that was good, and the rest is removed", async () => {
    const folder = join(sources, await folderOf(KEY));
    for (const number of [2, 3, 4]) mkdirSync(join(folder, String(number)), { recursive: true });
    for (const number of [2, 3]) writeFileSync(join(folder, String(number), "muster-head"), COMMIT);
    writeFileSync(join(folder, "HEAD"), "of an older version");
    const clone = await createCloneFolder(temp.path, KEY).current();
    expect([clone.folder, await clone.head(), readdirSync(folder)]).toEqual([join(folder, "3"), COMMIT, ["3"]]);
  });

  it("after a first download that was cut are what came of it", async () => {
    const folder = join(sources, await folderOf(KEY));
    for (const number of [1, 2]) mkdirSync(join(folder, String(number)), { recursive: true });
    const clone = await createCloneFolder(temp.path, KEY).current();
    expect([clone.folder, await clone.head()]).toEqual([join(folder, "2"), undefined]);
  });

  it("are two at most, also when one comes in place of another again and again", async () => {
    const clones = createCloneFolder(temp.path, KEY);
    const made: string[] = [];
    for (let round = 0; round < 4; round += 1) {
      const clone = round === 0 ? await clones.current() : await clones.fresh();
      mkdirSync(clone.folder, { recursive: true });
      clones.adopt(clone);
      made.push(clone.folder);
    }
    expect(new Set(made).size).toBe(4);
    expect(made.map((folder) => existsSync(folder))).toEqual([false, false, true, true]);
    expect((await clones.current()).folder).toBe(made[3]);
  });
});
