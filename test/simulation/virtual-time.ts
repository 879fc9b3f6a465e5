import type { Clock } from "@muster/shared/runtime";

/** Something that is to happen. */
interface Due {
  readonly atMs: number;
  /** Of two at the same time the one that was planned first. */
  readonly order: number;
  readonly work: () => void;
}

/** Time that goes from one event to the next, and nothing else: between two events everything that can run has run. */
export interface VirtualTime {
  /** Milliseconds since the beginning. */
  readonly nowMs: number;
  /** Events that have happened. */
  readonly steps: number;
  /** Plans something; gives what takes it back. */
  after(ms: number, work: () => void): () => void;
  /** Lets `ms` milliseconds pass, or fewer, if `until` holds after an event. Gives whether it held. */
  pass(ms: number, until?: () => boolean): Promise<boolean>;
  /** A clock of somebody who is there, and hears of the end of a sleep, while `isThere` says so. */
  clock(isThere: () => boolean): Clock;
}

/** What the wall clocks show at the beginning, in milliseconds since 1970. */
export const WALL_START_MS = Date.UTC(2026, 0, 1);

/** More events than any run needs: something goes round in circles. */
const MAX_STEPS = 400_000;

export function createVirtualTime(): VirtualTime {
  const heap = createHeap();
  let nowMs = 0;
  let steps = 0;
  let order = 0;

  function after(ms: number, work: () => void): () => void {
    let isWanted = true;
    heap.add({ atMs: nowMs + Math.max(0, ms), order: ++order, work: () => isWanted && work() });
    return () => {
      isWanted = false;
    };
  }

  return {
    get nowMs() {
      return nowMs;
    },
    get steps() {
      return steps;
    },
    after,
    async pass(ms, until = () => false) {
      const end = nowMs + ms;
      await quiet();
      for (let next = heap.take(end); next; next = heap.take(end)) {
        nowMs = next.atMs;
        steps += 1;
        if (steps > MAX_STEPS) throw new Error(`nothing comes to rest: ${MAX_STEPS} events`);
        next.work();
        await quiet();
        if (until()) return true;
      }
      nowMs = end;
      return until();
    },
    clock: (isThere) => ({
      monotonicMs: () => nowMs,
      wallMs: () => WALL_START_MS + nowMs,
      sleep: (ms, signal) =>
        new Promise((resolve, reject) => {
          if (signal?.aborted) return reject(signal.reason);
          const abort = () => {
            cancel();
            if (isThere()) reject(signal?.reason);
          };
          const cancel = after(ms, () => {
            signal?.removeEventListener("abort", abort);
            if (isThere()) resolve();
          });
          signal?.addEventListener("abort", abort, { once: true });
        }),
    }),
  };
}

/** Resolves when nothing more can run without time going on: all of the microtasks come before the next turn. */
function quiet(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}

/** The earliest first. */
function createHeap() {
  const items: Due[] = [];
  const isBefore = (a: Due, b: Due) => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
  const swap = (a: number, b: number) => {
    [items[a], items[b]] = [items[b] as Due, items[a] as Due];
  };
  return {
    add(due: Due): void {
      items.push(due);
      for (let at = items.length - 1; at > 0; ) {
        const parent = (at - 1) >> 1;
        if (!isBefore(items[at] as Due, items[parent] as Due)) return;
        swap(at, parent);
        at = parent;
      }
    },
    /** The first one that is due until then. */
    take(untilMs: number): Due | undefined {
      const first = items[0];
      if (!first || first.atMs > untilMs) return undefined;
      const last = items.pop() as Due;
      if (items.length === 0) return first;
      items[0] = last;
      for (let at = 0; ; ) {
        const [left, right] = [2 * at + 1, 2 * at + 2];
        let least = at;
        if (left < items.length && isBefore(items[left] as Due, items[least] as Due)) least = left;
        if (right < items.length && isBefore(items[right] as Due, items[least] as Due)) least = right;
        if (least === at) return first;
        swap(at, least);
        at = least;
      }
    },
  };
}
