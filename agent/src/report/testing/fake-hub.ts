import { Server, ServerCredentials, type ServerDuplexStream } from "@grpc/grpc-js";
import { type AgentMessage__Output, type HubMessage, loadAgentService } from "@muster/shared/rpc";

/** A status message, as it arrives. */
export type StatusUpdate = NonNullable<AgentMessage__Output["status"]>;

/** A hub that greets agents, acknowledges what they say, and does nothing with it. */
export interface FakeHub {
  readonly port: number;
  /** Messages that agents have sent. */
  readonly heard: number;
  /** Called with every status message. */
  onStatus(listener: (status: StatusUpdate) => void): void;
  stop(): void;
}

/** Listens on loopback with a certificate of this machine; any agent may come. */
export async function startFakeHub(tls: { readonly cert: Buffer; readonly key: Buffer }): Promise<FakeHub> {
  const hub = new Server();
  let heard = 0;
  const listeners: ((status: StatusUpdate) => void)[] = [];
  hub.addService(loadAgentService().service, {
    Connect(stream: ServerDuplexStream<AgentMessage__Output, HubMessage>) {
      // Agents are killed while they speak.
      stream.on("error", () => {});
      stream.on("data", (message: AgentMessage__Output) => {
        heard += 1;
        if (message.status) for (const listener of listeners) listener(message.status);
        if (message.hello) stream.write({ welcome: { hubVersion: "1", heartbeatIntervalMs: 10_000 } });
        else stream.write({ ack: { sequence: message.sequence } });
      });
    },
  });
  const credentials = ServerCredentials.createSsl(null, [{ cert_chain: tls.cert, private_key: tls.key }]);
  const port = await new Promise<number>((resolve, reject) =>
    hub.bindAsync("127.0.0.1:0", credentials, (error, bound) => (error ? reject(error) : resolve(bound))),
  );
  return {
    port,
    get heard() {
      return heard;
    },
    onStatus: (listener) => void listeners.push(listener),
    stop: () => hub.forceShutdown(),
  };
}
