import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { eventually } from "./eventually.ts";
import { createSeededRandom } from "./seeded-random.ts";
import { startTcpFaultProxy, type TcpFaultProxy } from "./tcp-fault-proxy.ts";
import { faultSchedule } from "./tcp-fault-schedule.ts";

/** What one side of a connection has seen. */
interface Seen {
  readonly socket: Socket;
  text: string;
  ended: boolean;
  error: string | undefined;
  closed: boolean;
}

let server: Server;
let served: Seen[];
let proxy: TcpFaultProxy;
const clients: Socket[] = [];

function watch(socket: Socket): Seen {
  const seen: Seen = { socket, text: "", ended: false, error: undefined, closed: false };
  socket.on("data", (bytes) => (seen.text += bytes.toString("latin1")));
  socket.on("end", () => (seen.ended = true));
  socket.on("error", (error: NodeJS.ErrnoException) => (seen.error = error.code));
  socket.on("close", () => (seen.closed = true));
  return seen;
}

beforeEach(async () => {
  served = [];
  server = createServer((socket) => {
    const seen = watch(socket);
    served.push(seen);
    socket.on("data", (bytes) => socket.write(bytes));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  proxy = await startTcpFaultProxy({ to: (server.address() as AddressInfo).port, seed: 7 });
});
afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  await proxy.stop();
  for (const { socket } of served) socket.destroy();
  await new Promise((resolve) => server.close(resolve));
});

/** An open connection through the proxy, which has echoed once. */
async function open(): Promise<Seen> {
  const socket = connect(proxy.port, "127.0.0.1");
  clients.push(socket);
  const seen = watch(socket);
  await once(socket, "connect");
  socket.write("hello;");
  await eventually(() => expect(seen.text).toBe("hello;"));
  seen.text = "";
  return seen;
}

async function timed(act: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await act();
  return performance.now() - began;
}

const arrived = (seen: Seen, text: string) => eventually(() => expect(seen.text).toBe(text), { intervalMs: 2 });

describe("a TCP proxy", () => {
  it("without a fault passes on bytes and ends, both ways", async () => {
    const client = await open();
    client.socket.write("more");
    await arrived(client, "more");
    client.socket.end();
    await eventually(() => expect(served[0]).toMatchObject({ ended: true }));
    await eventually(() => expect(client).toMatchObject({ ended: true, error: undefined }));
    await eventually(() => expect(proxy.connections).toBe(0));
  });

  it("latency is of one direction, for connections that are open too, and keeps the order", async () => {
    const client = await open();
    proxy.setFault({ down: { latencyMs: 150, jitterMs: 30 } });
    const tookMs = await timed(async () => {
      for (const part of ["a", "b", "c", "d"]) client.socket.write(part);
      await eventually(() => expect(served[0]?.text).toBe("hello;abcd"), { intervalMs: 2 });
      expect(client.text).toBe("");
      await arrived(client, "abcd");
    });
    expect(tookMs).toBeGreaterThan(145);
  });

  it("throttling carries so many bytes a second, a little at a time", async () => {
    const client = await open();
    proxy.setFault({ up: { bytesPerSecond: 20_000 } });
    const text = "x".repeat(6_000);
    const tookMs = await timed(async () => {
      client.socket.write(text);
      await eventually(() => expect(client.text.length).toBeGreaterThan(0), { intervalMs: 2 });
      expect(client.text.length).toBeLessThan(text.length);
      await arrived(client, text);
    });
    expect(tookMs).toBeGreaterThan(250);
  });

  it("a blackhole keeps all of one direction, and the other side of it waits; afterwards all of it comes", async () => {
    const client = await open();
    proxy.setFault({ down: { blackhole: true } });
    client.socket.write("lost?");
    await eventually(() => expect(served[0]?.text).toBe("hello;lost?"));
    served[0]?.socket.end();
    expect(client).toMatchObject({ text: "", ended: false, closed: false });
    proxy.setFault(undefined);
    await arrived(client, "lost?");
    await eventually(() => expect(client.ended).toBe(true));
  });

  it("a reset and an end are told to both sides for what they are", async () => {
    const [client] = [await open()];
    expect(proxy.cut("rst")).toBe(1);
    await eventually(() => expect(client.error).toBe("ECONNRESET"));
    await eventually(() => expect(served[0]?.error).toBe("ECONNRESET"));
    const other = await open();
    proxy.cut("fin");
    await eventually(() => expect(other).toMatchObject({ ended: true, error: undefined }));
    await eventually(() => expect(served[1]).toMatchObject({ ended: true, error: undefined }));
  });

  it("an answer is cut in the middle, after just so many bytes", async () => {
    const client = await open();
    proxy.setFault({ down: { cutAfterBytes: 10, cut: "fin" } });
    client.socket.write("0123456789abcdef");
    await eventually(() => expect(client).toMatchObject({ text: "0123456789", ended: true, error: undefined }));
    proxy.setFault(undefined);
    await open();
  });

  it.each(["client", "server"] as const)("a connection is half open for the %s: it hears nothing and is heard by nobody", async (side) => {
    const client = await open();
    const [believer, other] = side === "client" ? [client, served[0] as Seen] : [served[0] as Seen, client];
    expect(proxy.halfOpen(side)).toBe(1);
    await eventually(() => expect(other.closed).toBe(true));
    believer.socket.write("anybody there?");
    // A connection of its own is served all the while.
    await open();
    expect(believer).toMatchObject({ ended: false, closed: false, error: undefined });
  });

  it("bits are turned: about one in so many bytes, in one direction, and the same ones for the same seed", async () => {
    const text = "y".repeat(20_000);
    const results: string[] = [];
    for (const _ of [1, 2]) {
      await proxy.stop();
      proxy = await startTcpFaultProxy({ to: (server.address() as AddressInfo).port, seed: 7 });
      const client = await open();
      const at = served.length - 1;
      proxy.setFault({ down: { flipEveryBytes: 1_000 } });
      client.socket.write(text);
      await eventually(() => expect(client.text).toHaveLength(text.length));
      expect(served[at]?.text).toBe(`hello;${text}`);
      expect([...client.text].filter((letter) => letter !== "y")).toHaveLength(proxy.counts.flips);
      expect(proxy.counts.flips).toBeGreaterThan(10);
      expect(proxy.counts.flips).toBeLessThan(40);
      results.push(client.text);
    }
    expect(results[0]).toBe(results[1]);
  });

  it("new connections are refused, or taken and led nowhere", async () => {
    proxy.setFault({ connect: "refuse" });
    const refused = watch(connect(proxy.port, "127.0.0.1"));
    await eventually(() => expect(refused.error).toBe("ECONNRESET"));
    proxy.setFault({ connect: "hang" });
    const hanging = watch(connect(proxy.port, "127.0.0.1"));
    clients.push(hanging.socket);
    await once(hanging.socket, "connect");
    hanging.socket.write("hello?");
    await eventually(() => expect(proxy.counts.accepted).toBe(2));
    expect(served).toEqual([]);
    proxy.setFault(undefined);
    await eventually(() => expect(hanging.closed).toBe(true));
    await open();
  });
});

describe("a schedule of faults", () => {
  it("is the same for the same seed, and has every kind of fault", () => {
    const of = (seed: number) => faultSchedule(createSeededRandom(seed), { steps: 60, longestMs: 1_000 });
    expect(of(3)).toEqual(of(3));
    expect(of(3)).not.toEqual(of(4));
    expect(new Set(of(3).map(({ name }) => name)).size).toBe(8);
  });
});
