import { createHash, generateKeyPairSync, sign } from "node:crypto";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createTempFolder } from "../../../../test/rig/temp-folder.ts";
import { parseAllowedSigners } from "./allowed-signers.ts";
import { checkSignatures, type SignatureMode, type SignedRevision } from "./check-signature.ts";
import { splitCommit } from "./signed-object.ts";
import { sshString } from "./ssh-wire.ts";
import { SIGNED, SIGNED_TAG } from "./testing/signed-objects.ts";

const folder = createTempFolder("signers");
const file = join(folder.path, "allowed_signers");
beforeAll(() => writeFileSync(file, ""));
afterAll(() => folder.remove());

type Name = keyof typeof SIGNED;
const NAMES = Object.keys(SIGNED) as Name[];
const raw = (text: string) => Buffer.from(text, "base64");
const revision = (name: Name, change: (bytes: Buffer) => Buffer = (bytes) => bytes): SignedRevision => ({
  commit: SIGNED[name].oid,
  rawCommit: change(raw(SIGNED[name].raw)),
});
const lineOf = (name: Name, options = "") => `person@example.com ${options}${options && " "}${SIGNED[name].key} a comment`;

/** Who has signed it, as the lines of an allowed_signers file say, or the refusal. */
function outcome(of: SignedRevision, lines: readonly string[], mode: SignatureMode = "head"): string {
  writeFileSync(file, `# signers\n\n${lines.join("\n")}\n`);
  try {
    return checkSignatures(of, { mode, allowedSignersFile: file }).join(" and ");
  } catch (error) {
    expect(error).toMatchObject({ code: "SOURCE_SIGNATURE" });
    return (error as Error).message;
  }
}
/** Replaces text in a raw commit. */
const replacing = (from: string, to: string) => (bytes: Buffer) => {
  const text = bytes.toString("latin1");
  expect(text).toContain(from);
  return Buffer.from(text.replace(from, to), "latin1");
};

describe("commits that Git has signed with SSH keys", () => {
  it.each(NAMES)("are good if %s is a signer of the source", (name) => {
    expect(outcome(revision(name), [lineOf("ed25519", 'namespaces="file"'), lineOf(name)])).toBe("person@example.com");
  });

  it.each(NAMES)("by %s are refused when anything in them is changed: tree, time, message", (name) => {
    const lines = [lineOf(name)];
    const fits = /does not fit/;
    expect(outcome(revision(name, replacing("second paragraph", "second Paragraph")), lines)).toMatch(fits);
    expect(outcome(revision(name, replacing("tree 4b825dc6", "tree 4b825dc7")), lines)).toMatch(fits);
    expect(outcome(revision(name, replacing("committer A Person", "committer B Person")), lines)).toMatch(fits);
  });

  it("are refused if nobody or another one is a signer, or they are not signed", () => {
    expect(outcome(revision("ed25519"), [lineOf("rsab3072")])).toMatch(/signed by SHA256:\S+, who is no signer/);
    const unsigned = Buffer.from(splitCommit(raw(SIGNED.ed25519.raw)).payload);
    expect(outcome({ commit: "x", rawCommit: unsigned }, [lineOf("ed25519")])).toMatch(/is not signed/);
  });

  it("are refused with the signature of another commit by the same signer", () => {
    const other = splitCommit(raw(SIGNED.ed25519.raw)).signature ?? "";
    const swapped = Buffer.from(splitCommit(raw(SIGNED.ecdsab256.raw)).payload).toString("latin1");
    const header = `gpgsig ${other.trimEnd().split("\n").join("\n ")}\n`;
    const at = swapped.indexOf("\n\n") + 1;
    const forged = Buffer.from(swapped.slice(0, at) + header + swapped.slice(at), "latin1");
    expect(outcome({ commit: "x", rawCommit: forged }, [lineOf("ed25519")])).toMatch(/does not fit/);
    const twice = Buffer.from(swapped.slice(0, at) + header + header + swapped.slice(at), "latin1");
    expect(outcome({ commit: "x", rawCommit: twice }, [lineOf("ed25519")])).toMatch(/two signatures/);
  });

  it("are refused if they were made outside of the time in which the signer might, or for something else", () => {
    // They say that they were made on 2026-11-30 at 12:00 UTC.
    const at = (options: string) => outcome(revision("ed25519"), [lineOf("ed25519", options)]);
    expect(at('valid-after="20261130",valid-before="20261201Z"')).toBe("person@example.com");
    expect(at('valid-after="202611301201"')).toMatch(/might not sign it at that time/);
    expect(at('valid-before="20261130120000Z"')).toMatch(/might not sign it at that time/);
    expect(at('namespaces="file,email"')).toMatch(/not for Git/);
    expect(at('namespaces="file, git"')).toBe("person@example.com");
  });

  it("are refused where the signature is made for something else than Git, with the same key", () => {
    const { publicKey, privateKey } = generateKeyPairSync("ed25519");
    const spki = publicKey.export({ type: "spki", format: "der" });
    const key = Buffer.concat([sshString("ssh-ed25519"), sshString(spki.subarray(-32))]);
    const signed = (namespace: string, hash = "sha512", payload = "tree x\n\nm\n") => {
      const digest = createHash(hash === "md5" ? "sha512" : hash)
        .update(payload)
        .digest();
      const data = Buffer.concat([Buffer.from("SSHSIG"), ...[namespace, "", hash, digest].map(sshString)]);
      const signature = Buffer.concat([sshString("ssh-ed25519"), sshString(sign(null, data, privateKey))]);
      const version = Buffer.from([0, 0, 0, 1]);
      const blob = Buffer.concat([Buffer.from("SSHSIG"), version, ...[key, namespace, "", hash, signature].map(sshString)]);
      const armored = `-----BEGIN SSH SIGNATURE-----\n ${blob.toString("base64")}\n -----END SSH SIGNATURE-----`;
      return { commit: "x", rawCommit: Buffer.from(`tree x\ngpgsig ${armored}\n\nm\n`) };
    };
    const lines = [`person ssh-ed25519 ${key.toString("base64")}`];
    expect(outcome(signed("git"), lines)).toBe("person");
    expect(outcome(signed("git", "sha256"), lines)).toBe("person");
    expect(outcome(signed("file"), lines)).toMatch(/not made for Git/);
    expect(outcome(signed("git", "md5"), lines)).toMatch(/hash that is not taken/);
  });

  it("never throw anything else, whichever byte of them is another one", () => {
    const lines = NAMES.map((name) => lineOf(name));
    for (const name of ["ed25519", "ecdsab256"] as const) {
      const { length } = raw(SIGNED[name].raw);
      for (let at = 0; at < length; at += 3) {
        const flipped = revision(name, (bytes) => {
          bytes.writeUInt8(bytes.readUInt8(at) ^ 0x04, at);
          return bytes;
        });
        expect(outcome(flipped, lines)).toMatch(/^The last good commit stays in force/);
      }
    }
  });
});

describe("tags that Git has signed", () => {
  const tagged = { ...revision("rsab3072"), rawTag: raw(SIGNED_TAG.raw), tagName: "v1" };

  it("are good for the commit that they name, alone or with it", () => {
    expect(outcome(tagged, [lineOf("ed25519")], "tag")).toBe("person@example.com");
    expect(outcome(tagged, [lineOf("ed25519"), lineOf("rsab3072")], "tagAndHead")).toBe("person@example.com and person@example.com");
    expect(outcome(tagged, [lineOf("ed25519")], "tagAndHead")).toMatch(/the commit \S+ is signed by \S+, who is no signer/);
    expect(outcome(tagged, [lineOf("rsab3072")], "tagAndHead")).toMatch(/the tag is signed by \S+, who is no signer/);
  });

  it("are refused for another commit, under another name, changed, or where there is none", () => {
    expect(outcome({ ...tagged, tagName: "stable" }, [lineOf("ed25519")], "tag")).toMatch(/signed as "v1", which is another one/);
    expect(outcome({ ...revision("ed25519"), rawTag: raw(SIGNED_TAG.raw) }, [lineOf("ed25519")], "tag")).toMatch(
      /not of this commit itself/,
    );
    const changed = replacing("a tag\n", "A tag\n")(raw(SIGNED_TAG.raw));
    expect(outcome({ ...tagged, rawTag: changed }, [lineOf("ed25519")], "tag")).toMatch(/does not fit/);
    expect(outcome(revision("rsab3072"), [lineOf("rsab3072")], "tag")).toMatch(/is no annotated tag/);
  });
});

describe("a file of signers", () => {
  it.each([
    ["an option that is not taken", `a cert-authority ${SIGNED.ed25519.key}`, /line 2: the option cert-authority/],
    ["a key that is none", "a ssh-ed25519 AAAA", /line 2/],
    ["no key", "a", /line 2: it must be/],
    ["a time that is none", `a valid-before="soon" ${SIGNED.ed25519.key}`, /line 2: .*is no time/],
    [
      "a weak key",
      `a ssh-rsa ${Buffer.concat([sshString("ssh-rsa"), sshString(Buffer.of(1, 0, 1)), sshString(Buffer.alloc(128, 0x77))]).toString("base64")}`,
      /2048 bits/,
    ],
  ])("with %s is refused as a whole, with the number of its line", (_, line, message) => {
    expect(() => parseAllowedSigners(`# first\n${line}\n`)).toThrow(message);
  });

  it("that is not there, or names nobody, lets nobody sign", () => {
    writeFileSync(file, "# nobody\n");
    const check = () => checkSignatures(revision("ed25519"), { mode: "head", allowedSignersFile: file });
    expect(check).toThrow(expect.objectContaining({ code: "CONFIG_INVALID" }));
    rmSync(file);
    expect(check).toThrow(expect.objectContaining({ code: "CONFIG_INVALID" }));
  });
});
