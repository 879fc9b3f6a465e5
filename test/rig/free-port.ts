import { randomInt } from "node:crypto";
import { createServer } from "node:net";

const given = new Set<number>();

/**
 * Below those that systems give to outgoing connections (32768 and up on Linux, 49152 and up elsewhere): one of these may be taken by any connection
 * of this machine before its server listens on it.
 */
const PORTS = { least: 12_000, below: 32_000 };

/** A TCP port on loopback that was free a moment ago and that this process gives only once. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(PORTS.least, PORTS.below);
    if (given.has(port)) continue;
    given.add(port);
    if (await isPortFree(port)) return port;
  }
}

/** True if nothing listens on the port. A busy port must fail a test: a stray server once let a restart test pass without a restart. */
export async function isPortFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}
