import type { FakeHub, StatusUpdate } from "../../agent/src/report/testing/fake-hub.ts";

/** What an agent has told a hub, with when it was heard (monotonic milliseconds). */
export interface HubView {
  /** Status messages so far. */
  readonly messages: number;
  /** Resolves with the time at which all of a generation was told to be applied, healthy or not. */
  untilApplied(generation: number, timeoutMs: number): Promise<number>;
  /** Resolves with the time at which an object of this name was told to have drifted, from now on. */
  untilDrifted(name: string, timeoutMs: number): Promise<number>;
}

interface Waiter {
  readonly isIt: (status: StatusUpdate) => boolean;
  readonly resolve: (atMs: number) => void;
}

export function viewOf(hub: FakeHub): HubView {
  const waiters = new Set<Waiter>();
  let messages = 0;
  hub.onStatus((status) => {
    messages += 1;
    const atMs = performance.now();
    for (const waiter of [...waiters]) {
      if (!waiter.isIt(status)) continue;
      waiters.delete(waiter);
      waiter.resolve(atMs);
    }
  });

  function until(what: string, timeoutMs: number, isIt: Waiter["isIt"]): Promise<number> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        waiters.delete(waiter);
        reject(new Error(`the agent did not tell within ${timeoutMs} ms: ${what}`));
      }, timeoutMs);
      const waiter: Waiter = {
        isIt,
        resolve(atMs) {
          clearTimeout(timer);
          resolve(atMs);
        },
      };
      waiters.add(waiter);
    });
  }

  return {
    get messages() {
      return messages;
    },
    untilApplied: (generation, timeoutMs) =>
      until(
        `generation ${generation} is applied`,
        timeoutMs,
        ({ cluster }) => Number(cluster?.applied?.generation ?? 0) === generation && (cluster?.bundles ?? []).every(isInSync),
      ),
    untilDrifted: (name, timeoutMs) =>
      until(`${name} has drifted`, timeoutMs, ({ exceptions }) =>
        exceptions.some(({ ref, drift }) => ref?.name === name && drift !== null),
      ),
  };
}

const isInSync = (bundle: { readonly state: string }) => bundle.state === "Synced";
