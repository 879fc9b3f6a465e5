import { type ClientDuplexStream, credentials, status } from "@grpc/grpc-js";
import { type AgentMessage, type HubMessage__Output, loadAgentService } from "@muster/shared/rpc";
import { systemClock } from "@muster/shared/runtime";
import { silentLogger } from "@muster/shared/telemetry";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { eventually } from "../../../test/rig/eventually.ts";
import { createAuthority, issueServerCertificate, type KeyedCertificate } from "../identity/certificates.ts";
import { issueClientCertificate } from "../identity/testing/agent-credentials.ts";
import { type AgentSessions, createAgentSessions } from "./agent-sessions.ts";

const DOMAIN = "example.org";
const uriOf = (cluster: string) => `spiffe://${DOMAIN}/cluster/${cluster}`;

let authority: KeyedCertificate;
let stranger: KeyedCertificate;
let server: KeyedCertificate;
let one: KeyedCertificate;
let sessions: AgentSessions;
let port: number;
let declared: Set<string>;
let ready: boolean;
let revoked: Set<string>;
let heard: string[];
const open: Agent[] = [];

beforeAll(async () => {
  [authority, stranger] = await Promise.all([createAuthority(DOMAIN), createAuthority(DOMAIN)]);
  [server, one] = await Promise.all([issueServerCertificate(authority, ["localhost"]), issueClientCertificate(authority, uriOf("one"))]);
});
beforeEach(async () => {
  declared = new Set(["one", "two"]);
  ready = true;
  revoked = new Set();
  heard = [];
  sessions = createAgentSessions({
    listen: "127.0.0.1:0",
    trustDomain: DOMAIN,
    ca: authority.cert,
    server,
    heartbeatIntervalMs: 10_000,
    helloTimeoutMs: 400,
    commandTimeoutMs: 400,
    hubVersion: "0.1.0",
    isDeclared: (name) => declared.has(name),
    isReady: () => ready,
    enrolments: {
      mayAct: (cluster) => !revoked.has(cluster),
      meet: () => {},
      renew: async () => {
        throw new Error("nobody renews here");
      },
    },
    failpoint: () => {},
    clock: systemClock,
    logger: silentLogger(),
    listener: {
      connected: (cluster, instance) => heard.push(`connected ${cluster} ${instance}`),
      disconnected: (cluster) => heard.push(`disconnected ${cluster}`),
      duplicate: (cluster) => heard.push(`duplicate ${cluster}`),
      heard: () => {},
      status: (cluster, update) => heard.push(`status ${cluster}${update.restart ? " restart" : ""}${update.complete ? "" : " more"}`),
    },
  });
  port = await sessions.start();
});
afterEach(async () => {
  for (const agent of open.splice(0)) agent.close();
  await sessions.stop();
});

interface Agent {
  readonly stream: ClientDuplexStream<AgentMessage, HubMessage__Output>;
  readonly messages: HubMessage__Output[];
  /** gRPC status and its words when the stream is over. */
  readonly ended: Promise<{ code: number; details: string }>;
  close(): void;
}

function connect(identity: KeyedCertificate | undefined, ca = authority.cert): Agent {
  const channel = identity
    ? credentials.createSsl(Buffer.from(ca), Buffer.from(identity.key), Buffer.from(identity.cert))
    : credentials.createSsl(Buffer.from(ca));
  const client = new (loadAgentService())(`localhost:${port}`, channel, { "grpc.enable_retries": 0 });
  const stream = client.Connect();
  const messages: HubMessage__Output[] = [];
  stream.on("data", (message: HubMessage__Output) => messages.push(message));
  const ended = new Promise<{ code: number; details: string }>((resolve) => {
    stream.on("error", (error: Error & { code?: number; details?: string }) =>
      resolve({ code: error.code ?? -1, details: error.details ?? "" }),
    );
    stream.on("end", () => resolve({ code: 0, details: "" }));
  });
  const agent: Agent = {
    stream,
    messages,
    ended,
    close() {
      stream.cancel();
      client.close();
    },
  };
  open.push(agent);
  return agent;
}

const hello = (instance = "a"): AgentMessage => ({
  sequence: 1,
  hello: { instance, facts: { agentVersion: "0.1.0", kubernetesVersion: "v1.36.3" } },
});

async function join(identity: KeyedCertificate, instance = "a"): Promise<Agent> {
  const agent = connect(identity);
  agent.stream.write(hello(instance));
  await eventually(() => expect(agent.messages.some((message) => message.welcome)).toBe(true));
  return agent;
}

describe("an agent's identity", () => {
  it("is the cluster in its certificate, and nothing that it says", async () => {
    const agent = await join(one, "cluster two, honestly");
    agent.stream.write({ sequence: 2, status: { full: true } });
    await eventually(() => expect(heard).toEqual(["connected one cluster two, honestly", "status one restart"]));
  });

  it.each<[string, () => Promise<KeyedCertificate | undefined>]>([
    ["no certificate", async () => undefined],
    ["a certificate of another CA with the same names", () => issueClientCertificate(stranger, uriOf("one"))],
    ["a certificate that has expired", () => issueClientCertificate(authority, uriOf("one"), -1)],
  ])("%s gets no stream at all", async (_, identity) => {
    const agent = connect(await identity());
    agent.stream.write(hello());
    expect((await agent.ended).code).toBe(status.UNAVAILABLE);
    expect(heard).toEqual([]);
  });

  it.each([
    "spiffe://evil.example/cluster/one",
    `spiffe://${DOMAIN}/cluster/`,
    `spiffe://${DOMAIN}/cluster/one/two`,
    `spiffe://${DOMAIN}/clusters/one`,
    `spiffe://${DOMAIN}.evil.example/cluster/one`,
    `https://${DOMAIN}/cluster/one`,
    `spiffe://${DOMAIN}/cluster/ONE`,
  ])("%s in a certificate of our CA names no cluster", async (uri) => {
    const agent = connect(await issueClientCertificate(authority, uri));
    agent.stream.write(hello());
    expect(await agent.ended).toMatchObject({ code: status.UNAUTHENTICATED, details: expect.stringContaining("AGENT_IDENTITY") });
    expect(heard).toEqual([]);
  });

  it("A3: a hub that another CA vouches for is not talked to", async () => {
    const agent = connect(one, stranger.cert);
    agent.stream.write(hello());
    expect((await agent.ended).code).toBe(status.UNAVAILABLE);
    expect(heard).toEqual([]);
  });
});

describe("a stream", () => {
  it("is refused to a cluster that Git does not declare, and ends when Git no longer does", async () => {
    const three = connect(await issueClientCertificate(authority, uriOf("three")));
    three.stream.write(hello());
    expect(await three.ended).toMatchObject({ code: status.PERMISSION_DENIED });
    const agent = await join(one);
    declared.delete("one");
    sessions.dropUnfit();
    expect(await agent.ended).toMatchObject({ code: status.PERMISSION_DENIED });
    expect([heard, sessions.count]).toEqual([["connected one a", "disconnected one"], 0]);
  });

  it("is refused to an agent that does not act for its cluster any more, and ends when it no longer does", async () => {
    const agent = await join(one);
    revoked.add("one");
    sessions.dropUnfit();
    expect(await agent.ended).toMatchObject({ code: status.PERMISSION_DENIED });
    const again = connect(one);
    again.stream.write(hello());
    expect(await again.ended).toMatchObject({ code: status.PERMISSION_DENIED });
    expect([heard, sessions.count]).toEqual([["connected one a", "disconnected one"], 0]);
  });

  it("E244: is refused until the hub knows its own state", async () => {
    ready = false;
    const agent = connect(one);
    agent.stream.write(hello());
    expect((await agent.ended).code).toBe(status.UNAVAILABLE);
  });

  it("begins with Hello, soon", async () => {
    const rude = connect(one);
    rude.stream.write({ sequence: 1, status: { full: true } });
    expect((await rude.ended).code).toBe(status.INVALID_ARGUMENT);
    expect((await connect(one).ended).code).toBe(status.DEADLINE_EXCEEDED);
    expect(heard).toEqual([]);
  });

  it("E243: is replaced by a newer one of the same cluster, which alone says when the cluster is gone", async () => {
    const old = await join(one, "a");
    const now = await join(one, "a");
    expect((await old.ended).code).toBe(status.ABORTED);
    old.close();
    expect([sessions.count, heard]).toEqual([1, ["connected one a", "connected one a"]]);
    now.close();
    await eventually(() => expect(heard.at(-1)).toBe("disconnected one"));
    expect(sessions.count).toBe(0);
  });

  it("E186: of two agents with one identity is told, when they take it from each other", async () => {
    await join(one, "a");
    await join(one, "b");
    expect(heard).not.toContain("duplicate one");
    await join(one, "a");
    expect(heard).toContain("duplicate one");
  });

  it("acknowledges what was taken, and tells of a newer slice", async () => {
    const agent = await join(one);
    agent.stream.write({ sequence: 2, status: { full: true, more: true } });
    agent.stream.write({ sequence: 3, status: { full: true } });
    sessions.hint("one", { epoch: 1, generation: 7 });
    await eventually(() => {
      expect(agent.messages.find((message) => message.sliceHint)?.sliceHint?.generation).toMatchObject({ epoch: 1, generation: 7 });
      expect(agent.messages.findLast((message) => message.ack)?.ack?.sequence).toBe(3);
    });
    // Two parts of one full report: only the first makes what was known before void.
    expect(heard.slice(1)).toEqual(["status one restart more", "status one"]);
  });

  it("that carries more than 1 MiB in a message ends, and others go on", async () => {
    const two = await join(await issueClientCertificate(authority, uriOf("two")));
    const agent = await join(one);
    agent.stream.write({ sequence: 2, status: { events: [{ type: "X", message: "x".repeat(1_100_000) }] } });
    expect((await agent.ended).code).toBe(status.RESOURCE_EXHAUSTED);
    two.stream.write({ sequence: 2, status: { full: true } });
    await eventually(() => expect(heard).toContain("status two restart"));
  });
});

describe("an agent that", () => {
  it("E246: does not read makes the hub hold no more than the last hint and a few commands", async () => {
    const agent = await join(one);
    agent.stream.pause();
    for (let generation = 1; generation <= 5_000; generation += 1) sessions.hint("one", { epoch: 1, generation });
    const commands = await Promise.allSettled(Array.from({ length: 200 }, () => sessions.reconcile("one")));
    const refused = commands.flatMap((command) => (command.status === "rejected" ? [command.reason] : []));
    expect(refused.length).toBeGreaterThanOrEqual(200 - 32);
    expect(refused[0]).toMatchObject({ code: "AGENT_OFFLINE", message: expect.stringContaining("fast enough") });
    agent.stream.resume();
    const hints = () => agent.messages.flatMap(({ sliceHint }) => sliceHint?.generation?.generation ?? []);
    await eventually(() => expect(hints().at(-1)).toBe(5_000));
    expect(hints().length).toBeLessThan(100);
    await sessions.reconcile("one");
  });

  it("E253: sends too fast is held back, loses nothing, and holds up no other", async () => {
    const two = await join(await issueClientCertificate(authority, uriOf("two")));
    const agent = await join(one);
    const started = performance.now();
    for (let sequence = 2; sequence <= 1_101; sequence += 1) agent.stream.write({ sequence, status: {} });
    two.stream.write({ sequence: 2, status: {} });
    const acked = ({ messages }: Agent) => messages.findLast((message) => message.ack)?.ack?.sequence;
    await eventually(() => expect(acked(two)).toBe(2));
    expect(acked(agent) ?? 0).toBeLessThan(1_101);
    await eventually(() => expect(acked(agent)).toBe(1_101));
    // A thousand at once, and a hundred more in a second.
    expect(performance.now() - started).toBeGreaterThan(900);
    expect(heard.filter((line) => line === "status one")).toHaveLength(1_100);
  });
});

describe("a command", () => {
  it("reaches the agent, and its answer the operator", async () => {
    const agent = await join(one);
    await sessions.reconcile("one", "web");
    await eventually(() => expect(agent.messages.find((message) => message.reconcile)?.reconcile?.bundle).toBe("web"));
    const asked = sessions.inspect("one", "web");
    await eventually(() => expect(agent.messages.some((message) => message.inspect)).toBe(true));
    const id = agent.messages.find((message) => message.inspect)?.inspect?.id ?? "";
    agent.stream.write({ sequence: 2, inspectResult: { id: "another", objects: [] } });
    agent.stream.write({
      sequence: 3,
      inspectResult: { id, objects: [{ ref: { kind: "ConfigMap", namespace: "a", name: "web" }, bundle: "web", uid: "u" }] },
    });
    expect(await asked).toEqual({ items: [expect.objectContaining({ ref: expect.objectContaining({ name: "web" }), uid: "u" })] });
  });

  it("whose answer was cut says so, in few words", async () => {
    const agent = await join(one);
    const asked = sessions.inspect("one", "web");
    await eventually(() => expect(agent.messages.some((message) => message.inspect)).toBe(true));
    const id = agent.messages.find((message) => message.inspect)?.inspect?.id ?? "";
    const message = `7 more objects are not shown${" or so".repeat(200)}`;
    agent.stream.write({ sequence: 2, inspectResult: { id, message, objects: [{ ref: { kind: "ConfigMap", name: "web" } }] } });
    expect(await asked).toMatchObject({ items: [{ ref: { name: "web" } }], truncated: message.slice(0, 500) });
  });

  it("fails with a code if there is no such agent, if it does not answer, and if it goes meanwhile", async () => {
    await expect(sessions.reconcile("nowhere")).rejects.toMatchObject({ code: "API_NOT_FOUND" });
    await expect(sessions.reconcile("two")).rejects.toMatchObject({ code: "AGENT_OFFLINE" });
    const agent = await join(one);
    await expect(sessions.inspect("one", "web")).rejects.toMatchObject({
      code: "AGENT_OFFLINE",
      message: expect.stringContaining("400 ms"),
    });
    const asked = sessions.inspect("one", "web");
    agent.close();
    await expect(asked).rejects.toMatchObject({ code: "AGENT_OFFLINE", message: expect.stringContaining("disconnected") });
  });
});
