import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { BLOB_STREAM, blobSubject, CHUNK_BYTES, HUB_INBOX_PREFIX, inboxPrefix, SLICE_STREAM, sliceSubject } from "@muster/shared/wire";
import { connect, credsAuthenticator, headers, type JetStreamManager, type NatsConnection } from "nats";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { eventually } from "../../../test/rig/eventually.ts";
import { type NatsServer, startNatsServer } from "../../../test/rig/nats-server.ts";
import { createTempFolder } from "../../../test/rig/temp-folder.ts";
import { ensureStreams } from "../publish/streams.ts";
import { type HubIdentity, loadIdentity } from "./identity.ts";
import { agentCredentials } from "./testing/agent-credentials.ts";

const CHUNKS = [randomBytes(CHUNK_BYTES), randomBytes(CHUNK_BYTES), randomBytes(1_000)];
const [BLOB, NO_BLOB] = ["b".repeat(64), "f".repeat(64)];
const directGet = (stream: string, subject: string): string => `$JS.API.DIRECT.GET.${stream}.${subject}`;
const OWN_SLICE = directGet(SLICE_STREAM, sliceSubject("one"));
const chunkOf = (blob: string, chunk: number): string => directGet(BLOB_STREAM, blobSubject(blob, chunk));

const folder = createTempFolder("nats-accounts");
let identity: HubIdentity;
let nats: NatsServer;
let hub: NatsConnection;
let manager: JetStreamManager;
let one: NatsConnection;
let two: NatsConnection;

const open = (creds: Uint8Array, prefix: string): Promise<NatsConnection> =>
  connect({ servers: nats.url, authenticator: credsAuthenticator(creds), inboxPrefix: prefix, reconnect: false });
const openAgent = async (cluster: string): Promise<NatsConnection> =>
  open(Buffer.from((await agentCredentials(identity, cluster)).natsCreds), inboxPrefix(cluster));

/** All streams that there are, with their messages: one that was changed, emptied or made anew shows. */
async function stored(): Promise<unknown> {
  const streams = await Promise.all(
    [SLICE_STREAM, BLOB_STREAM].map((name) => manager.streams.info(name, { subjects_filter: ">" }).catch(() => undefined)),
  );
  return streams.map((info) => info && [info.config, info.created, info.state]);
}

beforeAll(async () => {
  identity = await loadIdentity({ dataDir: folder.path, trustDomain: "example.org", serverNames: ["hub"] });
  nats = await startNatsServer({ config: await identity.natsConfig() });
  hub = await open(readFileSync(identity.natsCredsFile), HUB_INBOX_PREFIX);
  manager = await hub.jetstreamManager({ checkAPI: false });
  [one, two] = await Promise.all([openAgent("one"), openAgent("two")]);
});
afterAll(async () => {
  await Promise.all([hub, one, two].map((connection) => connection?.close()));
  await nats?.stop();
  folder.remove();
});

describe("agents, in an account without JetStream", () => {
  beforeEach(async () => {
    await ensureStreams(manager, 1);
    const jetstream = hub.jetstream();
    for (const cluster of ["one", "two"]) await jetstream.publish(sliceSubject(cluster), `of ${cluster}`);
    for (const [index, chunk] of CHUNKS.entries()) await jetstream.publish(blobSubject(BLOB, index), chunk);
  });

  it("get their own slice, and every chunk of a large blob at once", async () => {
    expect((await one.request(OWN_SLICE)).string()).toBe("of one");
    const answers = await Promise.all(CHUNKS.map((_, index) => one.request(chunkOf(BLOB, index), "", { timeout: 5_000 })));
    for (const [index, chunk] of CHUNKS.entries()) expect(Buffer.compare(answers[index]?.data ?? Buffer.of(), chunk)).toBe(0);
    expect((await one.request(chunkOf(NO_BLOB, 0))).headers?.code).toBe(404);
  });

  it("hear of their own new slice without asking, and of nobody else's", async () => {
    const heard: string[] = [];
    for (const subject of [sliceSubject("one"), sliceSubject("two"), `${inboxPrefix("two")}.>`, `${HUB_INBOX_PREFIX}.>`, "_INBOX.>", ">"])
      one.subscribe(subject, { callback: (error, message) => void (error || heard.push(message.string())) });
    await one.flush();
    await hub.jetstream().publish(sliceSubject("two"), "secret");
    expect((await two.request(directGet(SLICE_STREAM, sliceSubject("two")))).string()).toBe("secret");
    await hub.jetstream().publish(sliceSubject("one"), "news");
    await eventually(() => expect(heard).toContain("news"));
    await one.flush();
    expect(heard).toEqual(["news"]);
  });

  it("are told at once that a stream is gone, and do not wait for it", async () => {
    await nats.wipe();
    [hub, one, two] = [await open(readFileSync(identity.natsCredsFile), HUB_INBOX_PREFIX), await openAgent("one"), await openAgent("two")];
    manager = await hub.jetstreamManager({ checkAPI: false });
    await expect(one.request(OWN_SLICE, "", { timeout: 60_000 })).rejects.toMatchObject({ code: "503" });
    await expect(one.request(chunkOf(BLOB, 0), "", { timeout: 60_000 })).rejects.toMatchObject({ code: "503" });
  });

  it("S2: name no reply subject by which the server itself would change or delete what is stored", { timeout: 60_000 }, async () => {
    const before = await stored();
    const heard: string[] = [];
    // As the client subscribes for all of its requests: what stands for the x is not to be guessed.
    two.subscribe(`${inboxPrefix("two")}.x.*`, { callback: (_, message) => void heard.push(message.subject) });
    hub.subscribe(`${HUB_INBOX_PREFIX}.forged`, { callback: (_, message) => void heard.push(message.subject) });
    // Of what comes here all is marked as an answer, so that an agent can tell it from a new slice.
    const arrived: boolean[] = [];
    two.subscribe(sliceSubject("two"), {
      callback: (_, { headers: marks }) => void arrived.push(marks?.has("Nats-Stream") === true || marks?.hasError === true),
    });
    await Promise.all([two.flush(), hub.flush()]);
    const replies = [
      ...["DELETE", "PURGE", "INFO", "UPDATE", "CREATE", "SNAPSHOT", "RESTORE", "LEADER.STEPDOWN"].flatMap((verb) => [
        `$JS.API.STREAM.${verb}.${BLOB_STREAM}`,
        `$JS.API.STREAM.${verb}.${SLICE_STREAM}`,
      ]),
      `$JS.API.CONSUMER.CREATE.${SLICE_STREAM}`,
      `$JS.API.CONSUMER.CREATE.${SLICE_STREAM}.mine.${sliceSubject("two")}`,
      `$JS.API.CONSUMER.DURABLE.CREATE.${SLICE_STREAM}.mine`,
      directGet(SLICE_STREAM, sliceSubject("two")),
      `$JS.ACK.${SLICE_STREAM}.mine.1.1.1.0.0`,
      sliceSubject("two"),
      sliceSubject("three"),
      blobSubject(BLOB, 0),
      blobSubject(NO_BLOB, 0),
      "muster.v1.blob.x.0",
      `${inboxPrefix("two")}.*.*`,
      `${HUB_INBOX_PREFIX}.forged`,
    ];
    for (const reply of replies) {
      // The answers are a slice, the bytes of a chunk, and an empty 404, which is a valid request to delete.
      for (const subject of [OWN_SLICE, chunkOf(BLOB, 0), chunkOf(NO_BLOB, 0)]) {
        const traced = headers();
        traced.set("Nats-Trace-Dest", reply);
        one.publish(subject, "", { reply });
        one.publish(subject, "", { headers: traced });
      }
      // Whatever came of it has come before the next answer.
      expect((await one.request(OWN_SLICE)).string()).toBe("of one");
      expect([reply, await stored()]).toEqual([reply, before]);
    }
    await Promise.all([two.flush(), hub.flush()]);
    expect(heard).toEqual([]);
    expect(arrived).toEqual([true, true, true]);
    expect((await two.request(directGet(SLICE_STREAM, sliceSubject("two")))).string()).toBe("of two");
  });

  it("ADR 0005: read no blob whose name they do not know, by no wildcard", { timeout: 60_000 }, async () => {
    const read = (tokens: string): Promise<boolean> =>
      one.request(`$JS.API.DIRECT.GET.${BLOB_STREAM}.muster.v1.blob.${tokens}`, "", { timeout: 250 }).then(
        (message) => !message.headers?.hasError && message.data.length > 0,
        () => false,
      );
    expect([await read(`${BLOB}.0`), await read(`${NO_BLOB}.0`)]).toEqual([true, false]);
    const firsts = ["*", ">", "*>", ">*", "**", "**>", "*.*", "*.>", ">.*", `${BLOB.slice(0, 63)}*`];
    const seen: string[] = [];
    for (const first of firsts)
      for (const second of ["", ".0", ".*", ".>", ".*>", ".**"]) if (await read(`${first}${second}`)) seen.push(`${first}${second}`);
    expect(seen).toEqual([]);
  });
});
