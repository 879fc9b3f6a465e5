import { X509Certificate } from "node:crypto";
import { Server, ServerCredentials, type ServerDuplexStream, type ServerUnaryCall, type sendUnaryData, status } from "@grpc/grpc-js";
import { type AgentMessage__Output, type EnrollRequest__Output, type Grant, type HubMessage, loadAgentService } from "@muster/shared/rpc";
import { fingerprintOf } from "../enrolment/agent-keys.ts";
import type { MetCertificate } from "../enrolment/enrolments.ts";
import type { KeyedCertificate } from "../identity/certificates.ts";

/** One agent's wish for new credentials. */
export type RenewCall = ServerUnaryCall<EnrollRequest__Output, Grant>;

/** One agent's stream. */
export type AgentStream = ServerDuplexStream<AgentMessage__Output, HubMessage>;

/** TLS 1.3, and with a CA a client certificate of it; grpc-js' own `createSsl` leaves the version open. */
export class ServerTls extends ServerCredentials {
  constructor(server: KeyedCertificate, clientCa?: string) {
    const context = {
      ...(clientCa !== undefined && { ca: Buffer.from(clientCa) }),
      cert: [Buffer.from(server.cert)],
      key: [Buffer.from(server.key)],
      minVersion: "TLSv1.3" as const,
    };
    const asked = clientCa !== undefined;
    super(
      { requestCert: asked, rejectUnauthorized: asked, minVersion: "TLSv1.3" } as ConstructorParameters<typeof ServerCredentials>[0],
      context,
    );
  }

  override _equals(other: ServerCredentials): boolean {
    return other === this;
  }
}

/** A gRPC server that is not listening yet. */
export interface ListeningServer {
  /** host:port; port 0 for any. Gives the port. */
  listen(address: string): Promise<number>;
  close(): Promise<void>;
}

/** Options of {@link createAgentServer}. */
export interface AgentServerOptions {
  readonly ca: string;
  readonly server: KeyedCertificate;
  readonly onConnect: (stream: AgentStream) => void;
  readonly onRenew: (call: RenewCall, answer: sendUnaryData<Grant>) => void;
}

/** A gRPC server with limits, all of which are off by default in grpc-js (security.md, section 5). */
export function createAgentServer(options: AgentServerOptions): ListeningServer {
  const server = new Server({
    "grpc.max_receive_message_length": 1024 * 1024,
    "grpc.max_concurrent_streams": 4,
    "grpc.keepalive_time_ms": 25_000,
    "grpc.keepalive_timeout_ms": 10_000,
    "grpc.max_connection_idle_ms": 300_000,
    "grpc-node.max_session_memory": 32,
  });
  server.addService(loadAgentService().service, { Connect: options.onConnect, Renew: options.onRenew });
  return bindServer(server, new ServerTls(options.server, options.ca));
}

export function bindServer(server: Server, tls: ServerTls): ListeningServer {
  return {
    listen: (address) =>
      new Promise((resolve, reject) => {
        server.bindAsync(address, tls, (error, port) => (error ? reject(error) : resolve(port)));
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

/** A client certificate that TLS has verified. */
export interface PeerCertificate extends MetCertificate {
  /** Subject alternative names, as Node's TLS gives them. */
  readonly names: string | undefined;
}

/** Undefined: there is none that was verified. */
export function peerOf(call: Pick<AgentStream, "getAuthContext">): PeerCertificate | undefined {
  const peer = call.getAuthContext().sslPeerCertificate;
  if (!peer?.raw) return undefined;
  const certificate = new X509Certificate(peer.raw);
  const spki = certificate.publicKey.export({ format: "der", type: "spki" });
  return { fingerprint: fingerprintOf(spki), spki, endsAtMs: Date.parse(certificate.validTo), names: peer.subjectaltname };
}

export { status };
