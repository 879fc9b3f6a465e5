import { CodedError } from "@muster/shared/errors";
import { createMetrics, silentLogger } from "@muster/shared/telemetry";
import { afterEach, describe, expect, it } from "vitest";
import { eventually } from "../../test/rig/eventually.ts";
import { ManualClock } from "../../test/rig/manual-clock.ts";
import type { CommitSnapshot } from "./source/snapshot.ts";
import { createSourceWatch, type SourceWatch } from "./watch-sources.ts";

const snapshot = (commit: string, more: Partial<CommitSnapshot> = {}): CommitSnapshot => ({
  source: "fleet",
  ref: "main",
  commit: commit.repeat(40),
  subject: "Change",
  author: "Ada",
  committedAt: "2026-10-05T03:12:00Z",
  files: new Map(),
  read: async () => new Uint8Array(),
  readLink: async () => "",
  ...more,
});

/** A repository whose looks the test answers, one by one. */
function createRemote(name: string, kept?: CommitSnapshot) {
  const looks: { resolve: (value: CommitSnapshot) => void; reject: (error: Error) => void }[] = [];
  return {
    looks,
    source: {
      name,
      ref: "main",
      fetch: (signal: AbortSignal) =>
        new Promise<CommitSnapshot>((resolve, reject) => {
          looks.push({ resolve, reject });
          signal.addEventListener("abort", () => reject(signal.reason));
        }),
      kept: async () => kept,
      close: async () => {},
    },
    async answer(what: CommitSnapshot | Error): Promise<void> {
      const look = await eventually(() => looks.shift() ?? Promise.reject(new Error(`nobody looks at ${name}`)));
      if (what instanceof Error) look.reject(what);
      else look.resolve(what);
    },
  };
}

let stop: AbortController;
let running: Promise<void>;
afterEach(async () => {
  stop.abort();
  await running;
});

function watch(...remotes: ReturnType<typeof createRemote>[]) {
  const told: string[] = [];
  const sources: SourceWatch = createSourceWatch({
    sources: remotes.map(({ source }) => ({ source, url: `https://git.example/${source.name}`, pollIntervalMs: 3_600_000 })),
    record: (view, problem) => told.push(`${view.name} ${view.commit?.[0] ?? "-"} ${problem?.code ?? "ok"}`),
    onRewrite: (message) => told.push(`rewrite ${message.slice(0, 5)}`),
    onNews: () => told.push("news"),
    failpoint: () => {},
    clock: new ManualClock(),
    random: () => 0,
    logger: silentLogger(),
    metrics: createMetrics(),
  });
  stop = new AbortController();
  running = sources.run(stop.signal);
  return { sources, told };
}
const UNREACHABLE = new CodedError("SOURCE_UNREACHABLE", "no answer");

describe("watching sources", () => {
  it("tells of a commit that is new, and not of one that is known", async () => {
    const fleet = createRemote("fleet");
    const { sources, told } = watch(fleet);
    const first = snapshot("a");
    await fleet.answer(first);
    await eventually(() => expect(sources.tried).toBe(true));
    told.length = 0;
    sources.look();
    await fleet.answer(first);
    await eventually(() => expect(told).toEqual(["fleet a ok"]));
    sources.look("fleet");
    await fleet.answer(snapshot("b"));
    await eventually(() => expect(told).toEqual(["fleet a ok", "fleet b ok", "news"]));
  });

  it("keeps the last commit of a source that cannot be fetched, and tries again by itself", async () => {
    const fleet = createRemote("fleet");
    const { sources, told } = watch(fleet);
    const first = snapshot("a");
    await fleet.answer(first);
    await eventually(() => expect(sources.tried).toBe(true));
    sources.look();
    await fleet.answer(UNREACHABLE);
    await eventually(() => expect(told.at(-1)).toBe("fleet a SOURCE_UNREACHABLE"));
    expect(sources.snapshots).toMatchObject([{ source: "fleet", snapshot: { commit: "a".repeat(40) } }]);
    await fleet.answer(first);
    await eventually(() => expect(told.at(-1)).toBe("fleet a ok"));
  });

  it("E071: starts with what an earlier process has left on disk, if the remote cannot be asked, and says both", async () => {
    const fleet = createRemote("fleet", snapshot("k"));
    const { sources, told } = watch(fleet);
    await fleet.answer(UNREACHABLE);
    await eventually(() => expect(sources.tried).toBe(true));
    expect(told).toEqual(["fleet k SOURCE_UNREACHABLE", "news"]);
    expect(sources.snapshots).toMatchObject([{ snapshot: { commit: "k".repeat(40) } }]);
  });

  it("E160: reads the same commit again when its clone was made anew", async () => {
    const fleet = createRemote("fleet");
    const { sources, told } = watch(fleet);
    await fleet.answer(snapshot("a"));
    await eventually(() => expect(sources.tried).toBe(true));
    told.length = 0;
    sources.look();
    await fleet.answer(snapshot("a"));
    await eventually(() => expect(told).toEqual(["fleet a ok", "news"]));
  });

  it("is done with its first try when every source has answered or failed, though one hangs long", async () => {
    const [fast, broken, slow] = [createRemote("fast"), createRemote("broken"), createRemote("slow")];
    const { sources, told } = watch(fast, broken, slow);
    await fast.answer(snapshot("a"));
    await broken.answer(UNREACHABLE);
    await eventually(() => expect(told).toEqual(["fast a ok", "news", "broken - SOURCE_UNREACHABLE"]));
    expect(sources.tried).toBe(false);
    await slow.answer(snapshot("b"));
    await eventually(() => expect(sources.tried).toBe(true));
    expect(told.at(-1)).toBe("news");
  });

  it("E167: looks once more, and only once, for many webhooks that come while it looks", async () => {
    const fleet = createRemote("fleet");
    const { sources, told } = watch(fleet);
    await eventually(() => expect(fleet.looks).toHaveLength(1));
    for (let hook = 0; hook < 100; hook += 1) sources.look("fleet");
    sources.look("another");
    await fleet.answer(snapshot("a"));
    await fleet.answer(snapshot("b"));
    await eventually(() => expect(told.filter((line) => line.endsWith("ok"))).toEqual(["fleet a ok", "fleet b ok"]));
    await expect(
      eventually(() => expect(fleet.looks).toHaveLength(1), { timeoutMs: 100 }),
      "a third look",
    ).rejects.toThrow();
  });

  it("tells of a rewritten ref once, and takes its commit", async () => {
    const fleet = createRemote("fleet");
    const { sources, told } = watch(fleet);
    const rewritten = snapshot("b", { rewrites: "a".repeat(40) });
    await fleet.answer(rewritten);
    await eventually(() => expect(sources.tried).toBe(true));
    sources.look();
    await fleet.answer(rewritten);
    await eventually(() => expect(told.filter((line) => line.endsWith("ok"))).toHaveLength(2));
    expect(told.filter((line) => line.startsWith("rewrite"))).toEqual(["rewrite fleet"]);
  });
});
