import { Server, ServerCredentials, type ServerDuplexStream, status } from "@grpc/grpc-js";
import { type AgentMessage__Output, type HubMessage, loadAgentService } from "@muster/shared/rpc";
import type { KeyedCertificate } from "../identity/certificates.ts";

/** One agent's stream. */
export type AgentStream = ServerDuplexStream<AgentMessage__Output, HubMessage>;

/** TLS 1.3, and a client certificate of our CA; grpc-js' own `createSsl` leaves the version open. */
class StrictCredentials extends ServerCredentials {
  constructor(ca: string, server: KeyedCertificate) {
    const context = {
      ca: Buffer.from(ca),
      cert: [Buffer.from(server.cert)],
      key: [Buffer.from(server.key)],
      minVersion: "TLSv1.3" as const,
    };
    super(
      { requestCert: true, rejectUnauthorized: true, minVersion: "TLSv1.3" } as ConstructorParameters<typeof ServerCredentials>[0],
      context,
    );
  }

  override _equals(other: ServerCredentials): boolean {
    return other === this;
  }
}

/** A gRPC server with limits, all of which are off by default in grpc-js (security.md, section 5). */
export function createAgentServer(options: {
  readonly ca: string;
  readonly server: KeyedCertificate;
  readonly onConnect: (stream: AgentStream) => void;
}): {
  /** host:port; port 0 for any. Gives the port. */
  listen(address: string): Promise<number>;
  close(): Promise<void>;
} {
  const server = new Server({
    "grpc.max_receive_message_length": 1024 * 1024,
    "grpc.max_concurrent_streams": 4,
    "grpc.keepalive_time_ms": 25_000,
    "grpc.keepalive_timeout_ms": 10_000,
    "grpc.max_connection_idle_ms": 300_000,
    "grpc-node.max_session_memory": 32,
  });
  server.addService(loadAgentService().service, { Connect: options.onConnect });
  return {
    listen: (address) =>
      new Promise((resolve, reject) => {
        server.bindAsync(address, new StrictCredentials(options.ca, options.server), (error, port) =>
          error ? reject(error) : resolve(port),
        );
      }),
    async close() {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, 500);
      });
      await Promise.race([new Promise<void>((resolve) => server.tryShutdown(() => resolve())), late]);
      clearTimeout(timer);
      server.forceShutdown();
    },
  };
}

/** Ends a stream with a status that the agent sees. */
export function endStream(stream: AgentStream, code: status, details: string): void {
  stream.emit("error", { code, details });
}

/** The subject alternative names of the peer's verified certificate. */
export function peerNames(stream: AgentStream): string | undefined {
  return stream.getAuthContext().sslPeerCertificate?.subjectaltname;
}

export { status };
