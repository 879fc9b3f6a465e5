import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { GitRepository } from "../../../../test/rig/git-server.ts";
import { createTempFolder } from "../../../../test/rig/temp-folder.ts";
import { type SourceRig, startSourceRig, textOf } from "../testing/source-rig.ts";
import type { SignatureMode } from "./check-signature.ts";
import { createSshSigner, type SshSigner } from "./testing/ssh-signer.ts";

const signal = new AbortController().signal;
const folder = createTempFolder("signed-source");
const allowedSignersFile = join(folder.path, "allowed_signers");
let rig: SourceRig;
let ada: SshSigner;
let mallory: SshSigner;
let repository: GitRepository;
let dataDir: string;

beforeAll(async () => {
  rig = await startSourceRig();
  [ada, mallory] = [createSshSigner(folder.path, "ada"), createSshSigner(folder.path, "mallory")];
});
afterAll(async () => {
  await rig?.stop();
  folder.remove();
});
beforeEach(async () => {
  repository = await rig.repository();
  dataDir = rig.folder();
  writeFileSync(allowedSignersFile, `${ada.line}\n`);
});

/** Commits and pushes; by nobody, it is not signed. */
async function commit(value: string, signer?: SshSigner): Promise<void> {
  repository.write({ "a.txt": value });
  await repository.git("add", "--all");
  await repository.git(...(signer?.git ?? []), "commit", "-q", ...(signer ? ["-S"] : []), "-m", value);
  await repository.push();
}
async function tag(name: string, signer?: SshSigner): Promise<void> {
  await repository.git(...(signer?.git ?? []), "tag", "-f", signer ? "-s" : "-a", "-m", "a release", name);
  await repository.git("push", "-qf", "--tags", "origin");
}
/** As a hub that has just started has it. */
const source = (mode: SignatureMode = "head", ref = "main") =>
  rig.source(repository.url, { ref, dataDir, verify: { mode, allowedSignersFile } });
const refusal = (message: RegExp) => ({ code: "SOURCE_SIGNATURE", message: expect.stringMatching(message) });

describe("a source whose commits must be signed", () => {
  it("goes on with a signed commit, and stays at the last one when one comes that is not signed, or by somebody else", async () => {
    await commit("one", ada);
    const fleet = source();
    expect(await textOf(await fleet.fetch(signal), "a.txt")).toBe("one");
    await commit("two");
    await expect(fleet.fetch(signal)).rejects.toMatchObject(refusal(/is not signed/));
    await commit("three", mallory);
    await expect(fleet.fetch(signal)).rejects.toMatchObject(refusal(/who is no signer/));
    const kept = await source().kept();
    expect(kept && (await textOf(kept, "a.txt"))).toBe("one");
    await commit("four", ada);
    expect(await textOf(await fleet.fetch(signal), "a.txt")).toBe("four");
  });

  it("takes a new signer without a restart, and gives nothing at all while the first commit is not signed", async () => {
    await commit("one", mallory);
    const fleet = source();
    await expect(fleet.fetch(signal)).rejects.toMatchObject(refusal(/who is no signer/));
    expect(await fleet.kept()).toBeUndefined();
    writeFileSync(allowedSignersFile, `${ada.line}\n${mallory.line}\n`);
    expect(await textOf(await fleet.fetch(signal), "a.txt")).toBe("one");
  });

  it("does not take what was kept before signatures were asked for", async () => {
    await commit("one");
    await rig.source(repository.url, { dataDir }).fetch(signal);
    expect(await source().kept()).toBeUndefined();
  });
});

describe("a source whose tag must be signed", () => {
  it("follows the tag while it is signed, whoever signs commits, and stays where it was otherwise", async () => {
    await commit("one");
    await tag("stable", ada);
    const fleet = source("tag", "stable");
    expect(await textOf(await fleet.fetch(signal), "a.txt")).toBe("one");
    await commit("two", ada);
    await tag("stable");
    await expect(fleet.fetch(signal)).rejects.toMatchObject(refusal(/the tag is not signed/));
    const kept = await source("tag", "stable").kept();
    expect(kept && (await textOf(kept, "a.txt"))).toBe("one");
    await expect(source("tagAndHead", "stable").fetch(signal)).rejects.toMatchObject(refusal(/the tag is not signed/));
    await tag("stable", ada);
    expect(await textOf(await fleet.fetch(signal), "a.txt")).toBe("two");
    expect(await textOf(await source("tagAndHead", "stable").fetch(signal), "a.txt")).toBe("two");
  });

  it("is refused for a branch, which has no tag", async () => {
    await commit("one", ada);
    await expect(source("tag").fetch(signal)).rejects.toMatchObject(refusal(/no annotated tag/));
  });
});
