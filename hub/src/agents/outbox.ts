import type { Generation } from "@muster/shared/model";
import type { HubMessage } from "@muster/shared/rpc";

/** The writing half of a stream, as grpc-js has it. */
export interface MessageSink {
  /** false: full; wait for `drain`. */
  write(message: HubMessage): boolean;
  on(event: "drain", listener: () => void): unknown;
}

/** Commands that may wait for a slow agent. */
const MAX_COMMANDS = 32;

/**
 * What goes to one agent. An agent that does not read makes nothing grow: of acks and hints only the last one waits, heartbeats
 * are left out, and commands beyond a few are refused (E246).
 */
export class Outbox {
  readonly #sink: MessageSink;
  #full = false;
  #ack: number | undefined;
  #hint: Generation | undefined;
  #commands: HubMessage[] = [];

  constructor(sink: MessageSink) {
    this.#sink = sink;
    sink.on("drain", () => {
      this.#full = false;
      this.#flush();
    });
  }

  /** Acknowledges everything up to a sequence. */
  ack(sequence: number): void {
    this.#ack = sequence;
    this.#flush();
  }

  hint(generation: Generation): void {
    this.#hint = generation;
    this.#flush();
  }

  heartbeat(sentAtMs: number): void {
    if (!this.#full) this.#write({ heartbeat: { sentAtMs } });
  }

  /** Gives false if too many wait already. */
  command(message: HubMessage): boolean {
    if (this.#commands.length >= MAX_COMMANDS) return false;
    this.#commands.push(message);
    this.#flush();
    return true;
  }

  #flush(): void {
    while (!this.#full) {
      const command = this.#commands.shift();
      if (command) this.#write(command);
      else if (this.#hint) {
        const { epoch, generation } = this.#hint;
        this.#hint = undefined;
        this.#write({ sliceHint: { generation: { epoch, generation } } });
      } else if (this.#ack !== undefined) {
        const sequence = this.#ack;
        this.#ack = undefined;
        this.#write({ ack: { sequence } });
      } else return;
    }
  }

  #write(message: HubMessage): void {
    this.#full = !this.#sink.write(message);
  }
}
