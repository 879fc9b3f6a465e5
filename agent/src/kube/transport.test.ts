import { createServer, type Server } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { createTransport, type KubeRequest, type KubeTransport } from "./transport.ts";

const CONNECTIONS = 4;
const asked: KubeRequest = { method: "GET", path: "/version", verb: "read", what: "/version", timeoutMs: 300 };

let server: Server;
let transport: KubeTransport;
afterEach(async () => {
  await transport.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

/** A server on which connections can go dead: what is sent over them is taken, and never answered. */
async function setUp() {
  const dead = new WeakSet<Socket>();
  const open = new Set<Socket>();
  let count = 0;
  let cut: (() => void) | undefined;
  server = createServer((request, response) => {
    count += 1;
    if (cut) {
      cut();
      cut = undefined;
      return void request.socket.destroy();
    }
    if (dead.has(request.socket)) return;
    // Late enough for all connections to be used at once.
    setTimeout(() => response.end("{}"), 20);
  });
  server.on("connection", (socket) => void open.add(socket));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const credentials = { server: `http://127.0.0.1:${port}`, tls: {}, authorization: async () => undefined };
  transport = createTransport({ credentials, connections: CONNECTIONS, userAgent: "muster-agent/test" });
  return {
    goDead: () => {
      for (const socket of open) dead.add(socket);
    },
    opened: () => open.size,
    asked: () => count,
    /** The next request ends with its connection. */
    cutNext: (onCut: () => void) => {
      cut = onCut;
    },
  };
}

describe("connections that are half open", () => {
  it("E263: hold up one request each time at most: the rest of what was open with it is not used again", async () => {
    const { goDead, opened } = await setUp();
    await Promise.all(Array.from({ length: CONNECTIONS }, () => transport.send(asked)));
    expect(opened()).toBe(CONNECTIONS);
    goDead();
    await expect(transport.send(asked)).rejects.toMatchObject({
      code: "KUBE_UNREACHABLE",
      message: "read /version: no answer from the API server (ETIMEDOUT)",
    });
    expect(await transport.send(asked)).toMatchObject({ status: 200 });
    expect(opened()).toBe(CONNECTIONS + 1);
  });

  it("E263: fail what was under way on them once, and all that comes then is answered", async () => {
    const { goDead } = await setUp();
    await Promise.all(Array.from({ length: CONNECTIONS }, () => transport.send(asked)));
    goDead();
    const stuck = await Promise.allSettled(Array.from({ length: CONNECTIONS }, () => transport.send(asked)));
    expect(stuck.map(({ status }) => status)).toEqual(Array.from({ length: CONNECTIONS }, () => "rejected"));
    const next = await Promise.all(Array.from({ length: 2 * CONNECTIONS }, () => transport.send(asked)));
    expect(next).toHaveLength(2 * CONNECTIONS);
  });

  it("a write that is not due any more is not sent once more after its connection was lost", async () => {
    const { cutNext, asked: count } = await setUp();
    let isDue = true;
    cutNext(() => {
      isDue = false;
    });
    await expect(transport.send({ ...asked, method: "PATCH", isDue: () => isDue })).rejects.toMatchObject({ code: "SLICE_STALE" });
    expect(count()).toBe(1);
    isDue = true;
    cutNext(() => {});
    expect(await transport.send({ ...asked, method: "PATCH", isDue: () => isDue })).toMatchObject({ status: 200 });
    expect(count()).toBe(3);
  });

  it("a request that its caller gives up costs no connection but its own", async () => {
    const { opened } = await setUp();
    await Promise.all(Array.from({ length: CONNECTIONS }, () => transport.send(asked)));
    const caller = new AbortController();
    const sent = transport.send({ ...asked, signal: caller.signal });
    caller.abort(new Error("not needed"));
    await expect(sent).rejects.toMatchObject({ code: "KUBE_UNREACHABLE" });
    await Promise.all(Array.from({ length: CONNECTIONS - 1 }, () => transport.send(asked)));
    expect(opened()).toBeLessThanOrEqual(CONNECTIONS + 1);
  });
});
