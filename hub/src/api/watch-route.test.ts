import { once } from "node:events";
import { rmSync, writeFileSync } from "node:fs";
import { type ClientRequest, type IncomingMessage, request } from "node:http";
import { connect } from "node:net";
import { join } from "node:path";
import { silentLogger } from "@muster/shared/telemetry";
import { afterEach, describe, expect, it } from "vitest";
import { eventually } from "../../../test/rig/eventually.ts";
import { ManualClock } from "../../../test/rig/manual-clock.ts";
import { createTempFolder } from "../../../test/rig/temp-folder.ts";
import { createSecretFile } from "./secret-file.ts";
import { BEARER, createSampleApi, type SampleApi, TOKEN } from "./testing/sample-api.ts";

const open: { end(): void }[] = [];
const apis: SampleApi[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) one.end();
  for (const { app } of apis.splice(0)) await app.close();
});

async function start(options: Parameters<typeof createSampleApi>[0] = {}): Promise<{ api: SampleApi; port: number }> {
  const api = await createSampleApi(options);
  apis.push(api);
  await api.app.listen({ port: 0, host: "127.0.0.1" });
  return { api, port: (api.app.server.address() as { port: number }).port };
}

interface Reader {
  readonly response: IncomingMessage;
  text: string;
  ended: boolean;
}

async function watch(port: number, headers: Record<string, string> = BEARER, method = "GET"): Promise<Reader> {
  const asked: ClientRequest = request({ port, host: "127.0.0.1", path: "/api/v1/watch", headers, method, agent: false });
  asked.on("error", () => {});
  asked.end();
  const [response] = (await once(asked, "response")) as [IncomingMessage];
  open.push({ end: () => asked.destroy() });
  const reader: Reader = { response, text: "", ended: false };
  response.on("data", (bytes: Buffer) => {
    reader.text += bytes.toString();
  });
  response.on("close", () => {
    reader.ended = true;
  });
  return reader;
}

const noticesOf = (reader: Reader) =>
  [...reader.text.matchAll(/^data: (.*)$/gm)].map(([, data]) => JSON.parse(data ?? "") as { kind: string; name: string });

describe("the watch", () => {
  it("tells a change at once, as an event with an id", async () => {
    const { api, port } = await start();
    const reader = await watch(port);
    expect(reader.response.headers["content-type"]).toBe("text/event-stream");
    api.notify({ kind: "target", name: "web/one" });
    await eventually(() => expect(reader.text).toContain('id: 1\nevent: target\ndata: {"kind":"target","name":"web/one"}\n\n'));
  });

  it("merges what changes again before it was told, and cuts off no reader for a burst", async () => {
    const { api, port } = await start();
    const reader = await watch(port);
    await eventually(() => expect(api.listeners.size).toBe(1));
    for (let round = 0; round < 100; round += 1)
      for (let index = 0; index < 500; index += 1) api.notify({ kind: "target", name: `web/c${index}` });
    await eventually(() => expect(noticesOf(reader)).toHaveLength(500));
    for (let index = 0; index < 5_000; index += 1) api.notify({ kind: "drift", name: `c${index}` });
    await eventually(() => expect(noticesOf(reader).slice(500)).toEqual([{ kind: "drift", name: "" }]));
    expect(reader.ended).toBe(false);
  });

  it("asks a reader that comes back to ask for everything", async () => {
    const { port } = await start();
    const reader = await watch(port, { ...BEARER, "last-event-id": "7" });
    await eventually(() => expect(noticesOf(reader)).toEqual([{ kind: "fleet", name: "" }]));
  });

  it("ends when the token is replaced", async () => {
    const clock = new ManualClock();
    const { api, port } = await start({ clock });
    const reader = await watch(port);
    api.data.token = "new";
    await clock.advance(15_000);
    await eventually(() => expect(reader.ended).toBe(true));
    expect(api.listeners.size).toBe(0);
  });

  it("ends, and the hub lives on, when nobody can say whether the token still holds", async () => {
    const clock = new ManualClock();
    let broken = false;
    const { api, port } = await start({
      clock,
      token: () => {
        if (broken) throw new Error("ENOENT");
        return TOKEN;
      },
    });
    const reader = await watch(port);
    broken = true;
    await clock.advance(15_000);
    await eventually(() => expect(reader.ended).toBe(true));
    expect(api.listeners.size).toBe(0);
    expect((await api.get("/healthz", null)).status).toBe(200);
  });

  it("goes on while the file of the token is away", async () => {
    const folder = createTempFolder("token");
    open.push({ end: () => folder.remove() });
    const path = join(folder.path, "token");
    writeFileSync(path, TOKEN);
    const clock = new ManualClock();
    const token = createSecretFile({ setting: "http.tokenFile", path, clock, logger: silentLogger() });
    const { api, port } = await start({ clock, token });
    const reader = await watch(port);
    rmSync(path);
    await clock.advance(15_000);
    await eventually(() => expect(reader.text).toContain(": alive"));
    expect(reader.ended).toBe(false);
    expect((await api.get("/api/v1/fleet")).status).toBe(200);
  });

  it("keeps a silent stream alive, and cuts off a reader that takes nothing", async () => {
    const clock = new ManualClock();
    const { api, port } = await start({ clock });
    const good = await watch(port);
    const stuck = connect(port, "127.0.0.1");
    stuck.write(`GET /api/v1/watch HTTP/1.1\r\nHost: hub\r\nAuthorization: ${BEARER.authorization}\r\n\r\n`);
    await once(stuck, "data");
    stuck.pause();
    open.push({ end: () => stuck.destroy() });
    await eventually(() => expect(api.listeners.size).toBe(2));
    // As much as the sockets between both take, and more.
    for (let round = 0; round < 200; round += 1) {
      for (let index = 0; index < 900; index += 1) api.notify({ kind: "target", name: `${"x".repeat(60)}/${index}` });
      await new Promise(setImmediate);
    }
    for (let beat = 0; beat < 4; beat += 1) await clock.advance(15_000);
    await eventually(() => expect(api.listeners.size).toBe(1));
    expect(good.ended).toBe(false);
    await eventually(() => expect(good.text).toContain(": alive"));
  });

  it("ends with the hub, so that the hub can stop", async () => {
    const { api, port } = await start();
    const reader = await watch(port);
    await api.app.close();
    await eventually(() => expect(reader.ended).toBe(true));
  });

  it("does not hang on HEAD", async () => {
    const { api } = await start();
    expect((await api.app.inject({ method: "HEAD", url: "/api/v1/watch", headers: BEARER })).statusCode).toBe(404);
  });

  it("is refused beyond 256 readers", async () => {
    const { port } = await start();
    await Promise.all(Array.from({ length: 256 }, () => watch(port)));
    const one = await watch(port);
    expect(one.response.statusCode).toBe(429);
    await eventually(() => expect(one.text).toContain("API_TOO_MANY"));
  });
});
