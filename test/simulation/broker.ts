import { CodedError } from "@muster/shared/errors";
import { jitter } from "@muster/shared/runtime";
import type { SlicePuller } from "../../agent/src/pull/slice-puller.ts";
import type { MadeSlice, SliceMaker } from "../../agent/src/pull/testing/slice-maker.ts";
import type { SeededRandom } from "../rig/seeded-random.ts";
import type { Caller } from "./network.ts";
import type { VirtualTime } from "./virtual-time.ts";

/** A broker that loses, repeats and mixes up messages; nothing that it says can be trusted. */
export interface Broker {
  /** Share of messages, of answers to polls and of blobs that do not arrive. */
  lost: number;
  /** Share of answers to polls that are older than the newest. */
  behind: number;
  publish(made: MadeSlice): void;
  /** Anything, to everybody. */
  say(message: string): void;
  /** The end of an agent's connection to it. */
  connect(caller: Caller): SlicePuller;
}

/** Milliseconds between two polls. */
const POLL_MS = 120_000;

export function createBroker(maker: SliceMaker, time: VirtualTime, random: SeededRandom): Broker {
  const published: MadeSlice[] = [];
  const ears = new Map<Caller, (message: string) => void>();

  const say = (message: string) => {
    for (const [caller, hear] of ears) {
      if (!caller.alive) ears.delete(caller);
      else if (!random.chance(broker.lost)) time.after(1 + random.below(50), () => caller.hear(() => hear(message)));
    }
  };
  const broker: Broker = {
    lost: 0,
    behind: 0,
    say,
    publish(made) {
      published.push(made);
      say(made.message);
    },
    connect(caller) {
      let polls: () => void = () => {};
      const clock = time.clock(caller.hear);
      return {
        connected: true,
        onMessage: (listener) => void ears.set(caller, listener),
        poll: () => polls(),
        fetchBlob: (ref) =>
          new Promise((resolve, reject) => {
            const code = random.chance(broker.lost) ? (random.chance(0.5) ? "NATS_UNREACHABLE" : "BLOB_MISSING") : undefined;
            const found = maker.fetchBlob(ref);
            // It is heard only later.
            found.catch(() => {});
            time.after(1 + random.below(code === "NATS_UNREACHABLE" ? 5_000 : 20), () => {
              const failed = code && new CodedError(code, `the manifest set ${ref.digest.slice(0, 19)} did not come`);
              caller.hear(() => (failed ? reject(failed) : void found.then(resolve, reject)));
            });
          }),
        async run(signal) {
          polls = () => {
            const back = random.chance(broker.behind) ? 1 + random.below(3) : 0;
            const made = published.at(-1 - back);
            if (!made || random.chance(broker.lost)) return;
            time.after(1 + random.below(50), () => caller.hear(() => signal.aborted || ears.get(caller)?.(made.message)));
          };
          while (!signal.aborted) {
            polls();
            await clock.sleep(jitter(POLL_MS, random.next), signal).catch(() => {});
          }
        },
      };
    },
  };
  return broker;
}
