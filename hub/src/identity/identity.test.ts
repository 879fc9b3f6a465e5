import { X509Certificate } from "node:crypto";
import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createTempFolder } from "../../../test/rig/temp-folder.ts";
import { issueServerCertificate, type KeyedCertificate } from "./certificates.ts";
import { type HubIdentity, loadIdentity } from "./identity.ts";
import { agentCredentials } from "./testing/agent-credentials.ts";

let folder: ReturnType<typeof createTempFolder>;
beforeEach(() => {
  folder = createTempFolder("identity");
});
afterEach(() => folder.remove());

const load = (serverNames: readonly string[] = ["hub.example", "127.0.0.1"]): Promise<HubIdentity> =>
  loadIdentity({ dataDir: join(folder.path, "data"), trustDomain: "example.org", serverNames });
const filesBelow = (path: string): string[] =>
  readdirSync(path, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));

interface Claims {
  /** The account, in a user's credentials. */
  readonly iss: string;
  /** The account, in its own claims. */
  readonly sub: string;
  readonly nats: {
    readonly pub: { readonly allow: string[] };
    readonly sub: { readonly allow: string[] };
    readonly limits: object;
    readonly imports?: { readonly account: string }[];
  };
}

const claimsOf = (jwt: string): Claims => JSON.parse(Buffer.from(jwt.split(".")[1] ?? "", "base64url").toString()) as Claims;
const userOf = (creds: string): Claims => claimsOf(/BEGIN NATS USER JWT-----\s+(\S+)/.exec(creds)?.[1] ?? "");

/** The permissions in a NATS credentials file. */
function permissionsOf(creds: string): { pub: string[]; sub: string[] } {
  const { nats } = userOf(creds);
  return { pub: [...nats.pub.allow].sort(), sub: [...nats.sub.allow].sort() };
}

describe("the hub's identity", () => {
  it("is made once: keys, CA, tokens and NATS accounts are the same after a restart", async () => {
    const [first, second] = [await load(), await load()];
    for (const key of ["signingPublicPem", "ca", "apiToken", "webhookSecret"] as const) expect(second[key]).toBe(first[key]);
    expect(second.server.cert).toBe(first.server.cert);
    const issued = await agentCredentials(second, "one");
    expect(new X509Certificate(issued.cert).verify(new X509Certificate(first.ca).publicKey)).toBe(true);
  });

  it("is one, though several processes make it at the same time", async () => {
    const all = await Promise.all(Array.from({ length: 3 }, () => load()));
    for (const key of ["signingPublicPem", "ca", "apiToken", "webhookSecret"] as const)
      expect([key, new Set(all.map((identity) => identity[key])).size]).toEqual([key, 1]);
    const issued = await Promise.all(all.map((identity) => agentCredentials(identity, "one")));
    for (const { cert } of issued) expect(new X509Certificate(cert).verify(new X509Certificate(all[0]?.ca ?? "").publicKey)).toBe(true);
    expect(new Set(issued.map(({ natsCreds }) => userOf(natsCreds).iss)).size).toBe(1);
    expect((await load()).ca).toBe(all[0]?.ca);
  });

  it("ADR 0007: gets an account for its hub where it had one for hub and agents; agents keep theirs, which loses JetStream", async () => {
    const before = await load();
    const old = await agentCredentials(before, "one");
    const seeds = join(folder.path, "data/nats/seeds.json");
    rmSync(join(folder.path, "data/nats/hub-account.seed"));
    const kept = readFileSync(seeds, "utf8");
    const after = await load();
    expect([readFileSync(seeds, "utf8"), after.ca, after.signingPublicPem]).toEqual([kept, before.ca, before.signingPublicPem]);
    const agents = userOf(old.natsCreds).iss;
    const hub = userOf(readFileSync(after.natsCredsFile, "utf8")).iss;
    expect(userOf((await agentCredentials(after, "two")).natsCreds).iss).toBe(agents);
    expect(hub).not.toBe(agents);
    const accounts = [...(await after.natsConfig()).matchAll(/^ {2}(A\w+): (\S+)$/gm)].map(([, , jwt]) => claimsOf(jwt ?? ""));
    const withJetStream = accounts.filter(({ nats }) => Object.keys(nats.limits).some((limit) => limit.endsWith("_storage")));
    expect(withJetStream.map(({ sub }) => sub)).toEqual([hub]);
    expect(accounts.find(({ sub }) => sub === agents)?.nats.imports?.map(({ account }) => account)).toEqual([hub, hub, hub]);
  });

  it("S3: is readable by nobody else, in no file", async () => {
    await load();
    const files = filesBelow(folder.path);
    expect(files.length).toBeGreaterThan(8);
    for (const file of files) expect([file, (statSync(file).mode & 0o777).toString(8)]).toEqual([file, "600"]);
    expect((statSync(join(folder.path, "data")).mode & 0o777).toString(8)).toBe("700");
  });

  it("S3: is closed again to others, in every file that a backup or a volume has opened to them", async () => {
    await load();
    const files = filesBelow(folder.path);
    for (const file of files) chmodSync(file, 0o664);
    await load();
    for (const file of files) expect([file, (statSync(file).mode & 0o777).toString(8)]).toEqual([file, "600"]);
  });

  it("gets another server certificate when its names change, from the same CA", async () => {
    const before = await load();
    const after = await load(["hub.example", "hub.other"]);
    expect(after.ca).toBe(before.ca);
    const certificate = new X509Certificate(after.server.cert);
    expect([certificate.checkHost("hub.other"), certificate.checkIP("127.0.0.1")]).toEqual(["hub.other", undefined]);
    expect(certificate.verify(new X509Certificate(after.ca).publicKey)).toBe(true);
  });

  it("gets another server certificate from a CA that is not the one it had, and instead of one that is damaged or ends soon", async () => {
    const file = (name: string) => join(folder.path, "data", name);
    const madeByCa = (identity: HubIdentity) =>
      new X509Certificate(identity.server.cert).verify(new X509Certificate(identity.ca).publicKey);
    const before = await load();
    rmSync(file("ca.json"));
    const after = await load();
    expect([after.ca === before.ca, madeByCa(after)]).toEqual([false, true]);
    writeFileSync(file("server.json"), "{");
    expect(madeByCa(await load())).toBe(true);
    const authority = JSON.parse(readFileSync(file("ca.json"), "utf8")) as KeyedCertificate;
    const ending = await issueServerCertificate(authority, ["hub.example", "127.0.0.1"], 29);
    writeFileSync(file("server.json"), JSON.stringify(ending));
    expect((await load()).server.cert).not.toBe(ending.cert);
  });

  it.each(["signing-key.pem", "ca.json", "nats/seeds.json", "nats/hub-account.seed", "api-token", "webhook-secret"])(
    "is not made anew where %s is damaged: that stops the hub, and names the file",
    async (name) => {
      await load();
      const file = join(folder.path, "data", name);
      for (const damaged of name.endsWith("token") || name.endsWith("secret") ? ["", "\n"] : ["", "{", "{}"]) {
        writeFileSync(file, damaged);
        await expect(load()).rejects.toMatchObject({ code: "CONFIG_INVALID", message: expect.stringContaining(file) });
        expect(readFileSync(file, "utf8")).toBe(damaged);
      }
    },
  );

  it("gives its NATS user just the rights that this version needs, though an older one had others", async () => {
    const { natsCredsFile } = await load();
    const before = permissionsOf(readFileSync(natsCredsFile, "utf8"));
    writeFileSync(natsCredsFile, "of an older version");
    await load();
    expect(permissionsOf(readFileSync(natsCredsFile, "utf8"))).toEqual(before);
    expect(before.pub).toEqual(
      [
        "$JS.API.STREAM.CREATE.MUSTER_BLOBS",
        "$JS.API.STREAM.CREATE.MUSTER_SLICES",
        "$JS.API.STREAM.INFO.MUSTER_BLOBS",
        "$JS.API.STREAM.INFO.MUSTER_SLICES",
        "$JS.API.STREAM.MSG.GET.MUSTER_BLOBS",
        "$JS.API.STREAM.MSG.GET.MUSTER_SLICES",
        "$JS.API.STREAM.PURGE.MUSTER_BLOBS",
        "muster.v1.blob.*.*",
        "muster.v1.slice.*",
      ].sort(),
    );
  });

  it("A5: gives an agent its own slice, blobs by name, and replies of its own, and nothing else", async () => {
    const { natsCreds } = await agentCredentials(await load(), "one");
    expect(permissionsOf(natsCreds)).toEqual({
      pub: ["$JS.API.DIRECT.GET.MUSTER_BLOBS.muster.v1.blob.*.*", "$JS.API.DIRECT.GET.MUSTER_SLICES.muster.v1.slice.one"],
      sub: ["_INBOX_one.>", "muster.v1.slice.one"],
    });
  });

  it("names the cluster whole in an agent's certificate, which serves as a client's only", async () => {
    const { cert, key, ca } = await agentCredentials(await load(), "eu-1");
    const certificate = new X509Certificate(cert);
    expect(certificate.subjectAltName).toBe("URI:spiffe://example.org/cluster/eu-1");
    expect(certificate.keyUsage).toEqual(["1.3.6.1.5.5.7.3.2"]);
    expect(certificate.ca).toBe(false);
    expect(new X509Certificate(ca).ca).toBe(true);
    expect(key).toContain("PRIVATE KEY");
  });

  it.each(["", "One", "a/b", "a.b", "x".repeat(64), "../etc", "*", "one,two"])(
    "is issued to no cluster that is called %j",
    async (name) => {
      await expect(agentCredentials(await load(), name)).rejects.toThrow(RangeError);
    },
  );

  it("leaves no half-written file behind", async () => {
    await load();
    expect(filesBelow(folder.path).filter((file) => file.endsWith(".partial"))).toEqual([]);
    expect(existsSync(join(folder.path, "data/signing-key.pem"))).toBe(true);
  });
});
