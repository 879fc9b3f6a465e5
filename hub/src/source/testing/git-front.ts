import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { request as send } from "undici";

/** A request of Git's smart HTTP. */
export interface FrontRequest {
  readonly path: string;
  readonly body: Buffer;
}

/** What is answered; a body of several pieces goes out piece by piece. */
export interface FrontAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer | AsyncIterable<Buffer>;
}

/** Changes what the Git server has answered. */
export type FrontHook = (request: FrontRequest, answer: FrontAnswer & { readonly body: Buffer }) => FrontAnswer;

/** Something between the hub and a Git server: a proxy that spoils answers, or one that ends TLS. */
export interface GitFront {
  /** The URL here of what the Git server has under this URL. */
  urlOf(repositoryUrl: string): string;
  /** null: all is passed on as it is. */
  setHook(hook: FrontHook | null): void;
  stop(): Promise<void>;
}

export async function startGitFront(target: string, tls?: { readonly cert: string; readonly key: string }): Promise<GitFront> {
  let hook: FrontHook | null = null;

  async function forward(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    const request = { path: incoming.url ?? "/", body: Buffer.concat(chunks) };
    const { host: _host, connection: _connection, "content-length": _length, ...headers } = incoming.headers;
    const answer = await send(`${target}${request.path}`, {
      method: incoming.method === "POST" ? "POST" : "GET",
      headers,
      ...(request.body.length > 0 && { body: request.body }),
    });
    const type = String(answer.headers["content-type"]);
    const whole = { status: answer.statusCode, headers: { "content-type": type }, body: Buffer.from(await answer.body.arrayBuffer()) };
    const { status, headers: given, body } = hook?.(request, whole) ?? whole;
    response.writeHead(status, given);
    for await (const piece of Buffer.isBuffer(body) ? [body] : body) response.write(piece);
    response.end();
  }

  const handle = (incoming: IncomingMessage, response: ServerResponse) => void forward(incoming, response).catch(() => response.destroy());
  const server = tls ? createTlsServer(tls, handle) : createServer(handle);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    urlOf: (repositoryUrl) => repositoryUrl.replace(target, `${tls ? "https" : "http"}://127.0.0.1:${port}`),
    setHook(next) {
      hook = next;
    },
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
