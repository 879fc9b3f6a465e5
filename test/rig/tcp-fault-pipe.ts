import type { Socket } from "node:net";
import type { SeededRandom } from "./seeded-random.ts";

/** What happens to the bytes of one direction. */
export interface StreamFault {
  /** Milliseconds by which each byte comes later. */
  readonly latencyMs?: number;
  /** Up to so many milliseconds more, at random; order is kept. */
  readonly jitterMs?: number;
  readonly bytesPerSecond?: number;
  /** One bit is turned in about every so many bytes. */
  readonly flipEveryBytes?: number;
  /** Nothing comes through, neither bytes nor an end, as if a path swallowed packets; all of it comes when that is over, as TCP sends again. */
  readonly blackhole?: boolean;
  /** The connection ends in the middle after so many more bytes: with a reset, or as if it had been whole. */
  readonly cutAfterBytes?: number;
  /** Default `rst`. */
  readonly cut?: Cut;
}

/** How a connection ends: TCP's reset, or its orderly end. */
export type Cut = "rst" | "fin";

/** One direction of one connection. */
export interface Pipe {
  /** The fault has changed. */
  update(): void;
  /** Bytes that come from now on are taken and thrown away. */
  swallow(): void;
  stop(): void;
}

/** Options of {@link createPipe}. */
export interface PipeOptions {
  readonly from: Socket;
  readonly to: Socket;
  readonly fault: () => StreamFault;
  readonly random: SeededRandom;
  readonly onBytes: (bytes: number) => void;
  readonly onFlip: () => void;
  /** Called when `cutAfterBytes` is reached. */
  readonly onCut: (how: Cut) => void;
}

/** So much waits in one direction at most before its sender has to wait. */
const MAX_WAITING_BYTES = 256 * 1024;

/** Carries bytes from one socket to another, as slowly and as badly as the fault of the moment says. */
export function createPipe({ from, to, fault, random, onBytes, onFlip, onCut }: PipeOptions): Pipe {
  /** `null`: the orderly end. */
  const waiting: { readonly bytes: Buffer | null; readonly dueMs: number }[] = [];
  let waitingBytes = 0;
  let lastDueMs = 0;
  let timer: NodeJS.Timeout | undefined;
  let swallows = false;
  let toFlip: number | undefined;
  /** Left until the cut. */
  let toCut: number | undefined;

  function enqueue(bytes: Buffer | null): void {
    const { latencyMs = 0, jitterMs = 0, bytesPerSecond } = fault();
    const paceMs = bytesPerSecond === undefined ? 0 : (1_000 * (bytes?.length ?? 0)) / bytesPerSecond;
    const dueMs = Math.max(performance.now() + latencyMs + jitterMs * random.next(), lastDueMs) + paceMs;
    lastDueMs = dueMs;
    waiting.push({ bytes, dueMs });
    waitingBytes += bytes?.length ?? 0;
    if (waitingBytes > MAX_WAITING_BYTES) from.pause();
    flush();
  }

  /** A slow line carries a part of a large piece before the whole. */
  function split(bytes: Buffer): void {
    const { bytesPerSecond } = fault();
    const size = bytesPerSecond === undefined ? bytes.length : Math.max(1, Math.floor(bytesPerSecond / 20));
    for (let at = 0; at < bytes.length; at += size) enqueue(bytes.subarray(at, at + size));
  }

  function damage(bytes: Buffer): Buffer {
    const { flipEveryBytes } = fault();
    if (flipEveryBytes === undefined) return bytes;
    const damaged = Buffer.from(bytes);
    const some = () => 1 + random.below(2 * flipEveryBytes);
    toFlip ??= some();
    while (toFlip <= damaged.length) {
      const at = toFlip - 1;
      damaged[at] = (damaged[at] ?? 0) ^ (1 << random.below(8));
      onFlip();
      toFlip += some();
    }
    toFlip -= damaged.length;
    return damaged;
  }

  /** Gives what is still to be sent before the cut. */
  function beforeCut(bytes: Buffer): Buffer {
    if (toCut === undefined || bytes.length < toCut) {
      if (toCut !== undefined) toCut -= bytes.length;
      return bytes;
    }
    const rest = bytes.subarray(0, toCut);
    toCut = undefined;
    const how = fault().cut ?? "rst";
    setImmediate(() => onCut(how));
    return rest;
  }

  function send(bytes: Buffer | null): void {
    if (to.destroyed) return;
    if (bytes === null) return void to.end();
    const sent = beforeCut(damage(bytes));
    onBytes(sent.length);
    to.write(sent);
  }

  function flush(): void {
    clearTimeout(timer);
    timer = undefined;
    if (fault().blackhole) return;
    for (let next = waiting[0]; next; next = waiting[0]) {
      const waitMs = next.dueMs - performance.now();
      if (waitMs > 0) {
        timer = setTimeout(flush, waitMs);
        return;
      }
      waiting.shift();
      waitingBytes -= next.bytes?.length ?? 0;
      send(next.bytes);
    }
    if (waitingBytes <= MAX_WAITING_BYTES && from.isPaused()) from.resume();
  }

  from.on("data", (bytes: Buffer) => {
    if (!swallows) split(bytes);
  });
  from.on("end", () => {
    if (!swallows) enqueue(null);
  });
  toCut = fault().cutAfterBytes;

  return {
    update() {
      toFlip = undefined;
      toCut = fault().cutAfterBytes;
      flush();
    },
    swallow() {
      swallows = true;
      waiting.length = 0;
      waitingBytes = 0;
      from.resume();
    },
    stop() {
      clearTimeout(timer);
      waiting.length = 0;
    },
  };
}
