import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { createSeededRandom } from "./seeded-random.ts";
import { type Cut, createPipe, type Pipe, type StreamFault } from "./tcp-fault-pipe.ts";

/** What happens to a link. */
export interface LinkFault {
  /** To the server. */
  readonly up?: StreamFault;
  /** From the server. */
  readonly down?: StreamFault;
  /** New connections are reset, or are taken and lead nowhere. Default: they are passed on. */
  readonly connect?: "refuse" | "hang";
}

/** Who still believes in a connection that is none any more. */
export type HalfOpenSide = "client" | "server";

/** Stands between a client and a server of any protocol, and lets bytes through as badly as it is told. */
export interface TcpFaultProxy {
  /** Of 127.0.0.1. */
  readonly port: number;
  /** From now on, for connections that are open too; undefined for none. */
  setFault(fault: LinkFault | undefined): void;
  /** Ends all connections on both sides. Gives how many there were. */
  cut(how: Cut): number;
  /** Ends all connections for one side only: `side` hears nothing, and all that it says is lost. Gives how many there were. */
  halfOpen(side: HalfOpenSide): number;
  readonly connections: number;
  /** What has happened so far. */
  readonly counts: { readonly accepted: number; readonly bytesUp: number; readonly bytesDown: number; readonly flips: number };
  stop(): Promise<void>;
}

/** Options of {@link startTcpFaultProxy}. */
export interface TcpFaultProxyOptions {
  /** Port of the server on 127.0.0.1. */
  readonly to: number;
  /** Which bits are turned, and what jitter is. Default 1. */
  readonly seed?: number;
}

interface Connection {
  readonly client: Socket;
  readonly server: Socket | undefined;
  readonly up: Pipe | undefined;
  readonly down: Pipe | undefined;
}

export async function startTcpFaultProxy({ to, seed = 1 }: TcpFaultProxyOptions): Promise<TcpFaultProxy> {
  const random = createSeededRandom(seed);
  const open = new Set<Connection>();
  const counts = { accepted: 0, bytesUp: 0, bytesDown: 0, flips: 0 };
  /** Of which one side is not to hear. */
  const halves = new WeakSet<Connection>();
  let fault: LinkFault = {};

  function close(connection: Connection): void {
    connection.up?.stop();
    connection.down?.stop();
    open.delete(connection);
  }

  function end(connection: Connection, how: Cut): void {
    close(connection);
    for (const socket of [connection.client, connection.server]) {
      if (how === "rst") socket?.resetAndDestroy();
      else socket?.end(() => socket.destroy());
    }
  }

  function accept(client: Socket): void {
    counts.accepted += 1;
    client.on("error", () => {});
    client.setNoDelay(true);
    if (fault.connect === "refuse") return void client.resetAndDestroy();
    if (fault.connect === "hang") {
      const hanging: Connection = { client, server: undefined, up: undefined, down: undefined };
      open.add(hanging);
      client.on("close", () => close(hanging));
      client.resume();
      return;
    }
    passOn(client);
  }

  function passOn(client: Socket): void {
    const server = connect({ port: to, host: "127.0.0.1", noDelay: true, allowHalfOpen: true });
    server.on("error", () => {});
    const shared = {
      random,
      onFlip: () => {
        counts.flips += 1;
      },
      onCut: (how: Cut) => end(connection, how),
    };
    const up = createPipe({
      ...shared,
      from: client,
      to: server,
      fault: () => fault.up ?? {},
      onBytes: (n) => {
        counts.bytesUp += n;
      },
    });
    const down = createPipe({
      ...shared,
      from: server,
      to: client,
      fault: () => fault.down ?? {},
      onBytes: (n) => {
        counts.bytesDown += n;
      },
    });
    const connection: Connection = { client, server, up, down };
    open.add(connection);
    const gone = () => {
      tellReset(connection);
      if (client.destroyed && server.destroyed) close(connection);
    };
    client.on("close", gone);
    server.on("close", gone);
  }

  /** An end goes the way of the bytes, behind them; a reset overtakes them, unless the path swallows it too. */
  function tellReset(connection: Connection): void {
    const { client, server } = connection;
    if (!open.has(connection) || halves.has(connection) || !server) return;
    if (client.errored && !fault.up?.blackhole) server.resetAndDestroy();
    if (server.errored && !fault.down?.blackhole) client.resetAndDestroy();
  }

  const listener = createServer({ allowHalfOpen: true }, accept);
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  const { port } = listener.address() as AddressInfo;
  return {
    port,
    setFault(next) {
      fault = next ?? {};
      for (const connection of [...open]) {
        const { up, down, client, server } = connection;
        up?.update();
        down?.update();
        tellReset(connection);
        // What was led nowhere leads nowhere for ever.
        if (!server && !fault.connect) client.resetAndDestroy();
      }
    },
    cut(how) {
      const all = [...open];
      for (const connection of all) end(connection, how);
      return all.length;
    },
    halfOpen(side) {
      const all = [...open].filter(({ server }) => server !== undefined);
      for (const connection of all) {
        const { client, server, up, down } = connection;
        halves.add(connection);
        up?.swallow();
        down?.swallow();
        (side === "client" ? server : client)?.resetAndDestroy();
      }
      return all.length;
    },
    get connections() {
      return open.size;
    },
    counts,
    async stop() {
      for (const connection of [...open]) end(connection, "rst");
      await new Promise((resolve) => listener.close(resolve));
    },
  };
}
