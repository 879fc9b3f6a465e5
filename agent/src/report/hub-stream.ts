import { credentials, status } from "@grpc/grpc-js";
import { type AgentMessage, type HubMessage__Output, loadAgentService } from "@muster/shared/rpc";

/** Who this agent is to the hub, and whom it trusts; PEM. */
export interface HubCredentials {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

/** Where the hub is, and who this agent is to it. */
export interface HubStreamOptions extends HubCredentials {
  /** host:port of the hub. */
  readonly address: string;
  /** Name that the hub's certificate must have, if it is not the address'. */
  readonly serverName?: string;
}

/** The two-way stream to the hub, reduced to what the reporter uses of it. */
export interface HubStream {
  /** false: full; wait for `drain`. */
  write(message: AgentMessage): boolean;
  onMessage(listener: (message: HubMessage__Output) => void): void;
  /** Called once, when the stream is over for whatever reason. */
  onEnd(listener: (error: Error) => void): void;
  onDrain(listener: () => void): void;
  close(): void;
}

/** Whether a stream has ended because the hub does not let this agent in. */
export function isDenied(error: Error): boolean {
  return (error as { readonly code?: unknown }).code === status.PERMISSION_DENIED;
}

/** Opens the stream; that the hub cannot be reached is told through {@link HubStream.onEnd}. */
export function openHubStream(options: HubStreamOptions): HubStream {
  const [ca, key, cert] = [options.ca, options.key, options.cert].map((pem) => Buffer.from(pem));
  const Service = loadAgentService();
  const client = new Service(options.address, credentials.createSsl(ca, key, cert), {
    "grpc.keepalive_time_ms": 25_000,
    "grpc.keepalive_timeout_ms": 10_000,
    "grpc.max_receive_message_length": 1024 * 1024,
    "grpc.enable_retries": 0,
    ...(options.serverName && { "grpc.ssl_target_name_override": options.serverName, "grpc.default_authority": options.serverName }),
  });
  const stream = client.Connect();
  return {
    write: (message) => stream.write(message),
    onMessage: (listener) => void stream.on("data", listener),
    onEnd(listener) {
      // The error handler stays to the end: a stream without one takes the process down.
      stream.on("error", listener);
      stream.on("end", () => listener(new Error("the hub ended the stream")));
    },
    onDrain: (listener) => void stream.on("drain", listener),
    close() {
      stream.cancel();
      client.close();
    },
  };
}
