import { X509Certificate } from "node:crypto";
import { join } from "node:path";
import { silentLogger } from "@muster/shared/telemetry";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type AgentIdentity, createAgentIdentity } from "../../agent/src/identity/agent-identity.ts";
import { enroll, renew } from "../../agent/src/report/enrolment-client.ts";
import { openHubStream } from "../../agent/src/report/hub-stream.ts";
import { type AgentSessions, createAgentSessions } from "../../hub/src/agents/agent-sessions.ts";
import { createEnrolmentServer } from "../../hub/src/agents/enrolment-server.ts";
import { openAccessStore } from "../../hub/src/enrolment/access-store.ts";
import type { PublicKeysInGit } from "../../hub/src/enrolment/cluster-access.ts";
import { createEnrolments, type Enrolments } from "../../hub/src/enrolment/enrolments.ts";
import { createAuthority, issueServerCertificate } from "../../hub/src/identity/certificates.ts";
import { type HubIdentity, loadIdentity } from "../../hub/src/identity/identity.ts";
import { ManualClock } from "../rig/manual-clock.ts";
import { createTempFolder } from "../rig/temp-folder.ts";

const TRUST_DOMAIN = "example.org";
const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;

let folder: ReturnType<typeof createTempFolder>;
let clock: ManualClock;
let hub: { identity: HubIdentity; enrolments: Enrolments; sessions: AgentSessions; enrolPort: number; port: number };
let stops: (() => unknown)[];
let over: AbortController;
/** Keys that Git names for the cluster. */
let pinned: PublicKeysInGit | undefined;

/** The parts of the hub that agents meet before they report, on real sockets. */
async function startHub(): Promise<typeof hub> {
  const identity = await loadIdentity({ dataDir: folder.path, trustDomain: TRUST_DOMAIN, serverNames: ["localhost"] });
  const base = { clock, logger: silentLogger() };
  const enrolments = createEnrolments({
    ...base,
    trustDomain: TRUST_DOMAIN,
    store: openAccessStore(join(folder.path, "agents")),
    issuer: { issue: identity.grant },
    isDeclared: (cluster) => ["one", "two"].includes(cluster),
    hasLeft: () => false,
    wantedOf: () => pinned,
    onChange: () => sessions.dropUnfit(),
  });
  const sessions = createAgentSessions({
    ...base,
    listen: "127.0.0.1:0",
    trustDomain: TRUST_DOMAIN,
    ca: identity.ca,
    server: identity.server,
    heartbeatIntervalMs: 10_000,
    hubVersion: "0.1.0",
    isDeclared: () => true,
    isReady: () => true,
    enrolments,
    failpoint: () => {},
    listener: { connected: () => {}, disconnected: () => {}, duplicate: () => {}, heard: () => {}, status: () => {} },
  });
  const server = createEnrolmentServer({ ...base, server: identity.server, enrolments, isReady: () => true });
  const [port, enrolPort] = [await sessions.start(), await server.listen("127.0.0.1:0")];
  stops.push(
    () => sessions.stop(),
    () => server.close(),
  );
  return { identity, enrolments, sessions, enrolPort, port };
}

/** What an agent keeps in its cluster, in memory. */
function memory() {
  const kept = new Map<string, Buffer>();
  return {
    kept,
    identity: () => JSON.parse(kept.get("identity")?.toString() ?? "{}") as { readonly keys?: object; readonly next?: object },
    read: async (name: string) => kept.get(name),
    write: async (name: string, value: Uint8Array) => void kept.set(name, Buffer.from(value)),
  };
}

/** An agent's identity, as its process makes it: over the network, trusting just the CA that it was given. */
function startAgent(options: { cluster?: string; token?: string; store?: ReturnType<typeof memory>; ca?: string } = {}): AgentIdentity {
  const { cluster = "one", token, store = memory(), ca = hub.identity.ca } = options;
  const identity = createAgentIdentity({
    cluster,
    trustDomain: TRUST_DOMAIN,
    ca: () => ca,
    token: () => token,
    store,
    link: {
      enroll: (request) => enroll({ address: `localhost:${hub.enrolPort}`, ca }, request),
      renew: (current, request) => renew({ ...current, address: `localhost:${hub.port}` }, request),
    },
    clock,
    random: () => 0.5,
    logger: silentLogger(),
  });
  void identity.run(over.signal);
  return identity;
}

/** Whether the hub opens a stream for what an agent has now; the reason if not. */
async function connects(identity: AgentIdentity): Promise<string> {
  const stream = openHubStream({ ...identity.current(), address: `localhost:${hub.port}` });
  const outcome = Promise.withResolvers<string>();
  stream.onMessage((message) => message.welcome && outcome.resolve("connected"));
  stream.onEnd((error) => outcome.resolve(error.message));
  stream.write({ sequence: 1, hello: { instance: "a" } });
  return outcome.promise.finally(() => stream.close());
}

/** Lets time pass until something is so. */
const soon = (check: () => unknown) =>
  vi.waitFor(
    async () => {
      await clock.advance(1_000);
      await check();
    },
    { timeout: 15_000, interval: 20 },
  );
const token = (cluster = "one") => hub.enrolments.createToken(cluster, { by: "a test" }).token;
const fingerprintOf = (identity: AgentIdentity) => new X509Certificate(identity.current().cert).fingerprint256;

beforeEach(async () => {
  folder = createTempFolder("joining");
  clock = new ManualClock(Date.now());
  over = new AbortController();
  stops = [];
  pinned = undefined;
  hub = await startHub();
});
afterEach(async () => {
  over.abort();
  for (const stop of stops) await stop();
  folder.remove();
});

describe("an agent that joins", () => {
  it("gets in with its token, and is let in by what it got", async () => {
    const agent = startAgent({ token: token() });
    await agent.ready(over.signal);
    expect(await connects(agent)).toBe("connected");
  });

  it("has nothing, and says why, until then", async () => {
    const agent = startAgent({ token: "muster_join_wrong" });
    await soon(() => expect(() => agent.current()).toThrow(expect.objectContaining({ code: "ENROLMENT_REFUSED" })));
    expect(() => agent.current()).toThrow(/the enrolment was refused/);
  });

  it("keeps its keys before it shows them: a process that died in between asks again with the same ones, and the same token", async () => {
    const store = memory();
    const invited = token();
    const agent = startAgent({ token: invited, store });
    await agent.ready(over.signal);
    const first = JSON.parse(store.kept.get("identity")?.toString() ?? "") as { keys: unknown };
    // Its answer was lost.
    await store.write("identity", Buffer.from(JSON.stringify({ version: 1, keys: first.keys })));
    const again = startAgent({ token: invited, store });
    await again.ready(over.signal);
    expect(again.current().key).toBe(agent.current().key);
    expect(await connects(again)).toBe("connected");
  });

  it("starts from what it has kept, without a token and without its hub", async () => {
    const store = memory();
    await startAgent({ token: token(), store }).ready(over.signal);
    for (const stop of stops.splice(0)) await stop();
    const next = startAgent({ store });
    await next.ready(over.signal);
    expect(next.current().cert).toContain("BEGIN CERTIFICATE");
  });

  it("shows nothing to a hub that is not of the CA that it was given: neither token nor keys leave it", async () => {
    const other = await createAuthority(TRUST_DOMAIN);
    const agent = startAgent({ token: token(), ca: other.cert });
    await soon(() => expect(() => agent.current()).toThrow(expect.objectContaining({ code: "HUB_UNREACHABLE" })));
    expect(hub.enrolments.access("one").current).toBeUndefined();
    const impostor = await issueServerCertificate(other, ["localhost"]);
    expect(impostor.cert).toContain("BEGIN CERTIFICATE");
  });

  it("cannot reach the service of agents at the port of the enrolment, nor the enrolment at theirs", async () => {
    const agent = startAgent({ token: token() });
    await agent.ready(over.signal);
    const { enrolPort, port } = hub;
    hub.port = enrolPort;
    expect(await connects(agent)).toMatch(/UNIMPLEMENTED/);
    hub.port = port;
    hub.enrolPort = port;
    const stray = startAgent({ cluster: "two", token: token("two") });
    await soon(() => expect(() => stray.current()).toThrow(expect.objectContaining({ code: "HUB_UNREACHABLE" })));
    expect(hub.enrolments.access("two").current).toBeUndefined();
  });
});

describe("an agent that has joined", () => {
  it("renews at 50 to 70 % of the shorter life, its NATS credentials' 24 hours, and not before", async () => {
    const agent = startAgent({ token: token() });
    await agent.ready(over.signal);
    const first = fingerprintOf(agent);
    await clock.advance(11 * HOUR_MS);
    expect(fingerprintOf(agent)).toBe(first);
    await clock.advance(6 * HOUR_MS);
    await vi.waitFor(() => expect(fingerprintOf(agent)).not.toBe(first), { timeout: 5_000 });
    expect(await connects(agent)).toBe("connected");
  });

  it("makes other keys when it is asked to; the ones that it had are revoked, and it stays in", async () => {
    const store = memory();
    const agent = startAgent({ token: token(), store });
    await agent.ready(over.signal);
    const [before, first] = [agent.current(), hub.enrolments.access("one").current?.keys.fingerprint];
    agent.rotate();
    await vi.waitFor(() => expect(agent.current().key).not.toBe(before.key), { timeout: 5_000 });
    expect(agent.current().natsSeed).not.toBe(before.natsSeed);
    expect(await connects(agent)).toBe("connected");
    expect(await connects({ ...agent, current: () => before })).toMatch(/PERMISSION_DENIED/);
    expect(hub.enrolments.access("one").revoked.map(({ fingerprint }) => fingerprint)).toEqual([first]);
    expect(store.identity()).not.toHaveProperty("next");
  });

  it("that died after the hub had taken its other keys, and before it heard so, goes on with them", async () => {
    const store = memory();
    const agent = startAgent({ token: token(), store });
    await agent.ready(over.signal);
    const old = store.identity();
    agent.rotate();
    await vi.waitFor(() => expect(store.identity().keys).not.toEqual(old.keys), { timeout: 5_000 });
    const { keys: next } = store.identity();
    over.abort();
    over = new AbortController();
    await store.write("identity", Buffer.from(JSON.stringify({ ...old, next })));
    const again = startAgent({ store });
    await vi.waitFor(() => expect(store.identity()).not.toHaveProperty("next"), { timeout: 5_000 });
    expect(await connects(again)).toBe("connected");
  });

  it("is off the hub as soon as it is revoked, and stays off", async () => {
    const agent = startAgent({ token: token() });
    await agent.ready(over.signal);
    const stream = openHubStream({ ...agent.current(), address: `localhost:${hub.port}` });
    const ended = new Promise<Error>((resolve) => stream.onEnd(resolve));
    await new Promise<void>((resolve) => {
      stream.onMessage((message) => message.welcome && resolve());
      stream.write({ sequence: 1, hello: { instance: "a" } });
    });
    hub.enrolments.revoke("one");
    expect((await ended).message).toMatch(/PERMISSION_DENIED.*does not act for the cluster one any more/);
    stream.close();
    expect(await connects(agent)).toMatch(/PERMISSION_DENIED/);
    const next = startAgent({ token: token() });
    await next.ready(over.signal);
    expect(await connects(next)).toBe("connected");
  });

  it("whose certificate ended while it was away asks with its old key, waits for an approval, and needs no token", async () => {
    const store = memory();
    await startAgent({ token: token(), store }).ready(over.signal);
    over.abort();
    over = new AbortController();
    await clock.advance(31 * DAY_MS);
    startAgent({ store });
    await vi.waitFor(() => expect(hub.enrolments.access("one").pending?.reason).toBe("expired"), { timeout: 5_000 });
    const before = store.kept.get("identity")?.toString();
    hub.enrolments.approve("one");
    await soon(() => expect(store.kept.get("identity")?.toString()).not.toBe(before));
    expect(hub.enrolments.access("one").revoked).toEqual([]);
  });

  it("that was revoked comes back with a new token, by other keys, from what it has kept", async () => {
    const store = memory();
    const agent = startAgent({ token: token(), store });
    await agent.ready(over.signal);
    const before = agent.current().key;
    hub.enrolments.revoke("one");
    over.abort();
    over = new AbortController();
    const again = startAgent({ token: token(), store });
    await again.ready(over.signal);
    // Its certificate is good by its date: it learns of the revocation when the hub refuses its stream.
    expect(await connects(again)).toMatch(/PERMISSION_DENIED/);
    again.doubt();
    await soon(() => expect(again.current().key).not.toBe(before));
    expect(await connects(again)).toBe("connected");
  });

  it("goes on with its keys where the hub does not take other ones, and its credentials are renewed all the same", async () => {
    const store = memory();
    const agent = startAgent({ token: token(), store });
    await agent.ready(over.signal);
    const [before, first] = [agent.current().key, fingerprintOf(agent)];
    pinned = hub.enrolments.access("one").current?.keys;
    agent.rotate();
    await vi.waitFor(() => expect(store.identity()).toHaveProperty("next"), { timeout: 5_000 });
    await clock.advance(17 * HOUR_MS);
    await soon(() => expect(fingerprintOf(agent)).not.toBe(first));
    expect(agent.current().key).toBe(before);
    expect(await connects(agent)).toBe("connected");
  });

  it("does not go on with a hub of another authority than its cluster's owner has pinned, whatever a hub has told it", async () => {
    const store = memory();
    await startAgent({ token: token(), store }).ready(over.signal);
    const other = await createAuthority(TRUST_DOMAIN);
    const agent = startAgent({ store, ca: other.cert });
    await agent.ready(over.signal);
    expect(agent.current().ca).toBe(other.cert);
    expect(await connects(agent)).toMatch(/UNAVAILABLE|certificate/);
  });

  it("is waited for by a person where the cluster was made anew; the one before it goes on until then", async () => {
    const before = startAgent({ token: token() });
    await before.ready(over.signal);
    const after = startAgent({ token: token() });
    await soon(() => expect(() => after.current()).toThrow(/^Another agent acts for the cluster/));
    expect(() => after.current()).toThrow(expect.objectContaining({ code: "ENROLMENT_PENDING" }));
    expect(await connects(before)).toBe("connected");
    const waiting = hub.enrolments.access("one").pending?.keys.fingerprint ?? "";
    expect(() => after.current()).toThrow(waiting);
    hub.enrolments.approve("one", waiting);
    await clock.advance(10_000);
    await after.ready(over.signal);
    expect([await connects(after), await connects(before)]).toEqual(["connected", expect.stringContaining("PERMISSION_DENIED")]);
  });
});
