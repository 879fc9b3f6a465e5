import type { AgentMessage } from "@muster/shared/rpc";
import type { HubStream } from "../../agent/src/report/hub-stream.ts";
import type { SeededRandom } from "../rig/seeded-random.ts";
import type { Caller } from "./network.ts";
import type { VirtualTime } from "./virtual-time.ts";

type Status = NonNullable<AgentMessage["status"]>;

/** A hub as far as the agent can tell: it greets, acknowledges, and remembers what it was told last. */
export interface HubEar {
  /** What the cluster is like, by the latest report of any agent. */
  readonly cluster: NonNullable<Status["cluster"]> | undefined;
  /** Types of all events that were told. */
  readonly events: readonly string[];
  open(caller: Caller): Promise<HubStream>;
}

/** Milliseconds between two heartbeats. */
const HEARTBEAT_MS = 60_000;

export function createHubEar(time: VirtualTime, random: SeededRandom): HubEar {
  const events: string[] = [];
  let cluster: HubEar["cluster"];
  return {
    get cluster() {
      return cluster;
    },
    events,
    async open(caller) {
      const listeners: Parameters<HubStream["onMessage"]>[0][] = [];
      const say = (message: object) =>
        void time.after(1 + random.below(20), () => {
          if (caller.alive) for (const listener of listeners) listener(message as Parameters<typeof listener>[0]);
        });
      return {
        write(message) {
          if (!caller.alive) return true;
          if (message.hello) say({ welcome: { hubVersion: "1", heartbeatIntervalMs: HEARTBEAT_MS } });
          else say({ ack: { sequence: message.sequence } });
          cluster = message.status?.cluster ?? cluster;
          for (const { type } of message.status?.events ?? []) if (type) events.push(type);
          return true;
        },
        onMessage: (listener) => void listeners.push(listener),
        onEnd: () => {},
        onDrain: () => {},
        close: () => {},
      };
    },
  };
}
