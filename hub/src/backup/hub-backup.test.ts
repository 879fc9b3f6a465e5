import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { armor, Encrypter, generateIdentity, identityToRecipient } from "age-encryption";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createTempFolder } from "../../../test/rig/temp-folder.ts";
import { loadIdentity } from "../identity/identity.ts";
import { createBackup, restoreBackup } from "./hub-backup.ts";

const TRUST_DOMAIN = "example.org";
const REVOKED = { fingerprint: "f", nats: "U", at: "2026-11-01T00:00:00.000Z" };
let folder: ReturnType<typeof createTempFolder>;
let dataDir: string;
let fresh: string;
let identity: string;
let recipients: string[];

const load = (of: string) => loadIdentity({ dataDir: of, trustDomain: TRUST_DOMAIN, serverNames: ["hub"] });
const backup = (lock: Parameters<typeof createBackup>[0]["lock"] = { recipients }) =>
  createBackup({ dataDir, trustDomain: TRUST_DOMAIN, lock, nowMs: Date.UTC(2026, 10, 30) });
const restore = (text: string, more: Partial<Parameters<typeof restoreBackup>[0]> = {}) =>
  restoreBackup({ text, key: { identity }, dataDir: fresh, trustDomain: TRUST_DOMAIN, ...more });

beforeEach(async () => {
  folder = createTempFolder("backup");
  [dataDir, fresh] = [join(folder.path, "data"), join(folder.path, "fresh")];
  identity = await generateIdentity();
  recipients = [await identityToRecipient(identity)];
  await load(dataDir);
  mkdirSync(join(dataDir, "agents"));
  writeFileSync(join(dataDir, "agents/one.json"), JSON.stringify({ version: 1, token: {}, revoked: [REVOKED] }), { mode: 0o600 });
});
afterEach(() => folder.remove());

describe("a backup of a hub", () => {
  it("makes another folder the same hub: every key, both secrets, and who may act for which cluster", async () => {
    expect(await restore(await backup())).toEqual({ trustDomain: TRUST_DOMAIN, madeAt: "2026-11-30T00:00:00.000Z", files: 7 });
    const [before, after] = [await load(dataDir), await load(fresh)];
    for (const key of ["signingPublicPem", "ca", "apiToken", "webhookSecret"] as const) expect(after[key]).toBe(before[key]);
    expect(await after.natsClaims({})).toHaveLength(2);
    expect(JSON.parse(readFileSync(join(fresh, "agents/one.json"), "utf8"))).toEqual({ version: 1, revoked: [REVOKED] });
    expect((statSync(join(fresh, "ca.json")).mode & 0o777).toString(8)).toBe("600");
  });

  it("is opened by a passphrase too, if it was made for one", { timeout: 60_000 }, async () => {
    const text = await backup({ passphrase: "correct horse" });
    await expect(restore(text, { key: { passphrase: "wrong" } })).rejects.toMatchObject({ code: "BACKUP_UNREADABLE" });
    await expect(restore(text)).rejects.toMatchObject({ code: "BACKUP_UNREADABLE" });
    expect(await restore(text, { key: { passphrase: "correct horse" } })).toMatchObject({ files: 7 });
  });

  it("shows nothing of what is in it: neither itself, nor the error about it", async () => {
    const secret = readFileSync(join(dataDir, "api-token"), "utf8");
    const text = await backup();
    expect(text).not.toContain(secret);
    expect(Buffer.from(armor.decode(text)).toString("latin1")).not.toContain(secret);
    const encrypter = new Encrypter();
    for (const recipient of recipients) encrypter.addRecipient(recipient);
    const bad = armor.encode(await encrypter.encrypt(JSON.stringify({ format: "other", canary: secret })));
    const error = await restore(bad).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: "BACKUP_UNREADABLE" });
    expect(String(error) + String((error as Error).cause)).not.toContain(secret);
  });

  it("is put into no folder that is a hub's, in whole or in part, and then nothing of it is", async () => {
    const text = await backup();
    mkdirSync(fresh);
    writeFileSync(join(fresh, "api-token"), "mine");
    await expect(restore(text)).rejects.toMatchObject({ code: "CONFIG_INVALID", message: expect.stringContaining("api-token") });
    expect(readdirSync(fresh)).toEqual(["api-token"]);
  });

  it("is begun anew where it broke off in the middle; no hub starts from half of it", async () => {
    const text = await backup();
    mkdirSync(fresh);
    writeFileSync(join(fresh, "restore-unfinished"), "");
    writeFileSync(join(fresh, "ca.json"), "half");
    await expect(load(fresh)).rejects.toMatchObject({ code: "CONFIG_INVALID", message: expect.stringContaining("run it again") });
    await restore(text);
    expect((await load(fresh)).ca).toBe((await load(dataDir)).ca);
  });

  it("is put nowhere if it is of another trust domain, cut, changed, or not for this key", async () => {
    const text = await backup();
    await expect(restore(text, { trustDomain: "other.org" })).rejects.toMatchObject({ code: "CONFIG_INVALID" });
    const middle = Math.floor(text.length / 2);
    const changed = `${text.slice(0, middle)}${text[middle] === "A" ? "B" : "A"}${text.slice(middle + 1)}`;
    for (const wrong of ["", "no backup", text.slice(0, -200), changed])
      await expect(restore(wrong)).rejects.toMatchObject({ code: "BACKUP_UNREADABLE" });
    await expect(restore(text, { key: { identity: await generateIdentity() } })).rejects.toMatchObject({ code: "BACKUP_UNREADABLE" });
    await expect(restore(text, { key: { identity: "none" } })).rejects.toMatchObject({ code: "BACKUP_UNREADABLE" });
    expect(existsSync(fresh)).toBe(false);
  });

  it.each(["../evil", "/etc/passwd", "agents/../../evil.json", "agents/One.json", "nats/other", "agents/a/b.json"])(
    "that names a file %s is none, whoever has made it",
    async (name) => {
      const encrypter = new Encrypter();
      for (const recipient of recipients) encrypter.addRecipient(recipient);
      const files = { "signing-key.pem": "x", "ca.json": "x", "nats/seeds.json": "x", "nats/hub-account.seed": "x", [name]: "x" };
      const content = { format: "muster.dev/hub-backup/v1", trustDomain: TRUST_DOMAIN, madeAt: "2026-11-30T00:00:00.000Z", files };
      await expect(restore(armor.encode(await encrypter.encrypt(JSON.stringify(content))))).rejects.toMatchObject({
        code: "BACKUP_UNREADABLE",
      });
      expect(existsSync(fresh)).toBe(false);
    },
  );

  it("is not made where there is no hub, or for somebody who is none", async () => {
    await expect(createBackup({ dataDir: fresh, trustDomain: TRUST_DOMAIN, lock: { recipients }, nowMs: 0 })).rejects.toMatchObject({
      code: "CONFIG_INVALID",
    });
    await expect(backup({ recipients: ["age1wrong"] })).rejects.toMatchObject({ code: "CLI_USAGE" });
  });

  it("takes no key of a hub from a file that others may read without closing it to them", async () => {
    chmodSync(join(dataDir, "ca.json"), 0o644);
    await backup();
    expect((statSync(join(dataDir, "ca.json")).mode & 0o777).toString(8)).toBe("600");
  });
});
