import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "@muster/shared/runtime";
import { silentLogger } from "@muster/shared/telemetry";
import { inboxPrefix, SLICE_STREAM, sliceSubject } from "@muster/shared/wire";
import { connect, credsAuthenticator, type NatsConnection } from "nats";
import { afterEach, beforeEach, expect, it } from "vitest";
import { eventually } from "../../../test/rig/eventually.ts";
import { type NatsServer, startNatsServer } from "../../../test/rig/nats-server.ts";
import { createTempFolder } from "../../../test/rig/temp-folder.ts";
import { lastClaims } from "../enrolment/last-claims.ts";
import { type HubIdentity, loadIdentity } from "../identity/identity.ts";
import { CLAIMS_INBOX_PREFIX, CLAIMS_SUBJECT } from "../identity/nats-accounts.ts";
import { agentCredentials } from "../identity/testing/agent-credentials.ts";
import { type AccountClaims, createAccountClaims } from "./account-claims.ts";

let folder: ReturnType<typeof createTempFolder>;
let identity: HubIdentity;
let nats: NatsServer;
let claims: AccountClaims;
let revoked: Record<string, number>;
let configuredAtSeconds: number;
let over: AbortController;
const open: NatsConnection[] = [];

beforeEach(async () => {
  folder = createTempFolder("claims");
  identity = await loadIdentity({ dataDir: folder.path, trustDomain: "example.org", serverNames: ["hub"] });
  nats = await startNatsServer({ config: await identity.natsConfig({ jwtDir: join(folder.path, "jwt") }) });
  revoked = {};
  configuredAtSeconds = Math.floor(Date.now() / 1_000);
  over = new AbortController();
  claims = createAccountClaims({
    url: nats.url,
    credsFile: identity.natsSystemCredsFile,
    inboxPrefix: CLAIMS_INBOX_PREFIX,
    subject: CLAIMS_SUBJECT,
    claims: lastClaims({ make: identity.natsClaims, revocations: () => ({ ...revoked }) }),
    clock: systemClock,
    random: Math.random,
    logger: silentLogger(),
  });
  void claims.run(over.signal);
});
afterEach(async () => {
  over.abort();
  await Promise.all(open.splice(0).map((connection) => connection.close()));
  await nats?.stop();
  folder.remove();
});

async function joinNats(natsCreds: string, cluster: string): Promise<NatsConnection> {
  const authenticator = credsAuthenticator(Buffer.from(natsCreds));
  const connection = await connect({ servers: nats.url, authenticator, inboxPrefix: inboxPrefix(cluster), reconnect: false });
  open.push(connection);
  return connection;
}

/** What an agent hears when it asks for its slice: that there is no stream says that it was let in. */
const asks = (connection: NatsConnection, cluster: string): Promise<unknown> =>
  connection.request(`$JS.API.DIRECT.GET.${SLICE_STREAM}.${sliceSubject(cluster)}`).catch((error: { code?: string }) => error.code);

it("a user that is revoked is off at once, its live connection too, and stays off when the server starts anew; others stay on", async () => {
  const [one, two] = [await agentCredentials(identity, "one"), await agentCredentials(identity, "two")];
  const [first, second] = [await joinNats(one.natsCreds, "one"), await joinNats(two.natsCreds, "two")];
  await eventually(() => expect(claims.isCurrent).toBe(true));
  expect(await asks(first, "one")).toBe("503");
  // Of two claims of the same second nats-server takes those of its configuration when it starts; that was printed long before, elsewhere.
  await eventually(() => expect(Math.floor(Date.now() / 1_000)).toBeGreaterThan(configuredAtSeconds));

  revoked = { [one.natsKey]: Math.ceil(Date.now() / 1_000) };
  claims.push();
  await eventually(() => expect(first.isClosed()).toBe(true));
  await expect(joinNats(one.natsCreds, "one")).rejects.toThrow(/Authorization/i);
  expect(await asks(second, "two")).toBe("503");

  await nats.restart();
  await expect(joinNats(one.natsCreds, "one")).rejects.toThrow(/Authorization/i);
  expect(await asks(await joinNats(two.natsCreds, "two"), "two")).toBe("503");
});

it("a server that has lost its folder hears of it again as soon as it is back", async () => {
  const one = await agentCredentials(identity, "one");
  revoked = { [one.natsKey]: Math.ceil(Date.now() / 1_000) };
  claims.push();
  await eventually(() => expect(claims.isCurrent).toBe(true));
  await nats.kill();
  rmSync(join(folder.path, "jwt"), { recursive: true });
  await nats.restart();
  await eventually(async () => {
    await expect(joinNats(one.natsCreds, "one")).rejects.toThrow(/Authorization/i);
  });
});

it("the hub's user in the system account can change claims, and nothing else", async () => {
  const authenticator = credsAuthenticator(readFileSync(identity.natsSystemCredsFile));
  const system = await connect({ servers: nats.url, authenticator, inboxPrefix: CLAIMS_INBOX_PREFIX, reconnect: false });
  open.push(system);
  for (const subject of ["$SYS.REQ.SERVER.PING", "$SYS.REQ.CLAIMS.DELETE", "$SYS.REQ.CLAIMS.LIST", "$SYS.REQ.ACCOUNT.PING.CONNZ"])
    expect([subject, await system.request(subject, "", { timeout: 300 }).then(String, (error: { code?: string }) => error.code)]).toEqual([
      subject,
      expect.stringMatching(/PERMISSIONS|TIMEOUT|503/),
    ]);
});
