import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { createTempFolder } from "../../test/rig/temp-folder.ts";
import { type HubConfig, parseHubConfig } from "./config.ts";
import { issueAgentCredentials } from "./issue-command.ts";

const CA = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

let folder: ReturnType<typeof createTempFolder>;
beforeEach(() => {
  folder = createTempFolder("issue");
});
afterEach(() => folder.remove());

function configWith(nats: object): HubConfig {
  return parseHubConfig({
    dataDir: join(folder.path, "data"),
    sources: [{ name: "fleet", url: "https://git.example/fleet.git" }],
    nats: { url: "nats://nats.hub:4222", ...nats },
    grpc: { serverNames: ["hub.example", "muster-hub"], listen: "0.0.0.0:9443" },
  });
}

/** A configuration whose NATS has a CA of its own. */
function configWithCa(): HubConfig {
  const caFile = join(folder.path, "ca.crt");
  writeFileSync(caFile, CA);
  return configWith({ caFile });
}

describe("muster-hub issue", () => {
  it("prints values that name the hub and NATS as the hub knows them, or as it was told that agents do", async () => {
    const options = { cluster: "eu-1", format: "helm-values" } as const;
    const own: unknown = parse(await issueAgentCredentials(configWith({}), options));
    expect(own).toMatchObject({ hub: { address: "hub.example:9443" }, nats: { url: "nats://nats.hub:4222" } });
    expect((own as { credentials: object }).credentials).not.toHaveProperty("natsCa");
    const told = { ...options, hubAddress: "hub.example:443", natsUrl: "tls://nats.example:4222" };
    expect(parse(await issueAgentCredentials(configWith({}), told))).toMatchObject({
      hub: { address: "hub.example:443" },
      nats: { url: "tls://nats.example:4222" },
    });
  });

  it("gives the agent the CA of NATS in its values, where the hub needs one", async () => {
    const printed = await issueAgentCredentials(configWithCa(), { cluster: "eu-1", format: "helm-values" });
    expect(parse(printed)).toMatchObject({ credentials: { natsCa: CA } });
  });

  it("gives the agent the CA of NATS as a file beside the others, none of which anybody else can read", async () => {
    const out = join(folder.path, "eu-1");
    const printed = await issueAgentCredentials(configWithCa(), { cluster: "eu-1", format: "files", out });
    const names = ["ca.crt", "nats-ca.crt", "nats.creds", "signing-keys.pem", "tls.crt", "tls.key"];
    expect(readdirSync(out).sort()).toEqual(names);
    expect(printed.trim().split("\n").sort()).toEqual(names.map((name) => join(out, name)));
    expect(readFileSync(join(out, "nats-ca.crt"), "utf8")).toBe(CA);
    for (const name of names) expect(statSync(join(out, name)).mode & 0o077).toBe(0);
  });

  it("gives new files in place of old ones that others could read, and leaves nothing beside them", async () => {
    const options = { cluster: "eu-1", format: "files", out: join(folder.path, "eu-1") } as const;
    const names = (await issueAgentCredentials(configWith({}), options)).trim().split("\n");
    const key = readFileSync(join(options.out, "tls.key"), "utf8");
    for (const name of names) chmodSync(name, 0o644);
    await issueAgentCredentials(configWith({}), options);
    expect(readFileSync(join(options.out, "tls.key"), "utf8")).not.toBe(key);
    expect(readdirSync(options.out)).toHaveLength(names.length);
    for (const name of names) expect([name, statSync(name).mode & 0o777]).toEqual([name, 0o600]);
  });

  it("says which file is missing, and issues nothing", async () => {
    const config = configWith({ caFile: join(folder.path, "missing.crt") });
    const issued = issueAgentCredentials(config, { cluster: "eu-1", format: "helm-values" });
    await expect(issued).rejects.toMatchObject({ code: "CONFIG_INVALID", message: expect.stringContaining("missing.crt") as string });
    expect(readdirSync(folder.path)).toEqual([]);
  });
});
