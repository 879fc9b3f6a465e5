import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { GitFault } from "../../../test/rig/git-server.ts";
import type { CommitSnapshot } from "./snapshot.ts";
import { type FrontHook, type GitFront, startGitFront } from "./testing/git-front.ts";
import { filesBelow, type SourceRig, startSourceRig, textOf } from "./testing/source-rig.ts";

let rig: SourceRig;
let front: GitFront;
const signal = new AbortController().signal;

beforeAll(async () => {
  rig = await startSourceRig();
  front = await startGitFront(rig.server.url);
});
afterEach(() => {
  rig.server.setFault(null);
  front.setHook(null);
});
afterAll(async () => {
  await front.stop();
  await rig.stop();
});

const codeOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => "none",
    (error: { code: string }) => error.code,
  );

const pkt = (bytes: Buffer) => Buffer.concat([Buffer.from((bytes.length + 4).toString(16).padStart(4, "0")), bytes]);

/** Answers a download with this pack, in an answer that is whole by the rules of HTTP and of Git. */
const packOf =
  (change: (pack: Buffer) => Buffer): FrontHook =>
  (request, answer) => {
    const start = answer.body.indexOf("PACK");
    if (!request.path.endsWith("/git-upload-pack") || start < 0) return answer;
    const band = pkt(Buffer.concat([Buffer.from([1]), change(answer.body.subarray(start, -4))]));
    return { ...answer, body: Buffer.concat([pkt(Buffer.from("NAK\n")), band, Buffer.from("0000")]) };
  };

/** Fails every download of someone who has nothing yet. */
const noFullClone: FrontHook = (request, answer) => {
  const body = request.body.toString("latin1");
  return body.includes("want ") && !body.includes("have ") ? { status: 503, headers: {}, body: Buffer.from("busy") } : answer;
};

describe("a Git source whose server fails", () => {
  const FILES = Object.fromEntries(["a", "b", "c", "d", "e", "f", "g"].map((name) => [name, `content of ${name}`]));

  it("keeps the clone, and all that the last snapshot has not read yet", async () => {
    const repo = await rig.repository();
    await repo.commit("one", FILES);
    const dataDir = rig.folder();
    const fleet = rig.source(repo.url, { dataDir });
    const snapshot = await fleet.fetch(signal);
    const before = filesBelow(dataDir);
    await repo.commit("two", { a: "new" });
    const faults: [string, GitFault, RegExp][] = [
      ["a", { status: 200 }, /^SOURCE_PROTOCOL$/],
      ["b", { status: 200, match: "git-upload-pack" }, /^SOURCE_PROTOCOL$/],
      ["c", { status: 404 }, /^SOURCE_PROTOCOL$/],
      ["d", { status: 503 }, /^SOURCE_UNREACHABLE$/],
      ["e", { truncate: true }, /^SOURCE_(UNREACHABLE|PROTOCOL)$/],
      ["f", { drop: true }, /^SOURCE_UNREACHABLE$/],
    ];
    for (const [unread, fault, code] of faults) {
      rig.server.setFault(fault);
      expect(await codeOf(fleet.fetch(signal))).toMatch(code);
      expect([await textOf(snapshot, unread), filesBelow(dataDir)]).toEqual([`content of ${unread}`, before]);
    }
  });

  it.each<[string, (pack: Buffer) => Buffer]>([
    ["is cut", (pack) => pack.subarray(0, Math.floor(pack.length * 0.7))],
    ["has a flipped bit", (pack) => Buffer.from(pack.map((byte, at) => (at === pack.length - 5 ? byte ^ 1 : byte)))],
    ["is no pack", () => Buffer.from(`PACK${"x".repeat(60)}`)],
    ["is empty", () => Buffer.alloc(0)],
  ])("refuses a pack that %s, and goes on with the next look as if nothing had been", async (_, change) => {
    const repo = await rig.repository();
    await repo.commit("one", FILES);
    const dataDir = rig.folder();
    const fleet = rig.source(front.urlOf(repo.url), { dataDir });
    const first = await fleet.fetch(signal);
    const commit = await repo.commit("two", { a: "new" });
    front.setHook(packOf(change));
    expect(await codeOf(fleet.fetch(signal))).toBe("SOURCE_PROTOCOL");
    expect(await textOf(first, "b")).toBe(FILES["b"]);
    front.setHook(noFullClone);
    const second = await fleet.fetch(signal);
    expect([second.commit, await textOf(second, "a"), filesBelow(dataDir, ".pack").length]).toEqual([commit, "new", 2]);
  });

  it("says that the disk is at fault, where it is", async () => {
    const repo = await rig.repository();
    await repo.commit("one", FILES);
    const inFile = filesBelow(repo.workTree)[0]?.path ?? "";
    expect(await codeOf(rig.source(repo.url, { dataDir: inFile }).fetch(signal))).toBe("SOURCE_CLONE");
  });
});

describe("a clone that has too many packs", () => {
  async function withPacks(maxPacks: number) {
    const repo = await rig.repository();
    const dataDir = rig.folder();
    const url = front.urlOf(repo.url);
    const fleet = rig.source(url, { dataDir, maxPacks });
    await repo.commit("one", { a: "one", rest: "rest" });
    return { repo, dataDir, url, fleet, first: await fleet.fetch(signal) };
  }
  const packsOf = (dataDir: string, clone: number) =>
    filesBelow(dataDir, ".pack").filter(({ path }) => path.includes(`/${clone}/objects`)).length;

  it("is cloned anew, while all that was read from the old one stays readable", async () => {
    const { repo, dataDir, fleet, first } = await withPacks(3);
    const snapshots: CommitSnapshot[] = [first];
    for (const value of ["two", "three", "four"]) {
      await repo.commit(value, { a: value });
      snapshots.push(await fleet.fetch(signal));
      // A look at which there is nothing new has the time.
      if (value === "three") snapshots.push(await fleet.fetch(signal));
    }
    expect([packsOf(dataDir, 1), packsOf(dataDir, 2)]).toEqual([3, 2]);
    expect(await Promise.all(snapshots.map((snapshot) => textOf(snapshot, "a")))).toEqual(["one", "two", "three", "three", "four"]);
    expect(await Promise.all(snapshots.map((snapshot) => textOf(snapshot, "rest")))).toEqual(Array(5).fill("rest"));
  });

  it("stays in use if that fails: the new commit is there all the same, and the old ones stay readable", async () => {
    const { repo, dataDir, fleet, first } = await withPacks(2);
    front.setHook(noFullClone);
    const commit = await repo.commit("two", { a: "two" });
    const second = await fleet.fetch(signal);
    expect(await fleet.fetch(signal)).toBe(second);
    expect([second.commit, await textOf(second, "a"), await textOf(first, "rest")]).toEqual([commit, "two", "rest"]);
    expect([packsOf(dataDir, 1), packsOf(dataDir, 2)]).toEqual([2, 0]);
    front.setHook(null);
    await repo.commit("three", { a: "three" });
    expect(await textOf(await fleet.fetch(signal), "a")).toBe("three");
    expect(await textOf(await fleet.fetch(signal), "a")).toBe("three");
    expect([packsOf(dataDir, 1), packsOf(dataDir, 3)]).toEqual([3, 1]);
  });

  it("is counted by what lies on disk, also in a hub that starts often", async () => {
    const { repo, dataDir, url } = await withPacks(100);
    for (const value of ["two", "three"]) {
      await repo.commit(value, { a: value });
      const started = rig.source(url, { dataDir, maxPacks: 3 });
      await started.fetch(signal);
      await started.fetch(signal);
    }
    expect([packsOf(dataDir, 1), packsOf(dataDir, 2)]).toEqual([3, 1]);
    // The next process has no use for what the one before has read from.
    await rig.source(url, { dataDir }).fetch(signal);
    expect([packsOf(dataDir, 1), packsOf(dataDir, 2)]).toEqual([0, 1]);
  });
});

describe("a hub that starts while Git is away", () => {
  async function stopped() {
    const repo = await rig.repository();
    const commit = await repo.commit("one", { a: "one" });
    const dataDir = rig.folder();
    await rig.source(repo.url, { dataDir }).fetch(signal);
    await repo.commit("two", { a: "two" });
    return { repo, commit, dataDir };
  }

  it.each<[string, GitFault, string]>([
    ["is down", { drop: true }, "SOURCE_UNREACHABLE"],
    ["fails", { status: 503 }, "SOURCE_UNREACHABLE"],
    ["refuses the credentials", { status: 401 }, "SOURCE_AUTH"],
    ["answers with a web page", { status: 200 }, "SOURCE_PROTOCOL"],
  ])("has the commit that is on disk, and the problem too, if it %s", async (_, fault, code) => {
    const { repo, commit, dataDir } = await stopped();
    const fleet = rig.source(repo.url, { dataDir });
    rig.server.setFault(fault);
    expect(await codeOf(fleet.fetch(signal))).toBe(code);
    const kept = await fleet.kept();
    expect([kept?.commit, kept && (await textOf(kept, "a"))]).toEqual([commit, "one"]);
    expect(await fleet.kept()).toBe(kept);
    rig.server.setFault(null);
    expect(await textOf(await fleet.fetch(signal), "a")).toBe("two");
  });

  it("goes on with the same snapshot when Git is back and nothing is new", async () => {
    const { repo, dataDir } = await stopped();
    await rig.source(repo.url, { dataDir }).fetch(signal);
    const fleet = rig.source(repo.url, { dataDir });
    const kept = await fleet.kept();
    expect(await fleet.fetch(signal)).toBe(kept);
    expect(kept?.rewrites).toBeUndefined();
  });

  it("tells a rewrite that happened meanwhile", async () => {
    const { repo, commit, dataDir } = await stopped();
    await repo.git("reset", "-q", "--hard", "HEAD~1");
    await repo.git("commit", "-q", "--amend", "-m", "rewritten");
    await repo.push({ force: true });
    const fleet = rig.source(repo.url, { dataDir });
    await fleet.kept();
    expect((await fleet.fetch(signal)).rewrites).toBe(commit);
  });

  it("has nothing without a clone, and nothing of another ref, URL or path", async () => {
    const { repo, dataDir } = await stopped();
    const other = await rig.repository();
    await repo.push({ refspec: "HEAD:refs/heads/other" });
    const sources = [
      rig.source(repo.url),
      rig.source(repo.url, { dataDir, ref: "other" }),
      rig.source(other.url, { dataDir }),
      rig.source(repo.url, { dataDir, path: "missing" }),
    ];
    expect(await Promise.all(sources.map((source) => source.kept()))).toEqual([undefined, undefined, undefined, undefined]);
  });

  it("has nothing of a commit that was no good", async () => {
    const repo = await rig.repository();
    await repo.commit("one", { a: "one" });
    const dataDir = rig.folder();
    expect(await codeOf(rig.source(repo.url, { dataDir, path: "fleet" }).fetch(signal))).toBe("SOURCE_PATH_MISSING");
    expect(await rig.source(repo.url, { dataDir }).kept()).toBeUndefined();
  });
});

describe("a pinned commit", () => {
  it("that only another branch leads to is found", async () => {
    const repo = await rig.repository();
    await repo.commit("one", { a: "one" });
    await repo.git("checkout", "-qb", "side");
    repo.write({ a: "side" });
    await repo.git("commit", "-qam", "side");
    const pin = await repo.git("rev-parse", "HEAD");
    repo.write({ a: "tip" });
    await repo.git("commit", "-qam", "tip");
    await repo.push({ refspec: "HEAD:refs/heads/side" });
    expect(await textOf(await rig.source(repo.url, { ref: pin }).fetch(signal), "a")).toBe("side");
  });

  it("that is not there yet is missing, and is found once it was pushed", async () => {
    const repo = await rig.repository();
    await repo.commit("one", { a: "one" });
    repo.write({ a: "two" });
    await repo.git("commit", "-qam", "two");
    const pin = await repo.git("rev-parse", "HEAD");
    const dataDir = rig.folder();
    const fleet = rig.source(repo.url, { ref: pin, dataDir });
    expect(await codeOf(fleet.fetch(signal))).toBe("SOURCE_REF_MISSING");
    expect(await codeOf(fleet.fetch(signal))).toBe("SOURCE_REF_MISSING");
    await repo.push();
    expect(await textOf(await fleet.fetch(signal), "a")).toBe("two");
    rig.server.setFault({ drop: true });
    expect(await textOf(await rig.source(repo.url, { ref: pin, dataDir }).fetch(signal), "a")).toBe("two");
  });

  it("of a repository without any commit is missing", async () => {
    const { url } = await rig.repository();
    expect(await codeOf(rig.source(url, { ref: "1".repeat(40) }).fetch(signal))).toBe("SOURCE_REF_MISSING");
  });
});
