import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { createAuthority, issueServerCertificate, type KeyedCertificate } from "../identity/certificates.ts";
import { type FrontHook, type GitFront, startGitFront } from "./testing/git-front.ts";
import { type SourceRig, startSourceRig, textOf } from "./testing/source-rig.ts";

let rig: SourceRig;
let front: GitFront;
let tlsFront: GitFront;
let authority: KeyedCertificate;
const signal = new AbortController().signal;

beforeAll(async () => {
  rig = await startSourceRig();
  front = await startGitFront(rig.server.url);
  authority = await createAuthority("git.example");
  tlsFront = await startGitFront(rig.server.url, await issueServerCertificate(authority, ["127.0.0.1"]));
});
afterEach(() => {
  front.setHook(null);
  rig.server.setFault(null);
});
afterAll(async () => {
  await front.stop();
  await tlsFront.stop();
  await rig.stop();
});

/** Sends a download in this many pieces, the first at once. */
const slowly =
  (pieces: number, gapMs: number): FrontHook =>
  (request, answer) => {
    if (!request.path.endsWith("/git-upload-pack")) return answer;
    const size = Math.ceil(answer.body.length / pieces);
    const body = async function* () {
      for (let at = 0; at < answer.body.length; at += size) {
        if (at > 0) await delay(gapMs);
        yield answer.body.subarray(at, at + size);
      }
    };
    return { ...answer, body: body() };
  };

async function fleetOf(more: Parameters<SourceRig["source"]>[1]) {
  const repo = await rig.repository();
  await repo.commit("one", { a: "one" });
  return { repo, fleet: rig.source(front.urlOf(repo.url), more) };
}

describe("a download", () => {
  it("may take longer than the time without a byte, as long as bytes come", async () => {
    const { fleet } = await fleetOf({ idleTimeoutMs: 1_500 });
    front.setHook(slowly(8, 300));
    const started = performance.now();
    expect(await textOf(await fleet.fetch(signal), "a")).toBe("one");
    expect(performance.now() - started).toBeGreaterThan(1_500);
  });

  it("E156: that stands still is given up, and the next look gets it", async () => {
    const { fleet } = await fleetOf({ idleTimeoutMs: 300 });
    front.setHook(slowly(2, 60_000));
    await expect(fleet.fetch(signal)).rejects.toMatchObject({ code: "SOURCE_UNREACHABLE" });
    front.setHook(null);
    expect(await textOf(await fleet.fetch(signal), "a")).toBe("one");
  });

  it("has a time for the whole look, which the error names", async () => {
    const { fleet } = await fleetOf({ timeoutMs: 700 });
    front.setHook(slowly(100, 100));
    await expect(fleet.fetch(signal)).rejects.toMatchObject({ code: "SOURCE_UNREACHABLE", message: expect.stringContaining("timeoutMs") });
    front.setHook(null);
    expect(await textOf(await fleet.fetch(signal), "a")).toBe("one");
  });

  it("ends when the hub ends", async () => {
    const { repo } = await fleetOf({});
    rig.server.setFault({ hang: true });
    const stop = new AbortController();
    const work = rig.source(repo.url).fetch(stop.signal);
    stop.abort();
    await expect(work).rejects.toMatchObject({ code: "SOURCE_UNREACHABLE" });
  });
});

describe("a Git server with a certificate of a private authority", () => {
  async function written(text: string): Promise<string> {
    const folder = rig.folder();
    writeFileSync(join(folder, "ca.pem"), text);
    return join(folder, "ca.pem");
  }
  async function url(): Promise<string> {
    const repo = await rig.repository();
    await repo.commit("one", { a: "one" });
    return tlsFront.urlOf(repo.url);
  }

  it("is not trusted by itself", async () => {
    const error = await rig
      .source(await url())
      .fetch(signal)
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "SOURCE_UNREACHABLE", message: expect.stringMatching(/CERT|SIGNATURE/) });
  });

  it("is trusted with the authority's file, and with no other", async () => {
    const fleet = rig.source(await url(), { caFile: await written(authority.cert) });
    expect(await textOf(await fleet.fetch(signal), "a")).toBe("one");
    await fleet.close();
    const stranger = await createAuthority("stranger.example");
    await expect(rig.source(await url(), { caFile: await written(stranger.cert) }).fetch(signal)).rejects.toMatchObject({
      code: "SOURCE_UNREACHABLE",
    });
  });

  it("is trusted as soon as the file is right, without a restart; a file that is missing is named", async () => {
    const stranger = await createAuthority("stranger.example");
    const caFile = await written(stranger.cert);
    const fleet = rig.source(await url(), { caFile });
    await expect(fleet.fetch(signal)).rejects.toMatchObject({ code: "SOURCE_UNREACHABLE" });
    writeFileSync(caFile, authority.cert);
    expect(await textOf(await fleet.fetch(signal), "a")).toBe("one");
    await fleet.close();
    await expect(rig.source(await url(), { caFile: `${caFile}.none` }).fetch(signal)).rejects.toMatchObject({
      code: "SOURCE_CONFIG",
      message: expect.stringContaining(`${caFile}.none`),
    });
  });
});
