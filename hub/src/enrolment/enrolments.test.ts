import { X509Certificate } from "node:crypto";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { silentLogger } from "@muster/shared/telemetry";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ManualClock } from "../../../test/rig/manual-clock.ts";
import { createTempFolder } from "../../../test/rig/temp-folder.ts";
import { loadIdentity } from "../identity/identity.ts";
import { type AccessStore, openAccessStore } from "./access-store.ts";
import type { PublicKeysInGit } from "./cluster-access.ts";
import { createEnrolments, type Enrolments, TOKEN_TTL_MS } from "./enrolments.ts";
import { type TestAgent, testAgent } from "./testing/test-agent.ts";

const TRUST_DOMAIN = "example.org";
const DAY_MS = 86_400_000;

let folder: ReturnType<typeof createTempFolder>;
let clock: ManualClock;
let store: AccessStore;
let enrolments: Enrolments;
let declared: Set<string>;
let wanted: Map<string, PublicKeysInGit>;
let changed: string[];
let ca: string;
let left: Set<string>;

const agentFolder = () => join(folder.path, "agents");

async function open(): Promise<void> {
  const identity = await loadIdentity({ dataDir: folder.path, trustDomain: TRUST_DOMAIN, serverNames: ["localhost"] });
  ca = identity.ca;
  store = openAccessStore(agentFolder());
  enrolments = createEnrolments({
    trustDomain: TRUST_DOMAIN,
    store,
    issuer: { issue: identity.grant },
    isDeclared: (cluster) => declared.has(cluster),
    hasLeft: (cluster) => left.has(cluster),
    wantedOf: (cluster) => wanted.get(cluster),
    onChange: (cluster) => changed.push(cluster),
    clock,
    logger: silentLogger(),
  });
}

beforeEach(async () => {
  folder = createTempFolder("enrolments");
  clock = new ManualClock(Date.now());
  declared = new Set(["one", "two"]);
  wanted = new Map();
  changed = [];
  left = new Set();
  await open();
});
afterEach(() => folder.remove());

const inGit = ({ keys }: TestAgent): PublicKeysInGit => ({
  tls: Buffer.from(keys.tls).toString("base64"),
  nats: keys.nats,
  encryption: Buffer.from(keys.encryption).toString("base64"),
});
const ask = (agent: TestAgent, cluster = "one", token = "") =>
  enrolments.enroll(agent.question({ trustDomain: TRUST_DOMAIN, cluster, token }));
const tokenFor = (cluster = "one") => enrolments.createToken(cluster, { by: "somebody" }).token;
const REFUSED = { code: "ENROLMENT_REFUSED", message: "The enrolment was refused; the hub's log says why" };

/** An agent that acts for a cluster. */
async function enrolled(cluster = "one"): Promise<TestAgent> {
  const agent = testAgent();
  expect(await ask(agent, cluster, tokenFor(cluster))).toMatchObject({ outcome: "admitted" });
  return agent;
}

describe("a token", () => {
  it("brings in one agent, with a certificate for its own key and its cluster, and a NATS user of its own", async () => {
    const agent = testAgent();
    const answer = await ask(agent, "one", tokenFor());
    if (answer.outcome !== "admitted") throw new Error("not admitted");
    const certificate = new X509Certificate(answer.grant.certificate);
    expect(certificate.subjectAltName).toBe(`URI:spiffe://${TRUST_DOMAIN}/cluster/one`);
    expect(certificate.verify(new X509Certificate(ca).publicKey)).toBe(true);
    expect(certificate.publicKey.export({ type: "spki", format: "der" })).toEqual(Buffer.from(agent.keys.tls));
    const claims = JSON.parse(Buffer.from(answer.grant.natsJwt.split(".")[1] ?? "", "base64url").toString()) as {
      sub: string;
      exp: number;
      nats: { pub: { allow: string[] } };
    };
    expect(claims.sub).toBe(agent.keys.nats);
    expect(claims.exp * 1_000 - Date.now()).toBeLessThanOrEqual(DAY_MS);
    expect(claims.nats.pub.allow).toContain("$JS.API.DIRECT.GET.MUSTER_SLICES.muster.v1.slice.one");
    expect(enrolments.mayAct("one", agent.fingerprint)).toBe(true);
  });

  it("is good once more for the agent whose answer was lost, and for nobody else", async () => {
    const [agent, other, token] = [testAgent(), testAgent(), tokenFor()];
    await ask(agent, "one", token);
    expect(await ask(agent, "one", token)).toMatchObject({ outcome: "admitted" });
    await expect(ask(other, "one", token)).rejects.toMatchObject(REFUSED);
    expect(enrolments.mayAct("one", other.fingerprint)).toBe(false);
  });

  it("is refused for another cluster, when it is another one, when it has ended, and when a newer one was made, in the same words", async () => {
    const token = tokenFor();
    await expect(ask(testAgent(), "two", token)).rejects.toMatchObject(REFUSED);
    await expect(ask(testAgent(), "one", `${token}x`)).rejects.toMatchObject(REFUSED);
    await expect(ask(testAgent(), "one", "")).rejects.toMatchObject(REFUSED);
    await expect(ask(testAgent(), "three", token)).rejects.toMatchObject(REFUSED);
    tokenFor();
    await expect(ask(testAgent(), "one", token)).rejects.toMatchObject(REFUSED);
    const last = tokenFor();
    await clock.advance(TOKEN_TTL_MS);
    await expect(ask(testAgent(), "one", last)).rejects.toMatchObject(REFUSED);
  });

  it("is kept as a digest only, in a file that nobody else can read", () => {
    const token = tokenFor();
    const text = readFileSync(join(agentFolder(), "one.json"), "utf8");
    expect(text).not.toContain(token);
    expect(text).not.toContain(token.replace("muster_join_", ""));
    expect(text).toContain("somebody");
  });

  it("is made for no cluster that Git does not declare", () => {
    expect(() => enrolments.createToken("three", { by: "somebody" })).toThrow(expect.objectContaining({ code: "API_NOT_FOUND" }));
  });

  it("has 256 bits, and is another one each time", () => {
    const tokens = Array.from({ length: 50 }, () => tokenFor());
    expect(new Set(tokens).size).toBe(50);
    for (const token of tokens) expect(Buffer.from(token.replace("muster_join_", ""), "base64url").length).toBe(32);
  });
});

describe("whoever enrols", () => {
  it.each([
    ["with the proof of another key", (agent: TestAgent) => ({ ...agent, proofBy: testAgent() })],
    ["with another one's NATS key", (agent: TestAgent) => ({ ...agent, natsProofBy: testAgent() })],
    ["for another cluster than the proof is for", (agent: TestAgent) => ({ ...agent, proofFor: "two" })],
    ["with another token than the proof is for", (agent: TestAgent) => ({ ...agent, proofToken: "another" })],
    [
      "with another NATS key than the proof is for",
      (agent: TestAgent) => ({ ...agent, shown: { ...agent.keys, nats: testAgent().keys.nats } }),
    ],
    ["with a key that is none", (agent: TestAgent) => ({ ...agent, shown: { ...agent.keys, tls: Buffer.from("none") } })],
    [
      "with a NATS key that is an account's",
      (agent: TestAgent) => ({ ...agent, shown: { ...agent.keys, nats: `A${agent.keys.nats.slice(1)}` } }),
    ],
    ["with a short encryption key", (agent: TestAgent) => ({ ...agent, shown: { ...agent.keys, encryption: new Uint8Array(31) } })],
  ])("is refused %s, and the token stays good", async (_, twist) => {
    const [agent, token] = [testAgent(), tokenFor()];
    const question = agent.question({ trustDomain: TRUST_DOMAIN, cluster: "one", token, ...twist(agent) });
    await expect(enrolments.enroll(question)).rejects.toMatchObject(REFUSED);
    expect(await ask(agent, "one", token)).toMatchObject({ outcome: "admitted" });
  });

  it("is refused with a proof for another hub", async () => {
    const [agent, token] = [testAgent(), tokenFor()];
    await expect(enrolments.enroll(agent.question({ trustDomain: "other.org", cluster: "one", token }))).rejects.toMatchObject(REFUSED);
  });
});

describe("a cluster that was made anew", () => {
  it("waits for an approval, though its token is good, while the agent before goes on; approved, it acts and that one is revoked", async () => {
    const [before, after] = [await enrolled(), testAgent()];
    expect(await ask(after, "one", tokenFor())).toEqual({ outcome: "pending", reason: "another-identity" });
    expect([enrolments.mayAct("one", before.fingerprint), enrolments.mayAct("one", after.fingerprint)]).toEqual([true, false]);
    changed.splice(0);
    enrolments.approve("one", after.fingerprint);
    expect(changed).toEqual(["one"]);
    expect([enrolments.mayAct("one", before.fingerprint), enrolments.mayAct("one", after.fingerprint)]).toEqual([false, true]);
    expect(await ask(after)).toMatchObject({ outcome: "admitted" });
    await expect(ask(before)).rejects.toMatchObject(REFUSED);
    await expect(ask(before, "one", tokenFor())).rejects.toMatchObject(REFUSED);
  });

  it("waits on after its token has ended, and is the only one that does", async () => {
    await enrolled();
    const [after, other] = [testAgent(), testAgent()];
    await ask(after, "one", tokenFor());
    await clock.advance(TOKEN_TTL_MS * 10);
    expect(await ask(after)).toMatchObject({ outcome: "pending" });
    await expect(ask(other)).rejects.toMatchObject(REFUSED);
  });

  it("is not approved by who has looked at another one", async () => {
    await enrolled();
    const [seen, later] = [testAgent(), testAgent()];
    await ask(seen, "one", tokenFor());
    await ask(later, "one", tokenFor());
    expect(() => enrolments.approve("one", seen.fingerprint)).toThrow(expect.objectContaining({ code: "AGENT_NOT_PENDING" }));
    expect(enrolments.mayAct("one", later.fingerprint)).toBe(false);
  });
});

describe("an agent", () => {
  it("renews with the keys that it has, and with other ones, after which the old ones are revoked", async () => {
    const agent = await enrolled();
    const context = { trustDomain: TRUST_DOMAIN, cluster: "one", token: "" };
    expect(await enrolments.renew("one", agent.fingerprint, agent.question(context))).toHaveProperty("certificate");
    const next = testAgent();
    await enrolments.renew("one", agent.fingerprint, next.question(context));
    expect([enrolments.mayAct("one", agent.fingerprint), enrolments.mayAct("one", next.fingerprint)]).toEqual([false, true]);
    await expect(enrolments.renew("one", agent.fingerprint, agent.question(context))).rejects.toMatchObject(REFUSED);
    await expect(enrolments.renew("one", next.fingerprint, agent.question(context))).rejects.toMatchObject(REFUSED);
  });

  it("whose certificate has ended waits for an approval with its old key, and needs no token", async () => {
    const agent = await enrolled();
    await clock.advance(31 * DAY_MS);
    expect(await ask(agent)).toEqual({ outcome: "pending", reason: "expired" });
    enrolments.approve("one");
    expect(await ask(agent)).toMatchObject({ outcome: "admitted" });
    expect(store.get("one").revoked).toEqual([]);
  });

  it("that was revoked gets nothing any more: no renewal, no enrolment, with no token", async () => {
    const agent = await enrolled();
    enrolments.revoke("one");
    expect(enrolments.mayAct("one", agent.fingerprint)).toBe(false);
    await expect(ask(agent)).rejects.toMatchObject(REFUSED);
    await expect(ask(agent, "one", tokenFor())).rejects.toMatchObject(REFUSED);
    const context = { trustDomain: TRUST_DOMAIN, cluster: "one", token: "" };
    await expect(enrolments.renew("one", agent.fingerprint, agent.question(context))).rejects.toMatchObject(REFUSED);
    const next = testAgent();
    expect(await ask(next, "one", tokenFor())).toMatchObject({ outcome: "admitted" });
  });

  it("that was revoked does not come in with other TLS keys and the same NATS key", async () => {
    const agent = await enrolled();
    enrolments.revoke("one");
    const twin = testAgent({ natsUser: agent.natsUser });
    await expect(ask(twin, "one", tokenFor())).rejects.toMatchObject(REFUSED);
  });

  it("that renews while it is revoked does not come back by that, whichever of the two is first", async () => {
    const agent = await enrolled();
    const context = { trustDomain: TRUST_DOMAIN, cluster: "one", token: "" };
    const renewals = Array.from({ length: 5 }, () => enrolments.renew("one", agent.fingerprint, agent.question(context)));
    const settled = Promise.allSettled(renewals);
    await Promise.resolve();
    enrolments.revoke("one");
    await settled;
    expect(enrolments.mayAct("one", agent.fingerprint)).toBe(false);
    expect(store.get("one").revoked).toMatchObject([{ fingerprint: agent.fingerprint }]);
    expect(store.get("one").current).toBeUndefined();
  });

  it("is given new keys no more often than a person would ask for them: each is one more that NATS must keep out", async () => {
    let agent = await enrolled();
    const context = { trustDomain: TRUST_DOMAIN, cluster: "one", token: "" };
    let changes = 0;
    for (let time = 0; time < 10; time += 1) {
      const next = testAgent();
      const done = await enrolments.renew("one", agent.fingerprint, next.question(context)).then(
        () => true,
        () => false,
      );
      if (!done) break;
      changes += 1;
      agent = next;
    }
    expect(changes).toBeLessThanOrEqual(5);
    await clock.advance(371 * DAY_MS);
    const last = testAgent();
    await enrolments.renew("one", agent.fingerprint, last.question(context));
    // Whose certificates have ended in any case need not be remembered.
    expect(store.get("one").revoked).toHaveLength(1);
  });

  it("shows no key of another cluster's agent: that one would be revoked with it", async () => {
    const [one, two] = [await enrolled("one"), await enrolled("two")];
    const twin = testAgent({ natsUser: one.natsUser });
    const context = { trustDomain: TRUST_DOMAIN, cluster: "two", token: "" };
    await expect(enrolments.renew("two", two.fingerprint, twin.question(context))).rejects.toMatchObject(REFUSED);
    await expect(enrolments.enroll(one.question({ ...context, token: tokenFor("two") }))).rejects.toMatchObject(REFUSED);
  });

  it("that comes to a hub which knows nobody is known from then on: it can be revoked, and others have to be approved", async () => {
    const [agent, other] = [testAgent(), testAgent()];
    enrolments.meet("one", { fingerprint: agent.fingerprint, spki: agent.keys.tls, endsAtMs: clock.wallMs() + DAY_MS });
    expect(await ask(other, "one", tokenFor())).toEqual({ outcome: "pending", reason: "another-identity" });
    expect([enrolments.mayAct("one", agent.fingerprint), enrolments.mayAct("one", other.fingerprint)]).toEqual([true, false]);
    await enrolments.renew("one", agent.fingerprint, agent.question({ trustDomain: TRUST_DOMAIN, cluster: "one", token: "" }));
    expect(store.get("one").current?.keys.nats).toBe(agent.keys.nats);
    enrolments.revoke("one");
    enrolments.meet("one", { fingerprint: agent.fingerprint, spki: agent.keys.tls, endsAtMs: clock.wallMs() + DAY_MS });
    expect([enrolments.mayAct("one", agent.fingerprint), store.get("one").current]).toEqual([false, undefined]);
  });

  it("cannot be approved against what Git says", async () => {
    const [agent, other] = [await enrolled(), testAgent()];
    await ask(other, "one", tokenFor());
    wanted.set("one", inGit(agent));
    expect(() => enrolments.approve("one")).toThrow(expect.objectContaining({ code: "AGENT_NOT_PENDING" }));
    expect(enrolments.mayAct("one", agent.fingerprint)).toBe(true);
  });

  it("that was revoked is told to NATS by its key and the second, for as long as a JWT of it could be good; so is one whose cluster left Git", async () => {
    const [gone, away] = [await enrolled("one"), await enrolled("two")];
    const at = Math.ceil(clock.wallMs() / 1_000);
    enrolments.revoke("one");
    expect(enrolments.revokedNatsKeys()).toEqual({ [gone.keys.nats]: at });
    left.add("two");
    expect(enrolments.revokedNatsKeys()).toEqual({ [gone.keys.nats]: at, [away.keys.nats]: at });
    await clock.advance(60_000);
    expect(enrolments.revokedNatsKeys()).toEqual({ [gone.keys.nats]: at, [away.keys.nats]: at });
    left.delete("two");
    await clock.advance(26 * 3_600_000);
    expect(enrolments.revokedNatsKeys()).toEqual({});
  });

  it("is the one that Git names, and no other one, whatever token that has", async () => {
    const [agent, other] = [testAgent(), testAgent()];
    wanted.set("one", inGit(agent));
    await expect(ask(other, "one", tokenFor())).rejects.toMatchObject(REFUSED);
    expect(await ask(agent)).toMatchObject({ outcome: "admitted" });
    wanted.set("one", inGit(other));
    expect(enrolments.mayAct("one", agent.fingerprint)).toBe(false);
  });

  it("is known after a restart, and so is who was revoked", async () => {
    const [agent, gone] = [await enrolled("one"), await enrolled("two")];
    enrolments.revoke("two");
    await open();
    expect([enrolments.mayAct("one", agent.fingerprint), enrolments.mayAct("two", gone.fingerprint)]).toEqual([true, false]);
    expect(enrolments.mayAct("one", gone.fingerprint)).toBe(false);
  });

  it("comes back with its certificate to a hub that has lost all but its keys", async () => {
    const agent = await enrolled();
    rmSync(agentFolder(), { recursive: true });
    await open();
    expect(enrolments.mayAct("one", agent.fingerprint)).toBe(true);
    await enrolments.renew("one", agent.fingerprint, agent.question({ trustDomain: TRUST_DOMAIN, cluster: "one", token: "" }));
    expect(store.get("one").current).toMatchObject({ origin: "certificate", keys: { fingerprint: agent.fingerprint } });
  });

  it("stops the hub where what is known of it is damaged: nobody who was revoked may be forgotten", async () => {
    await enrolled();
    writeFileSync(join(agentFolder(), "one.json"), "{}");
    await expect(open()).rejects.toMatchObject({ code: "CONFIG_INVALID", message: expect.stringContaining("one.json") });
  });
});
