import { Agent, request } from "undici";

/** How long a process answers nothing, seen from outside. */
export interface Silence {
  /** Ends it; gives the longest time until an answer, in milliseconds. */
  stop(): Promise<number>;
}

/** Milliseconds between an answer and the next question. */
const EVERY_MS = 20;

/** Asks a URL again and again: what its process does in one piece holds up the answer, and with it heartbeats and leases. */
export function sampleSilence(url: string): Silence {
  const dispatcher = new Agent({ connections: 1 });
  let isOver = false;
  let longest = 0;
  const asking = (async () => {
    while (!isOver) {
      const began = performance.now();
      const { body } = await request(url, { dispatcher });
      await body.dump();
      longest = Math.max(longest, performance.now() - began);
      await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
    }
  })();
  return {
    async stop() {
      isOver = true;
      await asking;
      await dispatcher.close();
      return Math.round(longest);
    },
  };
}
