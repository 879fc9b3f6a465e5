import { once } from "node:events";
import type { Server } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { createLogger } from "@muster/shared/telemetry";
import { afterEach, describe, expect, it } from "vitest";
import { eventually } from "../../../test/rig/eventually.ts";
import { createAuthority, issueServerCertificate } from "../identity/certificates.ts";
import { createSampleApi, type SampleApi } from "./testing/sample-api.ts";

const apis: SampleApi[] = [];
const sockets: Socket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  for (const { app } of apis.splice(0)) await app.close();
});

async function start(options: Parameters<typeof createSampleApi>[0] = {}): Promise<SampleApi> {
  const api = await createSampleApi(options);
  apis.push(api);
  return api;
}

describe("a connection to the API", () => {
  it("is bounded in each of its phases, with TLS and without", async () => {
    const bounds = ({ headersTimeout, requestTimeout, timeout, keepAliveTimeout }: Server) => ({
      headersTimeout,
      requestTimeout,
      timeout,
      keepAliveTimeout,
    });
    const plain = await start();
    const secured = await start({ tls: await issueServerCertificate(await createAuthority("muster.local"), ["localhost"]) });
    expect(bounds(plain.app.server)).toEqual({ headersTimeout: 10_000, requestTimeout: 30_000, timeout: 60_000, keepAliveTimeout: 72_000 });
    expect(bounds(secured.app.server)).toEqual(bounds(plain.app.server));
  });

  it("is dropped if 1,024 are open, which the log says once, and taken again when one has gone", async () => {
    const lines: { msg: string }[] = [];
    const { app } = await start({
      logger: createLogger({ name: "test", destination: { write: (line) => void lines.push(JSON.parse(line)) } }),
    });
    await app.listen({ port: 0, host: "127.0.0.1" });
    const { port } = app.server.address() as AddressInfo;
    const open = async (): Promise<Socket> => {
      const socket = connect(port, "127.0.0.1");
      socket.on("error", () => {});
      sockets.push(socket);
      await once(socket, "connect");
      return socket;
    };
    const held = await Promise.all(Array.from({ length: 1_024 }, open));
    const answers = async (): Promise<boolean> => {
      const socket = await open();
      socket.write("GET /healthz HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n");
      const taken = await new Promise<boolean>((resolve) => {
        socket.once("data", () => resolve(true));
        socket.once("close", () => resolve(false));
      });
      socket.destroy();
      return taken;
    };
    expect([await answers(), await answers()]).toEqual([false, false]);
    expect(lines.filter(({ msg }) => msg.includes("connections"))).toHaveLength(1);
    held[0]?.destroy();
    await eventually(async () => expect(await answers()).toBe(true));
  });
});
