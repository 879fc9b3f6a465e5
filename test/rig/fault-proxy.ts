import { readFileSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { Agent, request } from "undici";
import type { KubeApiserver } from "./kube-apiserver.ts";
import { createTempFolder } from "./temp-folder.ts";

/** What happens to a request instead of being passed on. */
export type Fault =
  | { readonly status: number; readonly body?: string; readonly headers?: Readonly<Record<string, string>> }
  /** The connection ends without an answer; `forwarded`: the API server has done what it was asked all the same. */
  | { readonly cut: true; readonly forwarded?: boolean }
  /** Milliseconds to wait before passing it on. */
  | { readonly delayMs: number }
  /** The answer begins, and then nothing more comes of it: a path that swallows everything. */
  | { readonly silent: true };

/** Chooses the fault of a request, if any. */
export type FaultRule = (request: { readonly method: string; readonly path: string }) => Fault | undefined;

/** Stands before an API server and answers in its place when told to. */
export interface FaultProxy {
  /** A kubeconfig for the proxy with another's token. */
  writeKubeconfig(token: string): string;
  /** From now on; undefined for none. */
  setFaults(rule: FaultRule | undefined): void;
  /** Faults that have happened. */
  readonly faults: number;
  stop(): Promise<void>;
}

export async function startFaultProxy(apiserver: KubeApiserver): Promise<FaultProxy> {
  const folder = createTempFolder(`proxy-${apiserver.name}`);
  const upstream = new Agent({ connect: { ca: apiserver.caPem }, bodyTimeout: 0, headersTimeout: 0, connections: 64 });
  let rule: FaultRule | undefined;
  let faults = 0;

  async function forward(incoming: IncomingMessage, body: Buffer): Promise<Awaited<ReturnType<typeof request>>> {
    const { host: _, connection: __, ...headers } = incoming.headers;
    return request(`${apiserver.url}${incoming.url}`, {
      method: (incoming.method ?? "GET") as "GET",
      headers,
      dispatcher: upstream,
      ...(body.length > 0 && { body }),
    });
  }

  function passOn(received: Awaited<ReturnType<typeof request>>, outgoing: ServerResponse, silently: boolean): void {
    outgoing.writeHead(received.statusCode, received.headers as Record<string, string>);
    outgoing.on("close", () => received.body.destroy());
    received.body.on("error", () => outgoing.destroy());
    if (silently) {
      outgoing.flushHeaders();
      received.body.resume();
    } else received.body.pipe(outgoing);
  }

  async function answer(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const parts: Buffer[] = [];
    for await (const part of incoming) parts.push(part as Buffer);
    const body = Buffer.concat(parts);
    const fault = rule?.({ method: incoming.method ?? "", path: incoming.url ?? "" });
    if (fault) faults += 1;
    if (fault && "cut" in fault) {
      if (fault.forwarded) await (await forward(incoming, body)).body.dump();
      incoming.socket.destroy();
      return;
    }
    if (fault && "status" in fault) {
      outgoing.writeHead(fault.status, { "content-type": "application/json", ...fault.headers }).end(fault.body ?? "");
      return;
    }
    if (fault && "delayMs" in fault) await new Promise((resolve) => setTimeout(resolve, fault.delayMs));
    passOn(await forward(incoming, body), outgoing, fault !== undefined && "silent" in fault);
  }

  const server = createServer((incoming, outgoing) => void answer(incoming, outgoing).catch(() => incoming.socket.destroy()));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    writeKubeconfig(token) {
      const path = apiserver.writeKubeconfig("through-proxy", token);
      const config = readFileSync(path, "utf8").replaceAll(apiserver.url, `http://127.0.0.1:${port}`);
      const copy = join(folder.path, "kubeconfig");
      writeFileSync(copy, config, { mode: 0o600 });
      return copy;
    },
    setFaults(next) {
      rule = next;
      // Whatever is open, watches above all, is to meet the new rule.
      server.closeAllConnections();
    },
    get faults() {
      return faults;
    },
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await upstream.destroy();
      folder.remove();
    },
  };
}
