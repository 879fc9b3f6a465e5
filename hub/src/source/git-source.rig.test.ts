import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { GitServer } from "../../../test/rig/git-server.ts";
import { filesBelow, type SourceRig, startSourceRig, textOf as text } from "./testing/source-rig.ts";

let rig: SourceRig;
let server: GitServer;
const signal = new AbortController().signal;
const folder = () => rig.folder();
const repository: SourceRig["repository"] = (branch) => rig.repository(branch);
const source: SourceRig["source"] = (url, more) => rig.source(url, more);
const packsBelow = (path: string) => filesBelow(path, ".pack");

beforeAll(async () => {
  rig = await startSourceRig();
  server = rig.server;
});
afterAll(() => rig.stop());

describe("a Git source", () => {
  it("gives the commit's files, and the same snapshot while nothing changes", async () => {
    const repo = await repository();
    const commit = await repo.commit("first commit", { "a.txt": "one", "dir/b.txt": "two" });
    const fleet = source(repo.url);
    const snapshot = await fleet.fetch(signal);
    expect(snapshot).toMatchObject({ commit, subject: "first commit", author: "Ada Operator" });
    expect([...snapshot.files.keys()].sort()).toEqual(["a.txt", "dir/b.txt"]);
    expect(await text(snapshot, "dir/b.txt")).toBe("two");
    expect(await fleet.fetch(signal)).toBe(snapshot);
  });

  it.each(["main", "refs/heads/main", "light", "annotated"])("transfers only what is new, of %s", async (ref) => {
    const repo = await repository();
    const move = async (message: string, files: Record<string, string>) => {
      await repo.commit(message, files);
      await repo.git("tag", "-f", "light");
      await repo.git("tag", "-f", "-am", "x", "annotated");
      await repo.git("push", "-qf", "--tags", "origin");
    };
    await move("one", { "a.txt": "one", "noise.bin": randomBytes(300_000).toString("base64") });
    const dataDir = folder();
    const fleet = source(repo.url, { dataDir, ref });
    const transferred = async () => {
      const before = new Set(packsBelow(dataDir).map(({ path }) => path));
      await fleet.fetch(signal);
      return packsBelow(dataDir).reduce((sum, { path, bytes }) => sum + (before.has(path) ? 0 : bytes), 0);
    };
    expect(await transferred()).toBeGreaterThan(200_000);
    for (const value of ["two", "three"]) {
      await move(value, { "a.txt": value });
      const bytes = await transferred();
      expect([bytes > 0, bytes < 5_000]).toEqual([true, true]);
      expect(await text(await fleet.fetch(signal), "a.txt")).toBe(value);
    }
    // Another process goes on where this one was.
    await move("four", { "a.txt": "four" });
    const before = packsBelow(dataDir).length;
    expect(await text(await source(repo.url, { dataDir, ref }).fetch(signal), "a.txt")).toBe("four");
    expect(
      packsBelow(dataDir)
        .sort((a, b) => a.madeMs - b.madeMs)
        .slice(before)
        .every(({ bytes }) => bytes < 5_000),
    ).toBe(true);
  });

  it("never changes an old snapshot", async () => {
    const repo = await repository();
    await repo.commit("one", { "a.txt": "one", "b.txt": "same" });
    const fleet = source(repo.url);
    const first = await fleet.fetch(signal);
    const commit = await repo.commit("two", { "a.txt": "two" });
    const second = await fleet.fetch(signal);
    expect(second.commit).toBe(commit);
    expect([await text(first, "a.txt"), await text(second, "a.txt")]).toEqual(["one", "two"]);
    expect(second.files.get("b.txt")?.oid).toBe(first.files.get("b.txt")?.oid);
  });

  it("E157, E158: an empty repository or a missing path is an error, never an empty snapshot", async () => {
    await expect(source((await repository()).url).fetch(signal)).rejects.toMatchObject({ code: "SOURCE_EMPTY" });
    const repo = await repository();
    await repo.commit("x", { "a.txt": "x" });
    await expect(source(repo.url, { path: "fleet/prod" }).fetch(signal)).rejects.toMatchObject({ code: "SOURCE_PATH_MISSING" });
  });

  it("E151: a deleted branch is an error, and works again when it is back", async () => {
    const repo = await repository("other");
    await repo.commit("x", { "a.txt": "x" });
    await repo.push({ refspec: "HEAD:refs/heads/main" });
    const fleet = source(repo.url);
    const { commit } = await fleet.fetch(signal);
    await repo.push({ refspec: ":refs/heads/main" });
    await expect(fleet.fetch(signal)).rejects.toMatchObject({ code: "SOURCE_REF_MISSING" });
    await repo.push({ refspec: "HEAD:refs/heads/main" });
    expect((await fleet.fetch(signal)).commit).toBe(commit);
  });

  it("E150: a force-push gives the new commit, and says which one it has replaced", async () => {
    const repo = await repository();
    await repo.commit("one", { "a.txt": "one" });
    const fleet = source(repo.url);
    expect((await fleet.fetch(signal)).rewrites).toBeUndefined();
    const lost = await repo.commit("two", { "a.txt": "two" });
    expect((await fleet.fetch(signal)).rewrites).toBeUndefined();
    await repo.git("reset", "--hard", "HEAD~1");
    repo.write({ "a.txt": "three" });
    await repo.git("commit", "-qam", "three");
    await repo.push({ force: true });
    const rewritten = await fleet.fetch(signal);
    expect([await text(rewritten, "a.txt"), rewritten.rewrites]).toEqual(["three", lost]);
    await repo.commit("four", { "a.txt": "four" });
    expect((await fleet.fetch(signal)).rewrites).toBeUndefined();
  });

  it("E153: follows tags, light and annotated, and a pinned commit", async () => {
    const repo = await repository();
    const first = await repo.commit("one", { "a.txt": "one" });
    await repo.git("tag", "light");
    await repo.git("tag", "-a", "heavy", "-m", "release");
    await repo.git("push", "-q", "origin", "--tags");
    const tagged = source(repo.url, { ref: "heavy" });
    expect((await tagged.fetch(signal)).commit).toBe(first);
    expect((await source(repo.url, { ref: "light" }).fetch(signal)).commit).toBe(first);
    const second = await repo.commit("two", { "a.txt": "two" });
    await repo.git("tag", "-f", "-a", "heavy", "-m", "moved");
    await repo.git("push", "-qf", "origin", "--tags");
    expect((await tagged.fetch(signal)).commit).toBe(second);
    expect((await source(repo.url, { ref: first }).fetch(signal)).commit).toBe(first);
  });

  it("E154: wrong credentials are SOURCE_AUTH without the secret, and a new file is used without a restart", async () => {
    const repo = await repository();
    await repo.commit("x", { "a.txt": "x" });
    const file = join(folder(), "credentials");
    writeFileSync(file, "username: ada\npassword: canary-wrong\n");
    const fleet = source(repo.url, { credentialsFile: file });
    server.setCredentials({ username: "ada", password: "right" });
    try {
      const error = (await fleet.fetch(signal).catch((thrown: Error) => thrown)) as Error;
      expect(error).toMatchObject({ code: "SOURCE_AUTH" });
      expect(`${error.message}${String(error.stack)}`).not.toContain("canary");
      writeFileSync(file, "username: ada\npassword: right\n");
      expect((await fleet.fetch(signal)).files.size).toBe(1);
    } finally {
      server.setCredentials(null);
    }
  });

  it("E156, E071: errors, hangs and cut answers of the server are errors, and the next fetch heals", async () => {
    const repo = await repository();
    await repo.commit("one", { "a.txt": "one" });
    const fleet = source(repo.url, { idleTimeoutMs: 500 });
    await fleet.fetch(signal);
    const commit = await repo.commit("two", { "a.txt": "two" });
    for (const fault of [
      { status: 503 },
      { hang: true },
      { drop: true },
      { truncate: true },
      { truncate: true, match: "git-upload-pack" },
    ]) {
      server.setFault(fault);
      await expect(fleet.fetch(signal)).rejects.toMatchObject({ code: expect.stringMatching(/^SOURCE_(UNREACHABLE|PROTOCOL)$/) });
    }
    server.setFault(null);
    expect((await fleet.fetch(signal)).commit).toBe(commit);
  });

  it("E159: tells symlinks, and does not follow them", async () => {
    const repo = await repository();
    repo.symlink("link", "/etc/passwd");
    await repo.commit("x", { "a.txt": "x" });
    const snapshot = await source(repo.url).fetch(signal);
    expect(snapshot.files.get("link")?.type).toBe("symlink");
    await expect(snapshot.read("link")).rejects.toMatchObject({ code: "BUNDLE_FILE_MISSING" });
  });

  it("refuses URLs of other kinds, and URLs that hold credentials, without showing them", () => {
    for (const url of [
      "ssh://git@host/x",
      "file:///etc",
      "ext::sh -c x",
      "https://user:secret@host/x",
      "https://host/x?token=secret",
      "https://host/x#secret",
      "https://host:port-secret/x",
      "nonsense",
    ]) {
      expect(() => source(url)).toThrow(expect.objectContaining({ code: "SOURCE_CONFIG", message: expect.not.stringContaining("secret") }));
    }
  });
});
